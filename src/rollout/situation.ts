/** What the parts of the engine share: a snapshot, looked at from one progress. */
import { isStepped } from './compile.ts';
import type { Progress } from './progress.ts';
import { readyShares } from './shares.ts';
import { carriedWeight, floorOf } from './sizing.ts';
import type { RevisionState, RolloutSnapshot, Step, Verdict } from './types.ts';

export interface Situation {
  readonly snapshot: RolloutSnapshot;
  readonly progress: Progress;
  /** Pods that carry all of the requests comfortably: what the user asked for, or what the load does. */
  readonly wanted: number;
  /** Ready pods below which nothing is taken away for want of room. */
  readonly floor: number;
  /** Pods give way one for one: as many as the floor allows have to carry everything meanwhile. */
  readonly isSwapping: boolean;
  /** No step begins and no pod is added: a person holds it, or the model of the spec is being looked for. */
  readonly isHeldUp: boolean;
  /** Where requests go now, whoever wrote it; revisions that are gone included. */
  readonly weights: ReadonlyMap<string, number>;
}

export function situationOf(snapshot: RolloutSnapshot, progress: Progress): Situation {
  const wanted = wantedPods(snapshot, progress);
  return {
    snapshot,
    progress,
    wanted,
    floor: floorOf(snapshot.rollout, wanted),
    isSwapping: isSwapping(snapshot, progress),
    isHeldUp: progress.pause !== undefined || !snapshot.isTargetKnown,
    weights: currentWeights(snapshot, progress),
  };
}

/** Whoever goes back, by whatever way, does not wait for room that others can make. */
function isSwapping(snapshot: RolloutSnapshot, progress: Progress): boolean {
  const { advice, rollout } = snapshot;
  if (progress.isSwapping === true || advice?.kind === 'Swap') return true;
  const goesBack = progress.stage !== 'Stepping' || (progress.from === undefined && isStepped(rollout.strategy));
  return goesBack && advice !== undefined && advice.kind !== 'Fits';
}

/** A revision that has no Deployment yet, or none any more. */
export function revisionIn({ revisions }: RolloutSnapshot, name: string): RevisionState {
  return revisions.find((revision) => revision.name === name) ?? { name, replicas: 0, ready: 0, current: 0, onNode: 0 };
}

/** Ready pods that stay: a scale-down that is under way leaves more ready pods than replicas for a moment. */
export function readyPods({ ready, replicas }: RevisionState): number {
  return Math.min(ready, replicas);
}

/** The revision that is to have all of the requests in the end, as things stand. */
export function goalOf({ target, from, stage }: Progress): string {
  return from !== undefined && (stage === 'Returning' || stage === 'Returned') ? from : target;
}

/** Whether the target takes over a step at a time: there are steps, and something that has the requests meanwhile. */
export function isByStep({ progress, snapshot }: Pick<Situation, 'progress' | 'snapshot'>): boolean {
  return progress.stage === 'Stepping' && progress.from !== undefined && isStepped(snapshot.rollout.strategy);
}

/** The step under way; undefined where none is. */
export function currentStep(situation: Pick<Situation, 'progress' | 'snapshot'>): Step | undefined {
  return isByStep(situation) ? situation.snapshot.rollout.steps[situation.progress.step] : undefined;
}

/** The verdict on what is analysed now; one on an earlier step says nothing of this one. */
export function currentVerdict({ snapshot, progress }: Pick<Situation, 'snapshot' | 'progress'>): Verdict | undefined {
  return snapshot.verdict !== undefined && snapshot.verdict.sinceMs === progress.heldSinceMs
    ? snapshot.verdict
    : undefined;
}

/** Pods that carry all of the requests at least. */
export function baseOf({ isSwapping, floor, wanted }: Situation): number {
  return isSwapping ? floor : wanted;
}

/** The weight that a revision's ready pods can carry. */
export function carries(situation: Situation, revision: RevisionState): number {
  return carriedWeight(readyPods(revision), baseOf(situation));
}

export function weightOf({ weights }: Situation, revision: string): number {
  return weights.get(revision) ?? 0;
}

/** Whether requests go to that revision alone: every router that runs says so, or nothing splits them. */
export function hasAllTraffic({ snapshot: { route } }: Pick<Situation, 'snapshot'>, revision: string): boolean {
  return route === undefined || (route.isAcknowledged && route.weights.get(revision) === 100);
}

/** Where no route has been written yet, endpoints were the split. */
function currentWeights(snapshot: RolloutSnapshot, progress: Progress): ReadonlyMap<string, number> {
  const { route, revisions } = snapshot;
  if (route !== undefined && route.weights.size > 0) return route.weights;
  return readyShares(
    revisions.map((revision) => ({ name: revision.name, ready: readyPods(revision) })),
    progress.from ?? goalOf(progress),
  );
}

/**
 * The user's number; or with an autoscaler the number that was there when the rollout began, or more where load made the
 * autoscalers grow since, so that a rollout never takes away what is needed.
 */
function wantedPods({ scale, revisions }: RolloutSnapshot, progress: Progress): number {
  if (scale.kind === 'Fixed') return scale.replicas;
  if (progress.stage === 'Done' || progress.stage === 'Returned') {
    const own = revisions.find(({ name }) => name === goalOf(progress))?.replicas ?? 0;
    return Math.min(scale.max, Math.max(scale.min, own));
  }
  const grown = [progress.from, progress.target].map(
    (name) => revisions.find((revision) => revision.name === name)?.replicas ?? 0,
  );
  const frozen = progress.frozen ?? scale.min;
  return Math.min(scale.max, Math.max(scale.min, frozen, ...grown));
}
