import { differenceDesignEffect, occurrenceDesignEffect, rateDesignEffect } from '../../stats/design-effect.ts';
import { total } from '../../stats/histogram.ts';
import {
  type Bounds,
  differenceBounds,
  occurrenceBounds,
  type Proportion,
  rate,
  rateBounds,
  sum,
} from '../../stats/proportion.ts';
import { type Claim, comparedSize, MIN_INTERVALS, thresholdsOf, within } from './claim.ts';
import type { Allowed, AnalysisPolicy } from './policy.ts';
import { quantity } from './quantity.ts';
import { type AnalysisState, answersOf, type Side } from './state.ts';

/** Claims about shares and rates of requests. */

/**
 * What users did not get from a revision: errors, and what they gave up waiting for. A client that gives up is not the
 * model's fault; that more of them give up on the canary than on stable is, and only differences are claimed of these.
 */
const failuresOf = ({ requests, errors, cancelled }: Side): Proportion => ({
  events: errors + cancelled,
  trials: requests,
});

const errorsOf = ({ requests, errors }: Side): Proportion => ({ events: errors, trials: requests });

/** Most that the canary's share can be, and so most by which it can exceed another: bursts of stable leave it as it is. */
function canaryAtMost(blocks: readonly { readonly canary: Proportion }[], policy: AnalysisPolicy): number {
  const samples = blocks.map((block) => block.canary);
  const all = sum(samples);
  return rateBounds(all, thresholdsOf(policy, all.trials, rateDesignEffect(samples), 'Above')).upper;
}

interface Compared {
  readonly canary: Proportion;
  readonly stable: Proportion;
}

/** Bounds of canary - slope * stable. */
function comparedBounds(blocks: readonly Compared[], policy: AnalysisPolicy, slope: number): Bounds {
  const canary = sum(blocks.map((block) => block.canary));
  const stable = sum(blocks.map((block) => block.stable));
  const size = comparedSize(canary.trials, stable.trials);
  const thresholds = thresholdsOf(policy, size, differenceDesignEffect(blocks), 'Above');
  return differenceBounds(canary, stable, thresholds, slope);
}

/** Failures of the canary less those of stable, against an allowed increase. */
export function errorIncrease(state: AnalysisState, policy: AnalysisPolicy, allowed: Allowed): Claim {
  const blocksBy = (ofStable: (side: Side) => Proportion) =>
    state.blocks.map((block) => ({ canary: failuresOf(block.canary), stable: ofStable(block.stable) }));
  const blocks = blocksBy(failuresOf);
  const share = rate(sum(blocks.map((block) => block.canary)));
  const stableShare = rate(sum(blocks.map((block) => block.stable)));
  // A relative increase asks for canary - (1 + r) stable; r stable is added so that all numbers are differences to stable.
  const relative = 'relative' in allowed ? allowed.relative : 0;
  const limit = 'relative' in allowed ? relative * stableShare : allowed.absolute;
  const bounds = comparedBounds(blocks, policy, 1 + relative);
  const lower = bounds.lower + relative * stableShare;
  // Copies run on where users give up, and nobody knows what these would have had: harm takes it for errors, a pass for none.
  const most =
    state.traffic === 'Mirror' ? comparedBounds(blocksBy(errorsOf), policy, 1 + relative).upper : bounds.upper;
  // What a relative increase allows is as uncertain as stable is, and the canary alone says nothing of that.
  const upper = 'relative' in allowed ? most + relative * stableShare : Math.min(most, canaryAtMost(blocks, policy));
  const verdict = within({ lower, upper }, limit, 'Most');
  const isGivenUp = state.blocks.some((block) => block.canary.cancelled + block.stable.cancelled > 0);
  const subject = isGivenUp ? 'errors and given up' : 'errors';
  const brief = `${subject} ${quantity(share, 'Share')} against ${quantity(stableShare, 'Share')}`;
  return {
    verdict,
    unit: 'Share',
    stable: stableShare,
    canary: share,
    estimate: share - stableShare,
    lower,
    upper,
    limit,
    brief,
    reason:
      `${brief}: between ${quantity(lower, 'Share')} and ${quantity(upper, 'Share')} more, ` +
      `${quantity(limit, 'Share')} more ${limit > 0 ? 'is' : 'are'} allowed`,
  };
}

