import { crossing } from './crossing.ts';
import { countAbove, type Histogram, largest, quantile, smallest, total } from './histogram.ts';
import { type Bounds, deviance, devianceFromLine, type Proportion, type Thresholds } from './proportion.ts';

/**
 * Bounds of quantiles by way of proportions, which hold for any distribution: a quantile is above y where more than 1 - q
 * of all are above y.
 */
export const sharesAbove = (histogram: Histogram, value: number): Proportion => ({
  events: countAbove(histogram, value),
  trials: total(histogram.counts),
});

/** Values that the evidence does not exceed the thresholds against; it is 0 at the estimate and grows away from it. */
function invert(
  histogram: Histogram,
  estimate: number,
  evidence: (value: number) => number,
  limits: Thresholds,
): Bounds {
  const [low, middle, high] = [smallest(histogram.bounds), estimate, largest(histogram.bounds)].map(Math.log);
  if (low === undefined || middle === undefined || high === undefined)
    throw new RangeError('a histogram without bounds');
  const at = (logarithm: number) => evidence(Math.exp(logarithm));
  return {
    lower: at(low) <= limits.lower ? 0 : Math.exp(crossing(low, middle, (value) => limits.lower - at(value))),
    upper:
      at(high) <= limits.upper
        ? Number.POSITIVE_INFINITY
        : Math.exp(crossing(middle, high, (value) => at(value) - limits.upper)),
  };
}

/** Bounds of a quantile. */
export function quantileBounds(histogram: Histogram, share: number, thresholds: Thresholds): Bounds {
  if (total(histogram.counts) === 0) return { lower: 0, upper: Number.POSITIVE_INFINITY };
  const evidence = (value: number) => deviance(sharesAbove(histogram, value), 1 - share);
  return invert(histogram, quantile(histogram, share), evidence, thresholds);
}

/**
 * Bounds of the canary's quantile, given that stable's is what its histogram says: its uncertainty is in them. As many
 * are above stable's own quantile as would be above the canary's, if that were y: the test is one of two proportions.
 */
export function comparedQuantileBounds(
  canary: Histogram,
  stable: Histogram,
  share: number,
  thresholds: Thresholds,
): Bounds {
  const trials = total(stable.counts);
  if (trials === 0 || total(canary.counts) === 0) return { lower: 0, upper: Number.POSITIVE_INFINITY };
  const expected = { events: (1 - share) * trials, trials };
  const evidence = (value: number) =>
    devianceFromLine(sharesAbove(canary, value), expected, { intercept: 0, slope: 1 });
  return invert(canary, quantile(canary, share), evidence, thresholds);
}
