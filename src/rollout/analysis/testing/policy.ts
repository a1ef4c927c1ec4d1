import type { AnalysisPolicy, Measure, Traffic } from '../policy.ts';
import { FALSE_ALARM_OF_ROLLOUT, FALSE_PASS_OF_METRIC } from '../policy.ts';

/** A policy of one judged step over the given measures, each of which makes one claim. */
export function policyOf(
  measures: Readonly<Record<string, Measure>>,
  { traffic = 'Split', ...more }: Partial<AnalysisPolicy> & { readonly traffic?: Traffic } = {},
): AnalysisPolicy {
  const metrics = Object.entries(measures).map(([name, measure]) => ({
    name,
    measure,
    dryRun: false,
    consecutiveErrorLimit: 4,
  }));
  return {
    traffic,
    metrics,
    unknown: [],
    minRequests: 500,
    intervalMs: 10_000,
    falseAlarm: FALSE_ALARM_OF_ROLLOUT / metrics.length,
    falsePass: FALSE_PASS_OF_METRIC,
    ...more,
  };
}
