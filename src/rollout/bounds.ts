/**
 * Bounds of the revisions' autoscalers while a rollout goes by steps. The autoscalers own the counts; a rollout steers
 * them by their bounds alone. The stable revision's minimum is what it had when the rollout began, or more where load asks
 * for more; the maxima add up to no more than the user's and the pods of the new revision beside them.
 */
import { goalOf, isByStep, readyPods, revisionIn, type Situation } from './situation.ts';
import type { Bounds } from './types.ts';

/** @param replicas what each revision is planned to have; those with none have no autoscaler */
export function steppedBounds(
  situation: Situation,
  replicas: ReadonlyMap<string, number>,
  weights: ReadonlyMap<string, number>,
): ReadonlyMap<string, Bounds> | undefined {
  const { snapshot, progress, wanted } = situation;
  const { scale } = snapshot;
  if (scale.kind === 'Fixed') return undefined;
  // Load may have raised the minimum since.
  const frozen = Math.max(scale.min, progress.frozen ?? 0);
  const running = [...replicas].filter(([, count]) => count > 0);
  const goal = goalOf(progress);
  const isAlone = running.every(([name]) => name === goal);
  if (isAlone && (progress.stage === 'Done' || progress.stage === 'Returned')) {
    return new Map(running.map(([name]) => [name, { min: scale.min, max: scale.max }]));
  }
  const strays = running.filter(([name]) => name !== progress.target && name !== (progress.from ?? goal));
  const replaced = strays.reduce((sum, [, count]) => sum + count, 0);
  const headroom = Math.max(0, scale.max - wanted - replaced);
  const own = growing(situation) ? Math.floor((headroom * (weights.get(progress.target) ?? 0)) / 100) : 0;
  const bounds = new Map<string, Bounds>();
  for (const [name, planned] of running) {
    const rest = isByStep(situation) ? name === progress.from : name === goal;
    const extra = name === progress.target && isByStep(situation) ? own : rest ? headroom - own : 0;
    const isShrinking = planned < revisionIn(snapshot, name).replicas;
    const isMain = name === goal || name === progress.target;
    bounds.set(name, { min: isMain ? planned : Math.min(planned, frozen), max: planned + (isShrinking ? 0 : extra) });
  }
  return bounds;
}

/** Load may only add pods of the new revision where nothing else had to give way for them. */
function growing(situation: Situation): boolean {
  const { snapshot, progress, isSwapping } = situation;
  return isByStep(situation) && !isSwapping && readyPods(revisionIn(snapshot, progress.target)) > 0;
}
