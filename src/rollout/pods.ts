/**
 * How many pods each revision is to have next, where rollouts go by steps. Nothing is taken from a revision before every
 * router has said that it sends nothing there; nothing is added beyond what the planner of capacity advises while another
 * revision's pods could give way for it.
 */

import { baseOf, currentStep, goalOf, isByStep, readyPods, revisionIn, type Situation, weightOf } from './situation.ts';
import { floorOf, leastPods } from './sizing.ts';
import { stepPods } from './step-pods.ts';
import type { RevisionState, RoomClaim } from './types.ts';

export interface Pods {
  readonly replicas: ReadonlyMap<string, number>;
  readonly claim: RoomClaim | undefined;
  readonly victims: readonly string[];
}

interface Growth {
  readonly revision: RevisionState;
  /** Pods that it is to have. */
  readonly goal: number;
  /** Pods of the others next, before any gives way for want of room. */
  readonly others: ReadonlyMap<string, number>;
}

/** @param next the weights that are being written now */
export function planPods(situation: Situation, next: ReadonlyMap<string, number>): Pods {
  const { snapshot, progress, isHeldUp } = situation;
  const growth = growthOf(situation, next);
  const { revision, goal, others } = growth;
  const isSettled = progress.stage === 'Done' || progress.stage === 'Returned';
  const donors = [...others].filter(([name, count]) => count > 0 || revisionIn(snapshot, name).replicas > 0);
  const wanted = goal - Math.min(goal, revision.onNode);
  if (isSettled || donors.length === 0 || wanted === 0) {
    return { replicas: new Map([[revision.name, goal], ...others]), claim: undefined, victims: [] };
  }
  // Nothing gives way for it while it is held: the pods that it has asked for wait for room as they are.
  if (isHeldUp && progress.stage === 'Stepping') return { ...withoutAdvice(growth), claim: undefined };
  const removable = removablePods(situation, growth, next);
  const claim: RoomClaim = {
    revision: revision.name,
    startedAtMs: progress.startedAtMs,
    wanted,
    removable: removable.reduce((sum, [, count]) => sum + count, 0),
    donors: donors.map(([name]) => name),
    vacant: situation.wanted - revision.onNode - [...others.values()].reduce((sum, count) => sum + count, 0),
    starting: Math.max(0, revision.onNode - revision.ready),
    isAllOrNothing: snapshot.rollout.strategy === 'BlueGreen' && !situation.isSwapping && isByStep(situation),
    // Whoever goes back does not wait for a cluster autoscaler: the pods that give way are those that failed.
    isSwapping: progress.isSwapping === true || progress.stage === 'Returning',
  };
  return { ...advised(situation, growth, removable), claim };
}

function growthOf(situation: Situation, next: ReadonlyMap<string, number>): Growth {
  const { target, from } = situation.progress;
  if (!isByStep(situation) || from === undefined) return gathering(situation, next, goalOf(situation.progress));
  // Where another revision was replaced half-way, what it answered goes back before the next one starts.
  const isClear = [...next.keys()].every((name) => name === target || name === from);
  return isClear ? stepping(situation, next) : gathering(situation, next, from);
}

function withoutAdvice({ revision, goal, others }: Growth): Omit<Pods, 'claim'> {
  return { replicas: new Map([[revision.name, Math.min(goal, revision.replicas)], ...others]), victims: [] };
}

function advised({ snapshot }: Situation, growth: Growth, removable: readonly [string, number][]): Omit<Pods, 'claim'> {
  const { advice } = snapshot;
  if (advice === undefined) return withoutAdvice(growth);
  const { revision, goal, others } = growth;
  const grown = Math.min(goal, revision.onNode + advice.pods);
  const given = new Map(others);
  let remove = advice.kind === 'Swap' ? advice.remove : 0;
  for (const [name, count] of removable) {
    const taken = Math.min(count, remove);
    given.set(name, (given.get(name) ?? 0) - taken);
    remove -= taken;
  }
  return {
    replicas: new Map([[revision.name, grown], ...given]),
    victims: advice.kind === 'Swap' ? advice.victims : [],
  };
}

