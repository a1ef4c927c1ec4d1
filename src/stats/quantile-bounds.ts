import { countAbove, type Histogram, total } from './histogram.ts';
import { type Bounds, deviance, devianceFromLine, type Proportion, type Thresholds } from './proportion.ts';

/**
 * Bounds of quantiles by way of proportions, which hold for any distribution: a quantile is above y where more than 1 - q
 * of all are above y. Only the bounds of buckets are such a y, since nobody knows where in its bucket a value is.
 */
export const sharesAbove = (histogram: Histogram, value: number): Proportion => ({
  events: countAbove(histogram, value),
  trials: total(histogram.counts),
});

/**
 * The largest bound of a bucket that the quantile is shown to be above, or 0; and the smallest one that it is shown not to be
 * above, or Infinity.
 * @param evidence of a share above a bound against 1 - q, as a squared standard score
 */
function provenEdges(
  { bounds, counts }: Histogram,
  share: number,
  thresholds: Thresholds,
  evidence: (above: Proportion) => number,
): Bounds {
  const trials = total(counts);
  let events = trials;
  const above = bounds.map((_, bucket) => {
    events -= counts[bucket] ?? 0;
    return { events, trials };
  });
  const expected = (1 - share) * trials;
  const isAbove = (each: Proportion) => each.events > expected && evidence(each) > thresholds.lower;
  const isBelow = (each: Proportion) => each.events < expected && evidence(each) > thresholds.upper;
  return {
    lower: bounds[above.findLastIndex(isAbove)] ?? 0,
    upper: bounds[above.findIndex(isBelow)] ?? Number.POSITIVE_INFINITY,
  };
}

/** Bounds of a quantile: it is above the lower one, and not above the upper. */
export const quantileBounds = (histogram: Histogram, share: number, thresholds: Thresholds): Bounds =>
  provenEdges(histogram, share, thresholds, (above) => deviance(above, 1 - share));

/**
 * Bounds of the canary's quantile, given that stable's is where its histogram says: its uncertainty is in them. As many
 * are above stable's own quantile as would be above the canary's, if that were y: the test is one of two proportions.
 */
export function comparedQuantileBounds(
  canary: Histogram,
  stable: Histogram,
  share: number,
  thresholds: Thresholds,
): Bounds {
  const trials = total(stable.counts);
  if (trials === 0) return { lower: 0, upper: Number.POSITIVE_INFINITY };
  const expected = { events: (1 - share) * trials, trials };
  return provenEdges(canary, share, thresholds, (above) =>
    devianceFromLine(above, expected, { intercept: 0, slope: 1 }),
  );
}
