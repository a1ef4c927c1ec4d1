import { own } from '../../api/own.ts';
import { total } from '../../stats/histogram.ts';
import { categoryDesignEffect, pooled, totalVariation, totalVariationBounds } from '../../stats/total-variation.ts';
import { type Claim, comparedSize, thresholdsOf, within } from './claim.ts';
import type { AnalysisPolicy } from './policy.ts';
import { groupNames, isEmpty, rowsOf } from './predictions.ts';
import { quantity } from './quantity.ts';
import type { AnalysisState } from './state.ts';

/** The distance of the canary's predictions from stable's, of one output. Undefined while stable has predicted too little. */
function outputClaim(state: AnalysisState, policy: AnalysisPolicy, output: string, max: number): Claim | undefined {
  const grouping = state.groupings[output];
  if (grouping === undefined) return undefined;
  const names = groupNames(grouping);
  const blocks = state.blocks.map((block) => {
    const countsOf = (side: 'canary' | 'stable') => {
      const predictions = own(block[side].predictions, output);
      return [...names.map((name) => predictions?.counts[name] ?? 0), predictions?.other ?? 0];
    };
    return { canary: countsOf('canary'), stable: countsOf('stable') };
  });
  const { canary, stable } = pooled(blocks);
  const effect = categoryDesignEffect(blocks);
  const thresholds = thresholdsOf(policy, comparedSize(total(canary), total(stable)), effect, 'Above');
  const shown = totalVariationBounds({ canary, stable }, thresholds, effect);
  const bounds = isEmpty(grouping) ? { ...shown, upper: 1 } : shown;
  const distance = totalVariation(canary, stable);
  const brief = `predictions of ${output} differ by ${quantity(distance, 'Share')}`;
  return {
    verdict: within(bounds, max, 'Most'),
    unit: 'Share',
    canary: distance,
    estimate: distance,
    ...bounds,
    limit: max,
    brief,
    reason:
      `${brief}: between ${quantity(bounds.lower, 'Share')} and ${quantity(bounds.upper, 'Share')}, ` +
      `at most ${quantity(max, 'Share')} is allowed`,
  };
}

/** Of the rows that stable answered for the output asked for most: an output asked for less is not judged. */
const SELDOM = 0.1;

/** Outputs that enough requests ask for: one that a few did would leave the verdict open for as long as they are few. */
function usualOutputs({ blocks, groupings }: AnalysisState): readonly string[] {
  const rows = new Map(
    Object.keys(groupings).map((output) => {
      const predictions = blocks.flatMap(({ stable }) => own(stable.predictions, output) ?? []);
      return [output, total(predictions.map(rowsOf))];
    }),
  );
  const most = Math.max(0, ...rows.values());
  return [...rows].filter(([, count]) => count >= SELDOM * most).map(([output]) => output);
}

/** Of the output that differs most. */
export function predictionDistance(state: AnalysisState, policy: AnalysisPolicy, max: number): Claim | undefined {
  const outputs = usualOutputs(state);
  const divided = { ...policy, falseAlarm: policy.falseAlarm / Math.max(1, outputs.length) };
  return outputs
    .map((output) => outputClaim(state, divided, output, max))
    .filter((claim) => claim !== undefined)
    .sort((a, b) => (b.lower ?? 0) - (a.lower ?? 0) || (b.upper ?? 0) - (a.upper ?? 0))[0];
}
