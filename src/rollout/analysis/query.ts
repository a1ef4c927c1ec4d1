import type { Measure, Metric } from './policy.ts';
import type { QueryTally } from './state.ts';
import type { MetricVerdict, VerdictWord } from './verdict.ts';

type Query = Extract<Measure, { kind: 'Query' }>;

const exceeded = (count: number, limit: number, what: string) =>
  count > limit ? `${what} (${count}) > limit (${limit})` : undefined;

/** Argo Rollouts' limits on what was measured; one success at least, and none that cannot be read, make it Healthy. */
export function judgeQuery(
  { name, dryRun, consecutiveErrorLimit }: Metric,
  query: Query,
  tally?: QueryTally,
): MetricVerdict {
  const judged = (verdict: VerdictWord, message: string): MetricVerdict => ({
    name,
    dryRun,
    verdict,
    unit: 'None',
    isHardLimit: false,
    message: `${name}: ${message}`,
  });
  if (tally === undefined) return judged('InsufficientData', 'not measured yet');
  const last = `last ${tally.last}`;
  const failed = exceeded(tally.failed, query.failureLimit, 'failed');
  if (failed !== undefined) return judged('Unhealthy', `${failed}, ${last}`);
  const errors = exceeded(tally.consecutiveErrors, consecutiveErrorLimit, 'errors in a row');
  if (errors !== undefined) return judged('Error', `${errors}, ${last}`);
  const inconclusive = exceeded(tally.inconclusive, query.inconclusiveLimit, 'inconclusive');
  if (inconclusive !== undefined) return judged('Inconclusive', `${inconclusive}, ${last}`);
  if (tally.consecutiveErrors > 0)
    return judged('InsufficientData', `errors in a row (${tally.consecutiveErrors}), ${last}`);
  if (tally.successful === 0) return judged('InsufficientData', `no success yet, ${last}`);
  return judged('Healthy', `successful (${tally.successful}), failed (${tally.failed}), ${last}`);
}
