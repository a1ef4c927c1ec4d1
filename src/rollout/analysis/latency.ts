import { LATENCY_BOUNDS_SECONDS } from '../../api/counts.ts';
import { differenceDesignEffect, rateDesignEffect } from '../../stats/design-effect.ts';
import { type Histogram, quantile, quantileEdges, total } from '../../stats/histogram.ts';
import type { Bounds } from '../../stats/proportion.ts';
import { comparedQuantileBounds, quantileBounds, sharesAbove } from '../../stats/quantile-bounds.ts';
import { type Claim, comparedSize, thresholdsOf, within } from './claim.ts';
import { allBuckets } from './latency-buckets.ts';
import type { Allowed, AnalysisPolicy } from './policy.ts';
import { quantity } from './quantity.ts';
import type { AnalysisState, Block } from './state.ts';

/** Claims about quantiles of latency. */

const histogramOf = (blocks: readonly Block[], side: 'canary' | 'stable'): Histogram => ({
  bounds: LATENCY_BOUNDS_SECONDS,
  counts: allBuckets(blocks.map((block) => block[side].latency)),
});

const named = (share: number) => `p${Math.round(share * 100)}`;

/** Of bounds as buckets give them: the value is above the lower one, so that it is beyond a limit that is just there. */
function beside({ lower, upper }: Bounds, limit: number) {
  return lower >= limit ? 'Unhealthy' : within({ lower, upper }, limit, 'Most');
}

/** Of latencies below it nothing is told apart: in a comparison all of them are taken for it. */
const [SHORTEST_SECONDS = 0] = LATENCY_BOUNDS_SECONDS;

/**
 * Between which values stable's quantile is; where it answered nothing but errors, nobody knows. Beside copies, which nobody gives up, what its users gave up would have taken
 * longer than was counted: all of it may be among the slowest.
 */
function stableEdges(stable: Histogram, share: number, cutShort: number): Bounds {
  if (total(stable.counts) === 0) return { lower: 0, upper: Number.POSITIVE_INFINITY };
  const edges = quantileEdges(stable, share);
  const lower = Math.max(edges.lower, SHORTEST_SECONDS);
  if (cutShort === 0) return { lower, upper: edges.upper };
  const latest = share + cutShort / total(stable.counts);
  return { lower, upper: latest > 1 ? Number.POSITIVE_INFINITY : quantileEdges(stable, latest).upper };
}

/** Bounds of one side's quantile by what it shows alone, with the bursts that there are at a value. */
function boundsAlone(
  blocks: readonly Histogram[],
  whole: Histogram,
  { policy, share, at, harmIs }: { policy: AnalysisPolicy; share: number; at: number; harmIs: 'Above' | 'Below' },
): Bounds {
  const effect = rateDesignEffect(blocks.map((block) => sharesAbove(block, at)));
  return quantileBounds(whole, share, thresholdsOf(policy, total(whole.counts), effect, harmIs));
}

/** The canary's quantile less stable's, against an allowed increase. */
export function latencyIncrease(state: AnalysisState, policy: AnalysisPolicy, share: number, allowed: Allowed): Claim {
  const blocks = state.blocks.map((block) => ({
    canary: histogramOf([block], 'canary'),
    stable: histogramOf([block], 'stable'),
  }));
  const canary = histogramOf(state.blocks, 'canary');
  const stable = histogramOf(state.blocks, 'stable');
  const [ofCanary, ofStable] = [quantile(canary, share), quantile(stable, share)];
  const relative = 'relative' in allowed ? allowed.relative : 0;
  const limit = 'relative' in allowed ? relative * ofStable : allowed.absolute;
  // Two estimates of what bursts do: at stable's quantile for both, where what slows both down together cancels out; and
  // between what is measured and what is allowed, which at the limit is where the quantiles lie, and far from it is where
  // nothing that moves a quantile a little matters.
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
  // Harm takes the stricter one: bursts that each side has of its own may be seen at one of both only.
  const thresholds = {
    lower: Math.max(together.lower, apart.lower),
    upper: Math.min(together.upper, apart.upper),
  };
  const bounds = comparedQuantileBounds(canary, stable, share, thresholds);
  const cutShort = state.traffic === 'Mirror' ? total(state.blocks.map((block) => block.stable.cancelled)) : 0;
  const edges = stableEdges(stable, share, cutShort);
  // A relative increase asks for canary - (1 + r) stable; r stable is added so that all numbers are differences to stable.
  const slope = 1 + relative;
  // Minutes that are slow for stable say nothing for a canary that is slower than stable ever is: each side alone shows that.
  const slowest = boundsAlone(
    blocks.map((block) => block.stable),
    stable,
    { policy, share, at: Math.max(0, between - limit), harmIs: 'Below' },
  ).upper;
  const quickest = boundsAlone(
    blocks.map((block) => block.canary),
    canary,
    { policy, share, at: ofStable + limit, harmIs: 'Above' },
  ).lower;
  const exceeds = {
    lower: Math.max(
      bounds.lower - slope * edges.upper,
      cutShort > 0 ? Number.NEGATIVE_INFINITY : quickest - slope * slowest,
    ),
    upper: bounds.upper - slope * edges.lower,
  };
  const lower = exceeds.lower + relative * ofStable;
  const upper = exceeds.upper + relative * ofStable;
  const brief = `${named(share)} ${quantity(ofCanary, 'Seconds')} against ${quantity(ofStable, 'Seconds')}`;
  return {
    verdict: beside(exceeds, 'relative' in allowed ? 0 : allowed.absolute),
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
  const canary = histogramOf(state.blocks, 'canary');
  const blocks = state.blocks.map((block) => histogramOf([block], 'canary'));
  const bounds = boundsAlone(blocks, canary, { policy, share, at: max, harmIs: 'Above' });
  const value = quantile(canary, share);
  const brief = `${named(share)} ${quantity(value, 'Seconds')}`;
  return {
    verdict: beside(bounds, max),
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
