import { LATENCY_BOUNDS_SECONDS } from '../../api/counts.ts';
import { differenceDesignEffect, rateDesignEffect } from '../../stats/design-effect.ts';
import { type Histogram, quantile, total } from '../../stats/histogram.ts';
import { comparedQuantileBounds, quantileBounds, sharesAbove } from '../../stats/quantile-bounds.ts';
import { type Claim, comparedSize, thresholdsOf, within } from './claim.ts';
import type { Allowed, AnalysisPolicy } from './policy.ts';
import { quantity } from './quantity.ts';
import type { AnalysisState, Block } from './state.ts';

/** Claims about quantiles of latency. */

const BUCKETS = LATENCY_BOUNDS_SECONDS.length + 1;

const histogramOf = (block: Block, side: 'canary' | 'stable'): Histogram => ({
  bounds: LATENCY_BOUNDS_SECONDS,
  counts: block[side].latency,
});

function pooled(histograms: readonly Histogram[]): Histogram {
  const counts = Array.from({ length: BUCKETS }, (_, bucket) =>
    total(histograms.map((histogram) => histogram.counts[bucket] ?? 0)),
  );
  return { bounds: LATENCY_BOUNDS_SECONDS, counts };
}

const named = (share: number) => `p${Math.round(share * 100)}`;

/** The canary's quantile less stable's, against an allowed increase. */
export function latencyIncrease(state: AnalysisState, policy: AnalysisPolicy, share: number, allowed: Allowed): Claim {
  const blocks = state.blocks.map((block) => ({
    canary: histogramOf(block, 'canary'),
    stable: histogramOf(block, 'stable'),
  }));
  const canary = pooled(blocks.map((block) => block.canary));
  const stable = pooled(blocks.map((block) => block.stable));
  const [ofCanary, ofStable] = [quantile(canary, share), quantile(stable, share)];
  const limit = 'relative' in allowed ? allowed.relative * ofStable : allowed.absolute;
  // Two estimates of what bursts do, either of which errs on the safe side: at stable's quantile for both, where what slows
  // both down together cancels out; and between what is measured and what is allowed, which at the limit is where the
  // quantiles lie, and far from it is where nothing that moves a quantile a little matters.
  const between = (ofCanary + ofStable + limit) / 2;
  const size = comparedSize(total(canary.counts), total(stable.counts));
  const thresholdsAt = (canaryAt: number, stableAt: number) => {
    const shares = blocks.map((block) => ({
      canary: sharesAbove(block.canary, canaryAt),
      stable: sharesAbove(block.stable, stableAt),
    }));
    return thresholdsOf(policy, size, differenceDesignEffect(shares), 'Above');
  };
  const together = thresholdsAt(ofStable, ofStable);
  const apart = thresholdsAt(between, Math.max(0, between - limit));
  const thresholds = {
    lower: Math.min(together.lower, apart.lower),
    upper: Math.min(together.upper, apart.upper),
  };
  const bounds = comparedQuantileBounds(canary, stable, share, thresholds);
  const lower = bounds.lower - ofStable;
  const upper = bounds.upper - ofStable;
  const brief = `${named(share)} ${quantity(ofCanary, 'Seconds')} against ${quantity(ofStable, 'Seconds')}`;
  return {
    verdict: within({ lower, upper }, limit, 'Most'),
    unit: 'Seconds',
    stable: ofStable,
    canary: ofCanary,
    estimate: ofCanary - ofStable,
    lower,
    upper,
    limit,
    brief,
    reason:
      `${brief}: between ${quantity(lower, 'Seconds')} and ${quantity(upper, 'Seconds')} more, ` +
      `${quantity(limit, 'Seconds')} more are allowed`,
  };
}

/** The canary's quantile against a hard limit. */
export function latencyLimit(state: AnalysisState, policy: AnalysisPolicy, share: number, max: number): Claim {
  const blocks = state.blocks.map((block) => histogramOf(block, 'canary'));
  const canary = pooled(blocks);
  const effect = rateDesignEffect(blocks.map((block) => sharesAbove(block, max)));
  const bounds = quantileBounds(canary, share, thresholdsOf(policy, total(canary.counts), effect, 'Above'));
  const value = quantile(canary, share);
  const brief = `${named(share)} ${quantity(value, 'Seconds')}`;
  return {
    verdict: within(bounds, max, 'Most'),
    unit: 'Seconds',
    canary: value,
    estimate: value,
    ...bounds,
    limit: max,
    brief,
    reason:
      `${brief}: between ${quantity(bounds.lower, 'Seconds')} and ${quantity(bounds.upper, 'Seconds')}, ` +
      `at most ${quantity(max, 'Seconds')} is allowed`,
  };
}
