import { countedDeviance, type DesignEffect, designEffect, INDEPENDENT } from './design-effect.ts';
import type { Bounds, Thresholds } from './proportion.ts';

/** What one interval counted of each category, on both sides. */
export interface CategoryCounts {
  readonly canary: readonly number[];
  readonly stable: readonly number[];
}

const sumOf = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0);

/** Half the sum of the differences of the shares: the largest share of answers that the two sides can differ in; 0 to 1. */
export function totalVariation(canary: readonly number[], stable: readonly number[]): number {
  const [canaryTotal, stableTotal] = [sumOf(canary), sumOf(stable)];
  if (canaryTotal === 0 || stableTotal === 0) return 0;
  return sumOf(canary.map((count, k) => Math.abs(count / canaryTotal - (stable[k] ?? 0) / stableTotal))) / 2;
}

/** The categories' counts of all intervals. */
export function pooled(blocks: readonly CategoryCounts[]): CategoryCounts {
  const add = (side: 'canary' | 'stable') => {
    const [first, ...rest] = blocks.map((block) => block[side]);
    return rest.reduce((sums, counts) => sums.map((sum, k) => sum + (counts[k] ?? 0)), [...(first ?? [])]);
  };
  return { canary: add('canary'), stable: add('stable') };
}

/**
 * How much less than independent rows the rows of both sides tell: they come many to a request, and drift over the day.
 * Of all categories together.
 */
export function categoryDesignEffect(blocks: readonly CategoryCounts[]): DesignEffect {
  const { canary, stable } = pooled(blocks);
  const [canaryTotal, stableTotal] = [sumOf(canary), sumOf(stable)];
  if (canaryTotal === 0 || stableTotal === 0) return INDEPENDENT;
  const shares = canary.map((count, k) => [count / canaryTotal, (stable[k] ?? 0) / stableTotal] as const);
  const variance = sumOf(shares.map(([p, q]) => (p * (1 - p)) / canaryTotal + (q * (1 - q)) / stableTotal));
  const residuals = blocks.map((block) => {
    const [inCanary, inStable] = [sumOf(block.canary), sumOf(block.stable)];
    return shares.map(
      ([p, q], k) =>
        ((block.canary[k] ?? 0) - p * inCanary) / canaryTotal - ((block.stable[k] ?? 0) - q * inStable) / stableTotal,
    );
  });
  return designEffect(residuals, variance);
}

/**
 * Bounds of the total variation between what two sides predict. The estimate is too large on average, by at most the
 * noise of every category, which the lower bound takes off; around its mean it strays by McDiarmid's inequality.
 * @param thresholds on squared standard scores
 */
export function totalVariationBounds(
  { canary, stable }: CategoryCounts,
  thresholds: Thresholds,
  effect: DesignEffect,
): Bounds {
  const [canaryTotal, stableTotal] = [sumOf(canary), sumOf(stable)];
  if (canaryTotal === 0 || stableTotal === 0) return { lower: 0, upper: 1 };
  const estimate = totalVariation(canary, stable);
  const perRow = 1 / canaryTotal + 1 / stableTotal;
  const noise = sumOf(
    canary.map((count, k) => {
      const share = (count + (stable[k] ?? 0)) / (canaryTotal + stableTotal);
      return Math.sqrt((effect.factor * (2 / Math.PI) * share * (1 - share) * perRow) / 4);
    }),
  );
  const strays = (threshold: number) => Math.sqrt((countedDeviance(threshold, effect) * perRow) / 4);
  return {
    lower: Math.max(0, estimate - noise - strays(thresholds.lower)),
    upper: Math.min(1, estimate + strays(thresholds.upper)),
  };
}
