import type { Analysis, AnalysisMetric } from '../../../api/v1alpha1/analysis.ts';

/** A metric as the API server completes it. */
export function metric(fields: Partial<AnalysisMetric>): AnalysisMetric {
  return { name: 'm', consecutiveErrorLimit: 4, dryRun: false, ...fields };
}

/** `spec.rollout.analysis` as the API server completes it. */
export function analysis(...metrics: AnalysisMetric[]): Analysis {
  return { metrics, minRequests: 500, interval: '10s', deadline: '2h' };
}
