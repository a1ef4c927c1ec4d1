/** Where a rollout goes on when its steps, or its strategy, change in the middle. */
import type { Progress } from './progress.ts';

/**
 * The step that gives the revision the most, of those that give it no more than the one under way: no change of steps gives
 * it what the step before has not been held for. Of several alike it is the first, and where each gives more the first of
 * all, which nothing guards.
 * @param steps as `stepsText` writes them
 */
export function stepAfterChange(
  progress: Pick<Progress, 'step' | 'steps'>,
  steps: string,
): { readonly step: number; readonly isSame: boolean } {
  const before = progress.steps.split(' ')[progress.step] ?? '';
  const after = steps.split(' ');
  const given = after.map(exposure);
  const most = Math.max(...given.filter((each) => each <= exposure(before)));
  const step = Math.max(0, given.indexOf(most));
  return { step, isSame: after[step] === before };
}

/** Grows with what a step gives: smoke nothing, copies less than any answers. */
function exposure(step: string): number {
  return 1_000 * 'smw'.indexOf(step.charAt(0)) + Number(step.slice(1));
}