function stepping(situation: Situation, next: ReadonlyMap<string, number>): Growth {
  const { snapshot, progress, wanted, isHeldUp, isSwapping } = situation;
  const target = revisionIn(snapshot, progress.target);
  const stable = revisionIn(snapshot, progress.from ?? '');
  const step = currentStep(situation);
  const needed = step === undefined ? wanted : stepPods(situation, step);
  const others = new Map<string, number>();
  for (const { name } of snapshot.revisions) {
    if (name !== target.name && name !== stable.name) {
      others.set(name, atLeastNeeded(situation, revisionIn(snapshot, name), next, 0));
    }
  }
  // Pods of a replaced revision give their places to the next one; both at once would be a second surge.
  const replaced = [...others.values()].reduce((sum, count) => sum + count, 0);
  const placed = Math.min(needed, isHeldUp ? target.replicas : Math.max(target.replicas, needed - replaced));
  const own = atLeastNeeded(situation, target, next, placed);
  // It stays as warm as it was; what it gave away it does not ask back while the other needs it.
  const warm = isSwapping ? Math.min(stable.replicas, wanted) : wanted;
  const carrying = isSwapping ? leastPods(weightOf(situation, stable.name), baseOf(situation)) : 0;
  others.set(stable.name, atLeastNeeded(situation, stable, next, Math.max(warm, Math.min(carrying, wanted))));
  return { revision: target, goal: own, others };
}

function gathering(situation: Situation, next: ReadonlyMap<string, number>, name: string): Growth {
  const { snapshot, progress, wanted, isHeldUp } = situation;
  const goal = revisionIn(snapshot, name);
  const others = new Map<string, number>();
  for (const revision of snapshot.revisions) {
    if (revision.name === goal.name) continue;
    const isKept = progress.stage === 'Keeping' && revision.name === progress.from;
    const kept = isKept ? Math.min(wanted, revision.replicas) : 0;
    others.set(revision.name, atLeastNeeded(situation, revision, next, kept));
  }
  const mayStart = !isHeldUp || goal.replicas > 0 || progress.stage !== 'Stepping';
  return { revision: goal, goal: mayStart ? wanted : 0, others };
}

/**
 * A count that is not below what the revision's requests need: those that it has, those that it is about to have, and,
 * until every router has said what it applies, whatever it may have had.
 */
function atLeastNeeded(
  situation: Situation,
  revision: RevisionState,
  next: ReadonlyMap<string, number>,
  count: number,
): number {
  return Math.max(count, Math.min(revision.replicas, neededPods(situation, revision, next)));
}

function neededPods(situation: Situation, revision: RevisionState, next: ReadonlyMap<string, number>): number {
  const { snapshot } = situation;
  if (readyPods(revision) === 0 || snapshot.route === undefined) return 0;
  if (!snapshot.route.isAcknowledged) return revision.replicas;
  const weight = Math.max(weightOf(situation, revision.name), next.get(revision.name) ?? 0);
  return leastPods(weight, baseOf(situation));
}

/** By revision, how many pods may go now to make room: the unready first, then what neither weight nor floor needs. */
function removablePods(
  situation: Situation,
  { revision, others }: Growth,
  next: ReadonlyMap<string, number>,
): readonly [string, number][] {
  const { snapshot, wanted } = situation;
  if (snapshot.route?.isAcknowledged === false) return [];
  const floor = floorOf(snapshot.rollout, wanted);
  const donors = [...others].map(([name, count]) => ({ name, count, donor: revisionIn(snapshot, name) }));
  const readyOf = (each: { readonly count: number; readonly donor: RevisionState }) =>
    Math.min(each.count, each.donor.ready);
  let spare = readyPods(revision) + donors.reduce((sum, each) => sum + readyOf(each), 0) - floor;
  return donors.map((each): [string, number] => {
    const ready = readyOf(each);
    const weight = Math.max(weightOf(situation, each.name), next.get(each.name) ?? 0);
    const free = Math.max(0, Math.min(ready - leastPods(weight, floor), spare));
    spare -= free;
    return [each.name, Math.min(each.count, each.donor.replicas) - ready + free];
  });
}
