/**
 * Rolling and Recreate: pods of the new revision take the place of those of the others, and requests follow the pods that
 * are ready. Autoscalers are steered by their bounds alone.
 */
import { steer, steeredReplicas } from './autoscaling.ts';
import type { Pods } from './pods.ts';
import { planRecreate, planRolling, type RevisionReplicas, type RollingPlan, rollingLimits } from './rolling.ts';
import { readyShares } from './shares.ts';
import { goalOf, readyPods, revisionIn, type Situation, weightOf } from './situation.ts';
import { floorOf } from './sizing.ts';
import type { Bounds, RevisionState, RoomClaim } from './types.ts';

export interface Replacing extends Pods {
  readonly autoscalers: ReadonlyMap<string, Bounds> | undefined;
  /** Where requests are to go, in proportion to the pods that are ready and stay. */
  readonly weights: ReadonlyMap<string, number>;
}

export function planReplacing(situation: Situation): Replacing {
  const { snapshot, progress } = situation;
  const goal = revisionIn(snapshot, goalOf(progress));
  const old = snapshot.revisions.filter(({ name }) => name !== goal.name);
  const desired = desiredPods(situation, goal, old);
  const ideal = countsOf(situation, goal, old, desired);
  const weights = sharesOf(situation, goal, old, ideal);
  const claim = claimOf(situation, goal, old, ideal, desired);
  const counts = guarded(situation, old, weights, {
    ...ideal,
    target: claim === undefined ? ideal.target : Math.min(ideal.target, advisedPods(situation, goal)),
  });
  const autoscalers = boundsOf(situation, goal, old, counts, desired);
  return {
    replicas: new Map([[goal.name, counts.target], ...counts.old]),
    claim,
    victims: snapshot.advice?.kind === 'Swap' ? snapshot.advice.victims : [],
    autoscalers,
    weights,
  };
}

/** Pods to work towards: with an autoscaler as many as it has now, less the surge, if that is more than there were. */
function desiredPods(situation: Situation, goal: RevisionState, old: readonly RevisionState[]): number {
  const { snapshot, progress, wanted } = situation;
  const { scale, rollout } = snapshot;
  if (scale.kind === 'Fixed' || isSettled(situation, old)) return wanted;
  const frozen = Math.min(scale.max, Math.max(scale.min, progress.frozen ?? 0));
  const { maxSurge } = rollingLimits(rollout, frozen);
  const running = old.map(({ replicas }) => replicas);
  return steeredReplicas(scale, frozen, goal.replicas, running, maxSurge);
}

function isSettled({ progress }: Situation, old: readonly RevisionState[]): boolean {
  const isOver = progress.stage === 'Done' || progress.stage === 'Returned';
  return isOver && old.every(({ replicas, ready }) => replicas === 0 && ready === 0);
}

function countsOf(
  situation: Situation,
  goal: RevisionState,
  old: readonly RevisionState[],
  desired: number,
): RollingPlan {
  const { snapshot, isSwapping } = situation;
  const { rollout, leftPods } = snapshot;
  const state = { desired, target: asReplicas(goal), old: old.map(asReplicas) };
  if (isHeld(situation) && old.some(({ replicas }) => replicas > 0)) {
    return { target: goal.replicas, old: new Map(old.map(({ name, replicas }) => [name, replicas])) };
  }
  if (rollout.strategy === 'Recreate') return planRecreate({ ...state, leftPods });
  const limits = isSwapping
    ? { maxSurge: 0, maxUnavailable: desired - floorOf(rollout, desired) }
    : rollingLimits(rollout, desired);
  return planRolling({ ...state, ...limits });
}

/** Whoever goes back needs no pod of what is not known, and nobody pauses it. */
function isHeld({ isHeldUp, progress: { stage } }: Situation): boolean {
  return isHeldUp && (stage === 'Stepping' || stage === 'Keeping');
}

function asReplicas({ name, replicas, ready }: RevisionState): RevisionReplicas {
  return { revision: name, replicas, ready };
}

