import type { Bounds } from './proportion.ts';

/** What is kept of latencies: how many are in each bucket, and nothing of where in it they are. A bound is in the bucket below it. */
export interface Histogram {
  /** Ascending upper bounds of all buckets but the last. */
  readonly bounds: readonly number[];
  /** One more than bounds. */
  readonly counts: readonly number[];
}

export const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

const lowerEdge = (bounds: readonly number[], bucket: number): number => bounds[bucket - 1] ?? 0;
const upperEdge = (bounds: readonly number[], bucket: number): number => bounds[bucket] ?? Number.POSITIVE_INFINITY;

/**
 * The value that a share of all is not above; 0 when the histogram is empty. An estimate, for people: within a bucket values
 * are taken to be spread evenly over its logarithm, and what is above the last bound to be below twice that.
 */
export function quantile({ bounds, counts }: Histogram, share: number): number {
  const wanted = share * total(counts);
  let below = 0;
  for (const [bucket, count] of counts.entries()) {
    if (count > 0 && below + count >= wanted) {
      const [first = 1, last = 1] = [bounds[0], bounds.at(-1)];
      const low = Math.max(lowerEdge(bounds, bucket), first / 2);
      const high = Math.min(upperEdge(bounds, bucket), 2 * last);
      return low * (high / low) ** Math.min(1, Math.max(0, (wanted - below) / count));
    }
    below += count;
  }
  return 0;
}

/** How many are above a value for certain: those of buckets that are above it as a whole. */
export function countAbove({ bounds, counts }: Histogram, value: number): number {
  let above = 0;
  for (const [bucket, count] of counts.entries()) {
    if (count > 0 && lowerEdge(bounds, bucket) >= value) above += count;
  }
  return above;
}

/** Between which two values a quantile is for certain: above the lower and not above the upper. Both are 0 when the histogram is empty. */
export function quantileEdges({ bounds, counts }: Histogram, share: number): Bounds {
  const wanted = share * total(counts);
  let below = 0;
  for (const [bucket, count] of counts.entries()) {
    below += count;
    if (count > 0 && below >= wanted) {
      return { lower: lowerEdge(bounds, bucket), upper: upperEdge(bounds, bucket) };
    }
  }
  return { lower: 0, upper: 0 };
}
