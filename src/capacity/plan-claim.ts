/** What one rollout may do about room, after those ahead of it have taken theirs. */
import type { Ledger } from './ledger.ts';
import type { PodDemand } from './pod-demand.ts';
import { preemptionFor } from './preemption.ts';
import type { QuotaLedger, QuotaRoom } from './quota.ts';
import { refusalOf } from './refusal.ts';
import { nodeShortfall } from './shortfall.ts';
import { planSwap } from './swap.ts';
import type { CapacityAdvice, CapacityClaim, CapacitySnapshot, NodeRoom, Wait, WaitReason } from './types.ts';

/** Nodes are read when asked about and not watched: what is missing is asked about again after this time. */
export const ASK_AGAIN_MS = 10_000;
/** Of a pod that has room now the scheduler hears within this time, whatever it was about. */
const CONTRADICTED_MS = 300_000;

export const NOTHING_WANTED: CapacityAdvice = { kind: 'Fits', pods: 0, message: 'no further pod is needed' };

export interface Answered {
  readonly claim: CapacityClaim;
  readonly advice: CapacityAdvice;
}

export interface Situation {
  readonly snapshot: CapacitySnapshot;
  readonly nowMs: number;
  readonly suitableFor: (pod: PodDemand) => readonly NodeRoom[];
  /** What those ahead were told to take is reserved in both of these, and what this one is told is added. */
  readonly ledger: Ledger;
  readonly quotas: QuotaLedger;
  /** Claims that are met first. */
  readonly ahead: readonly Answered[];
}

/** @param claim one that wants at least one pod */
export function stepOf(claim: CapacityClaim, situation: Situation): CapacityAdvice {
  const swapping = situation.ahead.find((each) => isMakingRoom(each) && contends(each.claim, claim, situation));
  if (swapping !== undefined) return behind(swapping, 'and has old pods give way for room that both want', situation);
  const holding = situation.ahead.find((each) => isPartial(each, claim) && contends(each.claim, claim, situation));
  if (holding !== undefined) return behind(holding, 'and needs all of its pods at once, as this one does', situation);
  const pending = claim.pending?.count ?? 0;
  const further = Math.max(0, claim.wanted - pending);
  const namespace = namespaceOf(claim);
  const quota = situation.quotas.room(claim.pod, namespace, further);
  const admitted = Math.min(claim.wanted, pending) + quota.pods;
  if (admitted === 0) return withoutQuota(claim, quota, situation);
  const allowed = claim.mode === 'Swap' ? Math.min(admitted, Math.max(0, claim.vacant)) : admitted;
  const advice = isCounted(claim, situation)
    ? counted(claim, allowed, situation)
    : uncounted(claim, allowed, situation);
  situation.quotas.reserve(claim.pod, namespace, advice.pods - pending);
  const isLimited = further > 0 && quota.shortfall !== undefined && advice.kind !== 'Fits';
  return isLimited ? { ...advice, message: `${advice.message}; ${quota.shortfall}` } : advice;
}

const namespaceOf = ({ rollout }: CapacityClaim): string => rollout.slice(0, rollout.indexOf('/'));
const pods = (count: number): string => (count === 1 ? '1 pod' : `${count} pods`);

/** A cluster autoscaler had its time to make room for the pods that are Pending. */
function isProvisioningOver({ isSwapping, mode, pending, provisionTimeoutMs }: CapacityClaim, nowMs: number): boolean {
  if (mode !== 'Surge' && (isSwapping || mode === 'Swap')) return true;
  return pending !== undefined && nowMs >= pending.sinceMs + provisionTimeoutMs;
}

/** Whether counting tells: not where nodes cannot be read, nor where the scheduler names what is not counted here. */
function isCounted({ pod, pending }: CapacityClaim, { snapshot }: Situation): boolean {
  if (snapshot.nodes === 'unreadable' || pod.uncounted !== undefined) return false;
  return pending?.unschedulable === undefined || refusalOf(pending.unschedulable.message).isCounted;
}

/**
 * The scheduler has refused a pod for so long that its count is right and the one in here lacks something: what admission
 * adds to pods, such as a sidecar.
 */
function isContradicted({ pending, provisionTimeoutMs }: CapacityClaim, nowMs: number): boolean {
  const refused = pending?.unschedulable;
  return refused !== undefined && nowMs >= refused.sinceMs + Math.max(provisionTimeoutMs, CONTRADICTED_MS);
}

