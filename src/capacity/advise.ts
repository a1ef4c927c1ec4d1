/**
 * What every rollout in progress may do about room: one pure function over all of their claims, so that two that want
 * the last GPU are never both told to take it. Claims are looked at in one order, those that can go on before those that
 * cannot and the oldest first, and each one reserves what it is told to take.
 */
import { Ledger } from './ledger.ts';
import { mismatch } from './node-match.ts';
import { NOTHING_WANTED, type Situation, stepOf } from './plan-claim.ts';
import { QuotaLedger } from './quota.ts';
import type { CapacityAdvice, CapacityClaim, CapacitySnapshot, NodeRoom } from './types.ts';

/** @returns the advice by `CapacityClaim.rollout` */
export function advise(
  snapshot: CapacitySnapshot,
  claims: readonly CapacityClaim[],
  nowMs: number,
): ReadonlyMap<string, CapacityAdvice> {
  const suitableFor = suitability(snapshot);
  const { quotas, priorityClasses } = snapshot;
  const defaultClass =
    priorityClasses === 'unreadable' ? undefined : priorityClasses.find(({ isGlobalDefault }) => isGlobalDefault);
  const unreserved = new Ledger(nowMs);
  const situation = (): Situation => ({
    snapshot,
    nowMs,
    suitableFor,
    ledger: unreserved.fresh(),
    quotas: new QuotaLedger(quotas === 'unreadable' ? [] : quotas, defaultClass?.name),
    ahead: [],
  });
  const open = claims.filter(({ wanted }) => wanted > 0);
  const byAge = open.toSorted((a, b) => a.startedAtMs - b.startedAtMs || (a.rollout < b.rollout ? -1 : 1));
  const stuck = stuckOf(byAge, (claim) => isStuck(stepOf(claim, situation()), nowMs));
  const inOrder = [...byAge.filter((claim) => !stuck.has(claim)), ...byAge.filter((claim) => stuck.has(claim))];
  const advice = new Map<string, CapacityAdvice>(claims.map(({ rollout }) => [rollout, NOTHING_WANTED]));
  const shared = situation();
  let { ahead } = shared;
  for (const claim of inOrder) {
    const answer = stepOf(claim, { ...shared, ahead });
    advice.set(claim.rollout, answer);
    ahead = [...ahead, { claim, advice: answer }];
  }
  return advice;
}

/** Of those that want all or nothing a later one is never let past an earlier one: it would hold a part of what that needs. */
function stuckOf(
  byAge: readonly CapacityClaim[],
  isStuckAlone: (claim: CapacityClaim) => boolean,
): ReadonlySet<CapacityClaim> {
  const stuck = new Set<CapacityClaim>();
  let holdsBack = false;
  for (const claim of byAge) {
    if (!(claim.isAllOrNothing && holdsBack) && !isStuckAlone(claim)) continue;
    stuck.add(claim);
    holdsBack ||= claim.isAllOrNothing;
  }
  return stuck;
}

/** Nothing that it does itself gets it on: until something else changes, others go first. */
function isStuck(advice: CapacityAdvice, nowMs: number): boolean {
  if (advice.kind === 'PendingSurge') return nowMs >= advice.untilMs;
  return advice.kind === 'Wait' && (advice.reason === 'InsufficientCapacity' || advice.reason === 'QuotaExceeded');
}

/** The nodes whose pods were read and that may take a pod, looked for once for all pods that may be placed alike. */
function suitability({ nodes }: CapacitySnapshot): Situation['suitableFor'] {
  const known = new Map<string, readonly NodeRoom[]>();
  return (pod) => {
    if (nodes === 'unreadable') return [];
    let suitable = known.get(pod.placement);
    if (suitable === undefined) {
      suitable = nodes.filter((node) => node.pods !== undefined && mismatch(pod, node) === undefined);
      known.set(pod.placement, suitable);
    }
    return suitable;
  };
}
