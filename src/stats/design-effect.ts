import { type Occurrences, type Proportion, rate, sum, type Thresholds } from './proportion.ts';

/**
 * How much less the requests tell than as many independent ones would (Kish's design effect): errors come in bursts, and
 * slow requests too. Its source is the variance over intervals, not over requests.
 */
export interface DesignEffect {
  /** Variance over intervals relative to that of independent requests; at least 1. */
  readonly factor: number;
  /** How well the variance is known, as degrees of freedom (Satterthwaite); Infinity where requests are as independent ones. */
  readonly degreesOfFreedom: number;
  /**
   * The same, by bound, where a bound may go by the sizes of bursts and by how many more there would have to be: on the side
   * to which bursts lead, in intervals without one. Elsewhere it is `degreesOfFreedom`.
   */
  readonly boundDegreesOfFreedom: Thresholds;
}

const UNBOUNDED = Number.POSITIVE_INFINITY;
export const INDEPENDENT: DesignEffect = {
  factor: 1,
  degreesOfFreedom: UNBOUNDED,
  boundDegreesOfFreedom: { lower: UNBOUNDED, upper: UNBOUNDED },
};

/** Fewer blocks than this say nothing about a variance. */
const MIN_BLOCKS = 4;

type Vector = readonly number[];

const square = (value: number) => value * value;
const squaredLength = (vector: Vector) => vector.reduce((sum, value) => sum + square(value), 0);
const add = (a: Vector, b: Vector): Vector => a.map((value, k) => value + (b[k] ?? 0));

/** Adjacent blocks added up, two by two; an odd last one goes to the two before it. */
function inPairs(blocks: readonly Vector[]): Vector[] {
  const pairs: Vector[] = [];
  for (const [index, block] of blocks.entries()) {
    const former = pairs.at(-1);
    if (index % 2 === 0 && (index + 1 < blocks.length || former === undefined)) pairs.push(block);
    else pairs.splice(-1, 1, add(former ?? [], block));
  }
  return pairs;
}

interface Variation {
  readonly factor: number;
  readonly blocks: number;
  /** Of so many blocks of equal variance the factor would be as uncertain as it is. */
  readonly effectiveBlocks: number;
  /** Above 0 where bursts are of more events, below where they are of fewer; 0 of several differences, which have no side. */
  readonly skew: number;
}

function variationOf(blocks: readonly Vector[], variance: number): Variation {
  const squares = blocks.map(squaredLength);
  const total = squares.reduce((sum, value) => sum + value, 0);
  const fourth = squares.reduce((sum, value) => sum + square(value), 0);
  return {
    factor: (total * blocks.length) / (blocks.length - 1) / variance,
    blocks: blocks.length,
    effectiveBlocks: fourth > 0 ? square(total) / fourth : blocks.length,
    skew: blocks.reduce((sum, [value = 0, ...others]) => sum + (others.length === 0 ? value ** 3 : 0), 0),
  };
}

/** The 99th percentile of what independent requests give, as a factor: chi-square over its degrees of freedom (Wilson and Hilferty). */
function usualFactor(blocks: number): number {
  const spread = 2 / (9 * (blocks - 1));
  return (1 - spread + 2.326 * Math.sqrt(spread)) ** 3;
}

/**
 * 1 unless the variance over intervals is clearly more than independent requests have. Then the largest over blocks of one,
 * two, four and eight intervals, each also extrapolated to longer blocks (2 V(2m) - V(m), which takes off the bias of
 * batch means), so that bursts that go on over some intervals are seen as such.
 * @param residuals what each interval adds to the difference (or to several) beyond what the fitted rates say; they add up to 0
 * @param variance of their sum, if requests were independent; of several differences, the sum of variances
 */
export function designEffect(residuals: readonly Vector[], variance: number): DesignEffect {
  if (!(variance > 0)) return INDEPENDENT;
  const variations: Variation[] = [];
  for (let blocks = residuals; blocks.length >= MIN_BLOCKS; blocks = inPairs(blocks)) {
    variations.push(variationOf(blocks, variance));
  }
  if (variations.every(({ factor, blocks }) => factor <= usualFactor(blocks))) return INDEPENDENT;
  let largest = INDEPENDENT;
  for (const [scale, { factor, effectiveBlocks, skew }] of variations.entries()) {
    const shorter = variations[scale - 1]?.factor ?? factor;
    const extrapolated = Math.max(factor, 2 * factor - shorter);
    if (extrapolated <= largest.factor) continue;
    // Only what exceeds the known variance of independent requests is estimated, from as many blocks as matter.
    const estimated = square(1 - 1 / extrapolated);
    const degreesOfFreedom = Math.max(1, effectiveBlocks - 1) / estimated;
    // Of bursts that are as many as by chance, only their size is estimated: the mean of k exponential sizes has 2 k.
    const ofSizes = Math.max(degreesOfFreedom, (2 * effectiveBlocks) / estimated);
    const boundDegreesOfFreedom = {
      lower: skew < 0 ? ofSizes : degreesOfFreedom,
      upper: skew > 0 ? ofSizes : degreesOfFreedom,
    };
    largest = { factor: extrapolated, degreesOfFreedom, boundDegreesOfFreedom };
  }
  return largest;
}

/** Of the difference of two rates. */
export function differenceDesignEffect(
  blocks: readonly { readonly canary: Proportion; readonly stable: Proportion }[],
): DesignEffect {
  const canary = sum(blocks.map((block) => block.canary));
  const stable = sum(blocks.map((block) => block.stable));
  if (canary.trials === 0 || stable.trials === 0) return INDEPENDENT;
  const [p, q] = [rate(canary), rate(stable)];
  const residuals = blocks.map((block) => [
    (block.canary.events - p * block.canary.trials) / canary.trials -
      (block.stable.events - q * block.stable.trials) / stable.trials,
  ]);
  return designEffect(residuals, (p * (1 - p)) / canary.trials + (q * (1 - q)) / stable.trials);
}

/** Of one rate. */
export function rateDesignEffect(blocks: readonly Proportion[]): DesignEffect {
  const all = sum(blocks);
  const p = rate(all);
  const residuals = blocks.map(({ events, trials }) => [events - p * trials]);
  return designEffect(residuals, all.trials * p * (1 - p));
}

/** Of occurrences a second. */
export function occurrenceDesignEffect(blocks: readonly Occurrences[]): DesignEffect {
  const events = blocks.reduce((total, block) => total + block.events, 0);
  const seconds = blocks.reduce((total, block) => total + block.seconds, 0);
  if (seconds === 0) return INDEPENDENT;
  return designEffect(
    blocks.map((block) => [block.events - (events / seconds) * block.seconds]),
    events,
  );
}

/**
 * The deviance of requests as counted that is as strong evidence as a squared standard score of independent ones: with
 * the variance estimated, the likelihood ratio is that of Student's t.
 */
export function countedDeviance(
  squaredScore: number,
  { factor, degreesOfFreedom }: Pick<DesignEffect, 'factor' | 'degreesOfFreedom'>,
): number {
  if (degreesOfFreedom === UNBOUNDED) return factor * squaredScore;
  return factor * degreesOfFreedom * Math.expm1(squaredScore / degreesOfFreedom);
}
