/** How many pods of the new revision a step needs. */
import type { Situation } from './situation.ts';
import { podsFor } from './sizing.ts';
import type { Step } from './types.ts';

/**
 * A canary is as large as its share; smoke is as large as what comes after it. BlueGreen is in full from the start, but
 * where pods have to give way one for one: then it grows with its share like a canary. Before it has a share no more pods
 * give way than the floor allows; routers drop copies that are too many for them.
 */
export function stepPods(
  { snapshot, progress, wanted, floor, isSwapping }: Situation,
  { kind, percent }: Step,
): number {
  if (wanted === 0) return 0;
  const { strategy, steps } = snapshot.rollout;
  if (strategy === 'BlueGreen' && !isSwapping) return wanted;
  if (kind === 'weight') return podsFor(percent, wanted);
  const following = kind === 'smoke' ? steps.slice(progress.step).find((step) => step.kind !== 'smoke') : undefined;
  const needed = Math.max(1, podsFor(following?.percent ?? percent, wanted));
  return isSwapping ? Math.min(needed, Math.max(1, wanted - floor)) : needed;
}
