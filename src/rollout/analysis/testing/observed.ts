import { LATENCY_BOUNDS_SECONDS, type RevisionCounts } from '../../../api/counts.ts';
import type { Interval } from '../interval.ts';
import type { Measure, Traffic } from '../policy.ts';
import { type AnalysisState, beginAnalysis, observe } from '../state.ts';

/** How the requests of one revision in an interval ended. */
export interface Answers {
  readonly requests: number;
  readonly errors?: number;
  /** Beside `requests`; they waited as long as the others. */
  readonly cancelled?: number;
  /** Of each request. */
  readonly latencySeconds?: number;
  readonly agreed?: number;
}

/** The index of the bucket in which a latency is counted. */
export function bucketOf(seconds: number): number {
  const bucket = LATENCY_BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
  return bucket === -1 ? LATENCY_BOUNDS_SECONDS.length : bucket;
}

export function counts({
  requests,
  errors = 0,
  cancelled = 0,
  latencySeconds = 0.011,
  agreed,
}: Answers): RevisionCounts {
  const bucket = bucketOf(latencySeconds);
  const buckets = Array.from({ length: LATENCY_BOUNDS_SECONDS.length + 1 }, (_, k) =>
    k === bucket ? requests - errors + cancelled : 0,
  );
  const latency = { buckets, sumSeconds: 0 };
  const mirror = { requests, errors, dropped: 0, compared: requests, agreed: agreed ?? 0, latency };
  return { requests, errors, cancelled, latency, ...(agreed !== undefined && { mirror }) };
}

/** An analysis that has seen the same in each of so many intervals of ten seconds. */
export function observed(
  intervals: number,
  canary: Answers,
  stable: Answers | undefined,
  traffic: Traffic = 'Split',
): AnalysisState {
  let state = beginAnalysis(traffic);
  for (let k = 1; k <= intervals; k += 1) {
    const interval: Interval = {
      endMs: k * 10_000,
      durationMs: 10_000,
      canary: counts(canary),
      ...(stable && { stable: counts(stable) }),
    };
    state = observe(state, interval);
  }
  return state;
}

/** The error rate may be larger by so much. */
export const errors = (absolute: number, more = {}): Measure => ({
  kind: 'ErrorRate',
  allowed: { absolute },
  ...more,
});
