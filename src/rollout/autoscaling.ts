/**
 * Bounds of the revisions' HorizontalPodAutoscalers while Rolling or Recreate replaces pods. While two revisions share the
 * load, at most one of them may grow beyond what the plan gives it, and the maxima add up to no more than the user's
 * maximum and the surge.
 */
import type { RollingPlan } from './rolling.ts';
import type { Bounds } from './types.ts';

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/**
 * Replicas that the plan of this step works towards: the frozen count, or more where load made the autoscalers grow
 * since, so that a rollout never takes away capacity that is needed. Surge pods are the target's: before it has any,
 * all that runs is counted, so that there is always room for the first.
 */
export function steeredReplicas(
  range: Bounds,
  frozen: number,
  target: number,
  old: readonly number[],
  maxSurge: number,
): number {
  return Math.min(range.max, Math.max(frozen, target + sum(old) - Math.min(maxSurge, target)));
}

export interface SteeringInput {
  readonly range: Bounds;
  readonly frozen: number;
  readonly steered: number;
  readonly plan: RollingPlan;
  readonly targetReady: number;
  /** Replicas of the old revisions now, newest first. */
  readonly old: readonly { readonly revision: string; readonly replicas: number }[];
}

export interface Steering {
  /** Also while the target has no replicas yet: an autoscaler rests then, and remembers the frozen count. */
  readonly target: Bounds;
  /** Of the old revisions that keep replicas. */
  readonly old: ReadonlyMap<string, Bounds>;
}

/**
 * Bounds for one step of a rollout. Room to grow goes to the target once it serves, and before that to the
 * largest old revision that is not to shrink: one that is gets its planned count as its maximum, or its autoscaler would
 * not let go.
 */
export function steer({ range, frozen, steered, plan, targetReady, old }: SteeringInput): Steering {
  const headroom = Math.max(0, range.max - steered);
  const keeping = old.filter(({ revision }) => (plan.old.get(revision) ?? 0) > 0);
  const staying = keeping.filter(({ revision, replicas }) => (plan.old.get(revision) ?? 0) >= replicas);
  const growing =
    targetReady > 0
      ? undefined
      : staying.reduce<(typeof staying)[number] | undefined>(
          (largest, each) => (largest === undefined || each.replicas > largest.replicas ? each : largest),
          undefined,
        );
  const bounds = new Map<string, Bounds>();
  for (const each of keeping) {
    const planned = plan.old.get(each.revision) ?? 0;
    const max = planned + (each === growing ? headroom : 0);
    bounds.set(each.revision, { min: Math.min(planned, frozen), max });
  }
  const min = Math.max(1, plan.target);
  return { target: { min, max: min + (growing === undefined ? headroom : 0) }, old: bounds };
}
