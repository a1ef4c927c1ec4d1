/**
 * How a rolling update moves replicas from the old revisions' Deployments to the target's: one pure step from what is
 * observed to absolute counts, so that repeating a step, or repeating it on a slightly old observation, changes nothing.
 */

/** Replicas of one revision's Deployment. */
export interface RevisionReplicas {
  readonly revision: string;
  /** Replicas asked for now (`spec.replicas`). */
  readonly replicas: number;
  /** Pods that are ready now. May still count pods that are on their way out. */
  readonly ready: number;
}

export interface RollingState {
  /** Replicas that the target is to have in the end, at least 0. */
  readonly desired: number;
  /** Pods above `desired` that may exist during the rollout. */
  readonly maxSurge: number;
  /** Pods below `desired` that may be missing during the rollout. */
  readonly maxUnavailable: number;
  readonly target: RevisionReplicas;
  /** The other revisions, newest first. */
  readonly old: readonly RevisionReplicas[];
}

export interface RollingPlan {
  readonly target: number;
  /** Replicas of every old revision by its name. */
  readonly old: ReadonlyMap<string, number>;
}

/** A scale-down that the Deployment controller has not seen yet leaves more ready pods than replicas; they do not count. */
function readyReplicas(revision: RevisionReplicas): number {
  return Math.min(revision.ready, revision.replicas);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/**
 * The next counts. The target grows as far as the surge allows; the old revisions keep as many pods as the availability
 * floor (`desired - maxUnavailable`) needs beside the target's ready ones. So a target that never becomes ready never
 * takes the old pods below the floor. Among the old, ready pods of the newest revision are kept first, since a
 * ReplicaSet removes its unready pods first.
 */
export function planRolling(state: RollingState): RollingPlan {
  const { desired, maxSurge, maxUnavailable, target, old } = state;
  const total = target.replicas + sum(old.map(({ replicas }) => replicas));
  const room = Math.max(0, desired + maxSurge - total);
  const grown = target.replicas >= desired ? desired : Math.min(desired, target.replicas + room);

  const floor = Math.max(0, desired - maxUnavailable);
  let needed = Math.max(0, floor - Math.min(readyReplicas(target), grown));
  const kept = new Map<string, number>();
  for (const revision of old) {
    const ready = Math.min(needed, readyReplicas(revision));
    kept.set(revision.revision, ready);
    needed -= ready;
  }
  // Pods that are not ready may still become so; they are kept only where the ready ones do not reach the floor.
  for (const revision of old) {
    const unready = Math.min(needed, revision.replicas - readyReplicas(revision));
    kept.set(revision.revision, (kept.get(revision.revision) ?? 0) + unready);
    needed -= unready;
  }
  return { target: grown, old: kept };
}

/** All old pods go first; the target only starts when none of them exists any more, nor one of its own that is ending. */
export function planRecreate(state: {
  readonly desired: number;
  readonly target: RevisionReplicas;
  readonly old: readonly RevisionReplicas[];
  /** Pods that have to be gone before the target starts: see `PlanInput`. */
  readonly leftPods: number;
}): RollingPlan {
  const gone = state.leftPods === 0 && state.old.every(({ replicas }) => replicas === 0);
  return {
    target: gone || state.target.replicas > 0 ? state.desired : 0,
    old: new Map(state.old.map(({ revision }) => [revision, 0])),
  };
}

/**
 * A count or a percentage of `desired` as a number of pods, at least 0.
 * @throws RangeError when the text is neither.
 */
export function podCount(value: number | string, desired: number, round: 'up' | 'down'): number {
  const percent = typeof value === 'string' ? /^(\d{1,3})%$/.exec(value)?.[1] : undefined;
  if (percent === undefined) {
    const count = Number(value);
    if (!Number.isInteger(count) || count < 0) throw new RangeError(`"${value}" is neither a count nor a percentage`);
    return count;
  }
  const exact = (Number(percent) * desired) / 100;
  return round === 'up' ? Math.ceil(exact) : Math.floor(exact);
}

/**
 * Surge and unavailability in pods, rounded as Deployments round them (surge up, unavailability down). Where both come
 * to 0 nothing could ever move, so one pod may be unavailable.
 */
export function rollingLimits(
  rolling: { readonly maxSurge?: number | string | undefined; readonly maxUnavailable?: number | string | undefined },
  desired: number,
): { maxSurge: number; maxUnavailable: number } {
  const maxSurge = podCount(rolling.maxSurge ?? '25%', desired, 'up');
  const maxUnavailable = podCount(rolling.maxUnavailable ?? 0, desired, 'down');
  return maxSurge === 0 && maxUnavailable === 0 ? { maxSurge: 0, maxUnavailable: 1 } : { maxSurge, maxUnavailable };
}
