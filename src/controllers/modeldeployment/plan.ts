/** How many replicas each revision is to have next, and within which bounds autoscalers may choose. Pure. */
import type { ModelDeploymentSpec } from '../../api/v1alpha1/model-deployment.ts';
import {
  type AutoscalerBounds,
  frozenReplicas,
  isTakingOver,
  type Steering,
  steer,
  steeredReplicas,
} from './autoscaling.ts';
import type { Revision } from './revision.ts';
import { planRecreate, planRolling, type RevisionReplicas, type RollingPlan, rollingLimits } from './rolling.ts';

export interface PlanInput {
  readonly spec: Pick<ModelDeploymentSpec, 'replicas' | 'autoscaling' | 'rollout'>;
  /** The wanted revision, where its Deployment exists already. */
  readonly target: Revision | undefined;
  /** The other revisions, newest first. */
  readonly old: readonly Revision[];
  /**
   * Pods that still exist, ending ones included, of the other revisions; of the target too for as long as it is to have
   * none, since they are of an earlier turn of it.
   */
  readonly leftPods: number;
}

export interface Plan {
  /** Ready pods of the target with which the rollout is complete. */
  readonly wanted: number;
  readonly counts: RollingPlan;
  /** With `spec.autoscaling` only. */
  readonly autoscalers?: Steering & {
    /** Count to remember on the autoscalers while the rollout goes on. */
    readonly rolloutReplicas: number | undefined;
  };
  readonly isComplete: boolean;
}

export function planReplicas(input: PlanInput): Plan {
  const { spec, target, old } = input;
  const gone = old.every(({ replicas, ready }) => replicas === 0 && ready === 0);
  const complete = (wanted: number) =>
    gone && target !== undefined && target.replicas > 0 === wanted > 0 && target.ready >= wanted;
  const { autoscaling } = spec;
  if (autoscaling === undefined) {
    const wanted = spec.replicas ?? 1;
    return { wanted, counts: countsOf(input, wanted), isComplete: complete(wanted) };
  }
  const range: AutoscalerBounds = { min: autoscaling.minReplicas, max: autoscaling.maxReplicas };
  const isHeldBack = spec.rollout.strategy === 'Recreate' && input.leftPods > 0 && (target?.replicas ?? 0) === 0;
  if (gone && !isTakingOver(target) && !isHeldBack) {
    // Nothing to steer: the autoscaler chooses. It rests at 0 replicas, so that the first step from there is ours.
    const current = target === undefined || target.replicas === 0 ? range.min : target.replicas;
    const counts = { target: current, old: new Map(old.map(({ name }) => [name, 0])) };
    const autoscalers = { target: range, old: new Map(), rolloutReplicas: undefined };
    return { wanted: range.min, counts, autoscalers, isComplete: complete(range.min) };
  }
  const frozen = frozenReplicas(range, target, old);
  const { maxSurge } = rollingLimits(spec.rollout, frozen);
  const running = old.map(({ replicas }) => replicas);
  const steered = steeredReplicas(range, frozen, target?.replicas ?? 0, running, maxSurge);
  const counts = countsOf(input, steered);
  const steering = steer({
    range,
    frozen,
    steered,
    plan: counts,
    targetReady: target?.ready ?? 0,
    old: old.map(asReplicas),
  });
  return {
    wanted: frozen,
    counts,
    autoscalers: { ...steering, rolloutReplicas: frozen },
    isComplete: complete(frozen),
  };
}

function countsOf({ spec, target, old, leftPods }: PlanInput, desired: number): RollingPlan {
  const state = {
    desired,
    target: target === undefined ? { revision: '', replicas: 0, ready: 0 } : asReplicas(target),
    old: old.map(asReplicas),
  };
  return spec.rollout.strategy === 'Recreate'
    ? planRecreate({ ...state, leftPods })
    : planRolling({ ...state, ...rollingLimits(spec.rollout, desired) });
}

function asReplicas({ name, replicas, ready }: Revision): RevisionReplicas {
  return { revision: name, replicas, ready };
}

/** Old revisions kept without pods, so that a return to one needs no new resolution and is the same bytes and image. */
export const KEPT_REVISIONS = 2;

/** The old revisions whose objects can go: those without pods beyond the newest few. */
export function surplusRevisions(old: readonly Revision[]): readonly Revision[] {
  return old.filter(({ replicas, current }) => replicas === 0 && current === 0).slice(KEPT_REVISIONS);
}
