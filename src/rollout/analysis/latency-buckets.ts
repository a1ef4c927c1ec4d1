import Type, { type Static } from 'typebox';
import { LATENCY_BOUNDS_SECONDS } from '../../api/counts.ts';

const BUCKETS = LATENCY_BOUNDS_SECONDS.length + 1;

/** Counts by bucket of LATENCY_BOUNDS_SECONDS as they are remembered: from the first bucket that has any to the last. */
export const LatencyBuckets = Type.Object(
  {
    first: Type.Integer({ minimum: 0, maximum: BUCKETS }),
    counts: Type.Array(Type.Integer({ minimum: 0 }), { maxItems: BUCKETS }),
  },
  { additionalProperties: false },
);
export type LatencyBuckets = Static<typeof LatencyBuckets>;

const hasAny = (count: number) => count > 0;

/** @param buckets counts of all buckets, or of none */
export function latencyBuckets(buckets: readonly number[]): LatencyBuckets {
  const first = Math.max(0, buckets.findIndex(hasAny));
  return { first, counts: buckets.slice(first, buckets.findLastIndex(hasAny) + 1) };
}

/** Counts of all buckets, added up. */
export function allBuckets(parts: readonly LatencyBuckets[]): readonly number[] {
  const sums = new Array<number>(BUCKETS).fill(0);
  for (const { first, counts } of parts) {
    for (const [place, count] of counts.entries()) sums[first + place] = (sums[first + place] ?? 0) + count;
  }
  return sums;
}