function counted(claim: CapacityClaim, allowed: number, situation: Situation): CapacityAdvice {
  const { pod, wanted } = claim;
  const { ledger, suitableFor, nowMs } = situation;
  const nodes = suitableFor(pod);
  if (isContradicted(claim, nowMs) && nodes.some((node) => ledger.hasRoom(node, pod, 'now'))) {
    return uncounted(claim, allowed, situation);
  }
  const fitting = ledger.reserve(nodes, pod, allowed, 'now');
  if (fitting > 0) {
    ledger.reserve(nodes, pod, allowed - fitting, 'soon');
    return fits(fitting, `${fitting} of ${pods(wanted)} fit beside what runs`, nowMs);
  }
  const missing = missingFor(pod, situation);
  if (claim.mode === 'Swap') {
    const instead = ledger.reserve(nodes, pod, Math.min(wanted, claim.removable), 'now');
    if (instead > 0) {
      const message = `no pod is added beside the old ones; ${pods(instead)} of an older revision give way to as many of this one`;
      return { kind: 'Swap', pods: instead, remove: instead, victims: [], message };
    }
  }
  if (allowed > 0) {
    const soon = ledger.reserve(nodes, pod, allowed, 'soon');
    if (soon > 0) return wait('PodsEnding', soon, `${pods(soon)} fit once pods that are ending are gone`, nowMs);
    const first = takerOf(claim, situation);
    if (first !== undefined) return behind(first, `and takes the room that is left; ${missing}`, situation);
  }
  if (claim.mode === 'Surge' || !isProvisioningOver(claim, nowMs)) {
    return pendingSurge(claim, allowed, `${missing}${preemptionText(pod, situation)}`, nowMs);
  }
  const old = { namespace: namespaceOf(claim), names: new Set(claim.oldPods), removable: claim.removable };
  const plan = planSwap(pod, nodes, ledger, old, wanted);
  if (plan.pods === 0) return cannotSwap(claim, missing, nowMs);
  const remove = plan.victims.length;
  const message = `${missing}; ${pods(remove)} of an older revision give way to ${plan.pods} of this one`;
  return { kind: 'Swap', pods: plan.pods, remove, victims: plan.isChoiceBound ? plan.victims : [], message };
}

/** Where room is not counted: pods are asked for, and what the scheduler says of them decides. */
function uncounted(claim: CapacityClaim, allowed: number, { nowMs }: Situation): CapacityAdvice {
  const { pending, pod, removable, wanted, ending } = claim;
  const refusal = pending?.unschedulable?.message;
  if (allowed > 0 && refusal === undefined) {
    const why = pod.uncounted === undefined ? '' : `; room is not counted: ${pod.uncounted}`;
    return fits(allowed, `${pods(allowed)} asked for${why}`, nowMs);
  }
  const missing = refusal === undefined ? 'no pod is added beside the old ones' : `the scheduler says: ${refusal}`;
  if (ending > 0) {
    return wait('PodsEnding', Math.min(wanted, ending), `${pods(ending)} are ending; ${missing}`, nowMs);
  }
  if (claim.mode === 'Surge' || !isProvisioningOver(claim, nowMs)) return pendingSurge(claim, allowed, missing, nowMs);
  const isCurable = refusal === undefined || refusalOf(refusal).isCurable;
  const remove = isCurable ? Math.min(removable, wanted) : 0;
  if (remove === 0) return cannotSwap(claim, missing, nowMs);
  const message = `${missing}; ${pods(remove)} of an older revision give way to as many of this one`;
  return { kind: 'Swap', pods: remove, remove, victims: [], message };
}

/** Old pods give back what they use of a quota once they are gone; a cluster autoscaler gives nothing. */
function withoutQuota(claim: CapacityClaim, quota: QuotaRoom, situation: Situation): CapacityAdvice {
  const { ahead, nowMs, quotas } = situation;
  const { pod, oldDemands, removable } = claim;
  const shortfall = quota.shortfall ?? '';
  const taker = ahead.find((each) => {
    const further = each.advice.pods - (each.claim.pending?.count ?? 0);
    return namespaceOf(each.claim) === namespaceOf(claim) && further > 0;
  });
  if (taker !== undefined) return behind(taker, `and takes what the quota has left; ${shortfall}`, situation);
  if (claim.ending > 0) return wait('PodsEnding', 0, `${pods(claim.ending)} are ending; ${shortfall}`, nowMs);
  // A pod that gave way for less than a new one needs would be missing for good.
  const makesRoom = oldDemands === undefined || quotas.hasRoomWithout(oldDemands, removable, pod, namespaceOf(claim));
  const remove = makesRoom ? Math.min(removable, claim.wanted) : 0;
  if (claim.mode === 'Surge') return wait('QuotaExceeded', 0, shortfall, nowMs);
  if (remove === 0) return { ...cannotSwap(claim, shortfall, nowMs, 'QuotaExceeded'), pods: 0 };
  const message = `${shortfall}; ${pods(remove)} of an older revision give way first`;
  return { kind: 'Swap', pods: 0, remove, victims: [], message };
}

/** Somebody else may have taken the room before they come: a pod that is refused tells nobody that it is missing. */
function fits(count: number, message: string, nowMs: number): CapacityAdvice {
  return { kind: 'Fits', pods: count, message, askAgainAtMs: nowMs + ASK_AGAIN_MS };
}