function sharesOf(
  situation: Situation,
  goal: RevisionState,
  old: readonly RevisionState[],
  plan: RollingPlan,
): ReadonlyMap<string, number> {
  const { stage } = situation.progress;
  const hasTakenOver = (stage === 'Keeping' || stage === 'Done') && weightOf(situation, goal.name) === 100;
  // The one before keeps pods for a while where there were steps until now: that gives it no requests back.
  if (hasTakenOver && Math.min(readyPods(goal), plan.target) > 0) return new Map([[goal.name, 100]]);
  const staying = [
    { name: goal.name, ready: Math.min(readyPods(goal), plan.target) },
    ...old.map((each) => ({ name: each.name, ready: Math.min(readyPods(each), plan.old.get(each.name) ?? 0) })),
  ];
  const shares = readyShares(staying, goal.name);
  return new Map([...shares].filter(([, weight]) => weight > 0));
}

function claimOf(
  situation: Situation,
  goal: RevisionState,
  old: readonly RevisionState[],
  plan: RollingPlan,
  desired: number,
): RoomClaim | undefined {
  const { snapshot, progress, isSwapping } = situation;
  const donors = old.filter(({ replicas }) => replicas > 0);
  // While pods give way, a step of planRolling asks for nothing before an old one has gone; the claim says what it is for.
  const next = isSwapping ? Math.min(desired, goal.replicas + 1) : 0;
  const wanted = Math.max(plan.target, next) - goal.onNode;
  if (snapshot.rollout.strategy === 'Recreate' || isHeld(situation) || donors.length === 0 || wanted <= 0)
    return undefined;
  const ready = donors.reduce((sum, each) => sum + readyPods(each), 0);
  const unready = donors.reduce((sum, each) => sum + each.replicas - readyPods(each), 0);
  const spare = readyPods(goal) + ready - floorOf(snapshot.rollout, desired);
  return {
    revision: goal.name,
    startedAtMs: progress.startedAtMs,
    wanted,
    removable: unready + Math.max(0, Math.min(ready, spare)),
    donors: donors.map(({ name }) => name),
    vacant: desired - goal.onNode - old.reduce((sum, { replicas }) => sum + replicas, 0),
    starting: Math.max(0, goal.onNode - goal.ready),
    isAllOrNothing: false,
    isSwapping: progress.isSwapping === true || progress.stage === 'Returning',
  };
}

function advisedPods({ snapshot }: Situation, goal: RevisionState): number {
  return snapshot.advice === undefined ? goal.replicas : goal.onNode + snapshot.advice.pods;
}

/** The last pods of a revision go after every router has said that it sends nothing there. Recreate ends all anyway. */
function guarded(
  situation: Situation,
  old: readonly RevisionState[],
  weights: ReadonlyMap<string, number>,
  plan: RollingPlan,
): RollingPlan {
  const { route, rollout } = situation.snapshot;
  if (route === undefined || rollout.strategy === 'Recreate') return plan;
  const kept = old.map((each): [string, number] => {
    const planned = plan.old.get(each.name) ?? 0;
    const maySend = !route.isAcknowledged || weightOf(situation, each.name) > 0 || (weights.get(each.name) ?? 0) > 0;
    return [each.name, planned === 0 && maySend && readyPods(each) > 0 ? 1 : planned];
  });
  return { ...plan, old: new Map(kept) };
}

function boundsOf(
  situation: Situation,
  goal: RevisionState,
  old: readonly RevisionState[],
  counts: RollingPlan,
  steered: number,
): ReadonlyMap<string, Bounds> | undefined {
  const { snapshot, progress } = situation;
  const { scale } = snapshot;
  if (scale.kind === 'Fixed') return undefined;
  if (isSettled(situation, old)) {
    return new Map(counts.target > 0 ? [[goal.name, { min: scale.min, max: scale.max }]] : []);
  }
  const frozen = Math.min(scale.max, Math.max(scale.min, progress.frozen ?? 0));
  const plan = steer({
    range: scale,
    frozen,
    steered,
    plan: counts,
    targetReady: readyPods(goal),
    old: old.map(asReplicas),
  });
  return new Map([...(counts.target > 0 ? [[goal.name, plan.target] as const] : []), ...plan.old]);
}
