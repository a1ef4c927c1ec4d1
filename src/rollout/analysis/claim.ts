import { countedDeviance, type DesignEffect } from '../../stats/design-effect.ts';
import { mixtureBoundary } from '../../stats/mixture-boundary.ts';
import type { Bounds, Thresholds } from '../../stats/proportion.ts';
import type { AnalysisPolicy } from './policy.ts';
import type { MetricVerdict } from './verdict.ts';

/** What one rule of a metric says: its allowed increase, or its hard limit. */
export type Claim = Omit<MetricVerdict, 'name' | 'dryRun' | 'message' | 'isHardLimit'> & {
  /** `errors 0.3% against 0.4%`, for the message of the whole. */
  readonly brief: string;
  /** What the bounds say, in a clause. */
  readonly reason: string;
};

/** Intervals before which nothing is claimed: a burst that has not ended yet looks as a bad canary does. */
export const MIN_INTERVALS = 6;

/** How much smaller two samples are as evidence about their difference than one of their size. */
export const comparedSize = (a: number, b: number): number => (a > 0 && b > 0 ? (a * b) / (a + b) : 0);

/**
 * Deviances above which claims are made.
 * @param sampleSize requests, or those of two samples by `comparedSize`
 * @param harmIs which bound says that the canary is worse than allowed: that one keeps the chance of a false alarm
 */
export function thresholdsOf(
  { falseAlarm, falsePass, minRequests }: AnalysisPolicy,
  sampleSize: number,
  effect: DesignEffect,
  harmIs: 'Above' | 'Below',
): Thresholds {
  const { factor, degreesOfFreedom, boundDegreesOfFreedom } = effect;
  const at = (alpha: number, degrees: number) => {
    const boundary = mixtureBoundary({ alpha, tightestAt: 2 * minRequests }, sampleSize / factor);
    return countedDeviance(boundary, { factor, degreesOfFreedom: degrees });
  };
  const harm = at(falseAlarm, degreesOfFreedom);
  return harmIs === 'Above'
    ? { lower: harm, upper: at(falsePass, boundDegreesOfFreedom.upper) }
    : { lower: at(falsePass, boundDegreesOfFreedom.lower), upper: harm };
}

/** Healthy: shown to be within the limit. Unhealthy: shown to be beyond. */
export function within({ lower, upper }: Bounds, limit: number, limitIs: 'Most' | 'Least') {
  const [isBeyond, isWithin] = limitIs === 'Most' ? [lower > limit, upper <= limit] : [upper < limit, lower >= limit];
  return isBeyond ? 'Unhealthy' : isWithin ? 'Healthy' : 'InsufficientData';
}