function pendingSurge(claim: CapacityClaim, allowed: number, missing: string, nowMs: number): CapacityAdvice {
  const untilMs = (claim.pending?.sinceMs ?? nowMs) + claim.provisionTimeoutMs;
  // In mode Surge all are left Pending: a cluster autoscaler makes room for as many at once.
  const left = claim.mode === 'Surge' ? allowed : Math.min(1, allowed);
  const limit = claim.mode === 'Surge' ? '' : ` for ${claim.provisionTimeoutMs / 1000} s`;
  const message = `${missing}; ${pods(left)} left Pending${limit}, so that a cluster autoscaler may add a node`;
  const again = nowMs + ASK_AGAIN_MS;
  const askAgainAtMs = untilMs > nowMs ? Math.min(untilMs, again) : again;
  return { kind: 'PendingSurge', pods: left, untilMs, message, askAgainAtMs };
}

function cannotSwap(
  claim: CapacityClaim,
  missing: string,
  nowMs: number,
  reason: 'InsufficientCapacity' | 'QuotaExceeded' = 'InsufficientCapacity',
): Wait {
  if (claim.starting > 0) {
    const message = `${pods(claim.starting)} of this revision must be ready before more old ones give way; ${missing}`;
    return wait('PodsStarting', 0, message, nowMs);
  }
  const why =
    claim.removable > 0
      ? 'none of the old pods that may give way would make room'
      : 'no old pod may give way without leaving fewer ready than the rollout allows';
  // One stays Pending, so that it has the next room that there is.
  return wait(reason, claim.mode === 'Swap' ? 0 : 1, `${missing}; ${why}`, nowMs);
}

function behind({ claim }: Answered, why: string, { nowMs }: Situation): Wait {
  const message = `waits for rollout ${claim.rollout}, which goes first ${why}`;
  return { ...wait('OtherRolloutFirst', 0, message, nowMs), behind: claim.rollout };
}

function wait(reason: WaitReason, left: number, message: string, nowMs: number): Wait {
  return { kind: 'Wait', reason, pods: left, message, askAgainAtMs: nowMs + ASK_AGAIN_MS };
}

/** A pod of another rollout that is Pending could be given the room that this one makes: the other has to hold back. */
function isMakingRoom({ claim, advice }: Answered): boolean {
  if (advice.kind === 'Swap') return true;
  if (advice.kind === 'Wait' && advice.reason === 'PodsEnding') return true;
  const isSwapping = claim.mode !== 'Surge' && (claim.isSwapping || claim.mode === 'Swap');
  if (advice.kind === 'Wait') return isSwapping && advice.reason === 'PodsStarting';
  return isSwapping && advice.kind === 'Fits' && advice.pods < claim.wanted;
}

/** Both want all or nothing, and the first has not all yet. */
function isPartial(first: Answered, claim: CapacityClaim): boolean {
  if (!claim.isAllOrNothing || !first.claim.isAllOrNothing) return false;
  return first.advice.kind !== 'Fits' || first.advice.pods < first.claim.wanted;
}

/** Whether both want something that is short on a node which suits both. */
function contends(first: CapacityClaim, second: CapacityClaim, { snapshot, suitableFor, ledger }: Situation): boolean {
  const isUncounted = first.pod.uncounted !== undefined || second.pod.uncounted !== undefined;
  if (snapshot.nodes === 'unreadable' || isUncounted) return sharesDevices(first.pod, second.pod);
  const suitable = new Set(suitableFor(second.pod));
  const both = [...first.pod.requests].filter(
    ([resource, amount]) => amount > 0n && (second.pod.requests.get(resource) ?? 0n) > 0n,
  );
  return suitableFor(first.pod).some(
    (node) => suitable.has(node) && both.some(([resource, amount]) => ledger.free(node, resource, 'now') < amount),
  );
}

/** Both want the same device; pods without devices are taken to want the same. */
function sharesDevices(first: PodDemand, second: PodDemand): boolean {
  const devices = ({ requests }: PodDemand) => [...requests.keys()].filter((resource) => resource.includes('/'));
  const wanted = devices(first);
  const others = devices(second);
  return wanted.length === 0 ? others.length === 0 : wanted.some((device) => others.includes(device));
}

/** The first one ahead that took room which would do for this one; undefined when there would be none without it either. */
function takerOf({ pod }: CapacityClaim, { ahead, ledger, suitableFor }: Situation): Answered | undefined {
  const nodes = suitableFor(pod);
  if (ahead.length === 0 || ledger.fresh().reserve(nodes, pod, 1, 'soon') === 0) return undefined;
  const suitable = new Set(nodes);
  return ahead.find(
    ({ claim, advice }) => advice.pods > 0 && suitableFor(claim.pod).some((node) => suitable.has(node)),
  );
}

function missingFor(pod: PodDemand, { snapshot, ledger }: Situation): string {
  return nodeShortfall(pod, snapshot.nodes === 'unreadable' ? [] : snapshot.nodes, ledger.fresh());
}

function preemptionText(pod: PodDemand, { snapshot, suitableFor, ledger }: Situation): string {
  const classes = snapshot.priorityClasses;
  if (classes === 'unreadable') return '';
  const preemption = preemptionFor(pod, suitableFor(pod), ledger, classes);
  if (preemption === undefined) return '';
  return `; the scheduler may preempt ${pods(preemption.pods.length)} of lower priority on node ${preemption.node}`;
}