/** A share of the canary alone, against a limit. */
function shareClaim(
  samples: readonly Proportion[],
  policy: AnalysisPolicy,
  limit: number,
  limitIs: 'Most' | 'Least',
  subject: string,
): Claim {
  const all = sum(samples);
  const effect = rateDesignEffect(samples);
  const thresholds = thresholdsOf(policy, all.trials, effect, limitIs === 'Most' ? 'Above' : 'Below');
  const bounds = rateBounds(all, thresholds);
  const share = rate(all);
  const brief = `${subject} ${quantity(share, 'Share')}`;
  return {
    verdict: within(bounds, limit, limitIs),
    unit: 'Share',
    canary: share,
    estimate: share,
    ...bounds,
    limit,
    brief,
    reason:
      `${brief}: between ${quantity(bounds.lower, 'Share')} and ${quantity(bounds.upper, 'Share')}, ` +
      `at ${limitIs.toLowerCase()} ${quantity(limit, 'Share')} is allowed`,
  };
}

/** The canary's errors against a hard limit, of the requests that nobody gave up. */
export const errorLimit = (state: AnalysisState, policy: AnalysisPolicy, max: number): Claim =>
  shareClaim(
    state.blocks.map(({ canary: { requests, errors, cancelled } }) => ({
      events: errors,
      trials: requests - cancelled,
    })),
    policy,
    max,
    'Most',
    'errors',
  );

/** Compared copies that both revisions answered alike. */
export const agreement = (state: AnalysisState, policy: AnalysisPolicy, min: number): Claim =>
  shareClaim(
    state.blocks.map(({ agreed, compared }) => ({ events: agreed, trials: compared })),
    policy,
    min,
    'Least',
    'agreement',
  );

/** Answers without an error a second, against a least or a largest rate: in the intervals of which all is known. */
export function throughput(
  state: AnalysisState,
  policy: AnalysisPolicy,
  limit: number,
  limitIs: 'Most' | 'Least',
): Claim {
  const perBlock = state.blocks
    .map(({ canary, durationMs, partial }) => ({
      events: answersOf(canary) - (partial?.answers ?? 0),
      seconds: (durationMs - (partial?.durationMs ?? 0)) / 1_000,
    }))
    .filter((block) => block.seconds > 0);
  const events = total(perBlock.map((block) => block.events));
  const seconds = total(perBlock.map((block) => block.seconds));
  const effect = occurrenceDesignEffect(perBlock);
  // Nothing answered is evidence too: time goes on as the answers do that there should have been.
  const size = Math.max(events, limit * seconds);
  const thresholds = thresholdsOf(policy, size, effect, limitIs === 'Most' ? 'Above' : 'Below');
  const bounds = occurrenceBounds({ events, seconds }, thresholds);
  const perSecond = seconds > 0 ? events / seconds : 0;
  const brief = `throughput ${quantity(perSecond, 'PerSecond')}`;
  const untoldSeconds = total(state.blocks.map(({ partial }) => partial?.durationMs ?? 0)) / 1_000;
  return {
    verdict: perBlock.length < MIN_INTERVALS ? 'InsufficientData' : within(bounds, limit, limitIs),
    unit: 'PerSecond',
    canary: perSecond,
    estimate: perSecond,
    ...bounds,
    limit,
    brief,
    reason:
      `${brief}: between ${quantity(bounds.lower, 'PerSecond')} and ${quantity(bounds.upper, 'PerSecond')}, ` +
      `at ${limitIs.toLowerCase()} ${quantity(limit, 'PerSecond')} is allowed` +
      (untoldSeconds > 0 ? `, without ${quantity(untoldSeconds, 'Seconds')} in which not all pods told` : ''),
  };
}
