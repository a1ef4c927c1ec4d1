/** How many pods of the new revision a step needs. */
import type { Situation } from './situation.ts';
import { podsFor } from './sizing.ts';
import type { Step } from './types.ts';

/**
 * A canary is as large as its share; smoke is as large as what comes after it. BlueGreen is in full from the start, but
 * where pods have to give way one for one: then it grows with its share like a canary.
 */
export function stepPods({ snapshot, progress, wanted, isSwapping }: Situation, { kind, percent }: Step): number {
  if (wanted === 0) return 0;
  const { strategy, steps } = snapshot.rollout;
  if (strategy === 'BlueGreen' && !isSwapping) return wanted;
  if (kind !== 'smoke') return Math.max(1, podsFor(percent, wanted));
  const following = isSwapping ? undefined : steps.slice(progress.step).find((step) => step.kind !== 'smoke');
  return Math.max(1, podsFor(following?.percent ?? 0, wanted));
}
