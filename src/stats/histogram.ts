/**
 * Quantiles of a histogram, which is all that is kept of latencies. Within a bucket the values are taken to be spread
 * evenly over its logarithm, as buckets are; so a quantile is right to a bucket, and compared with another one it is right
 * wherever both have many buckets' worth of spread. What is above the last bound is taken to be below twice that.
 */
export interface Histogram {
  /** Ascending upper bounds of all buckets but the last. */
  readonly bounds: readonly number[];
  /** One more than bounds. */
  readonly counts: readonly number[];
}

export const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

const edges = (bounds: readonly number[], bucket: number): readonly [number, number] => {
  const last = bounds.at(-1) ?? 1;
  const upper = bounds[bucket] ?? 2 * last;
  return [bucket === 0 ? upper / 2 : (bounds[bucket - 1] ?? last), upper];
};

/** The value that a share of all is not above; 0 when the histogram is empty. */
export function quantile({ bounds, counts }: Histogram, share: number): number {
  const wanted = share * total(counts);
  let below = 0;
  for (const [bucket, count] of counts.entries()) {
    if (count > 0 && below + count >= wanted) {
      const [low, high] = edges(bounds, bucket);
      return low * (high / low) ** Math.min(1, Math.max(0, (wanted - below) / count));
    }
    below += count;
  }
  return 0;
}

/** How many are above a value. */
export function countAbove({ bounds, counts }: Histogram, value: number): number {
  let above = 0;
  for (const [bucket, count] of counts.entries()) {
    if (count === 0) continue;
    const [low, high] = edges(bounds, bucket);
    if (value <= low) above += count;
    else if (value < high) above += (count * Math.log(high / value)) / Math.log(high / low);
  }
  return above;
}

/** The largest value that a quantile can have. */
export const largest = (bounds: readonly number[]): number => 2 * (bounds.at(-1) ?? 1);

/** The smallest one. */
export const smallest = (bounds: readonly number[]): number => (bounds[0] ?? 1) / 2;
