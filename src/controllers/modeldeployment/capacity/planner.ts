import { advise } from '../../../capacity/advise.ts';
import { ENDING_SLACK_MS } from '../../../capacity/ledger.ts';
import type { PodDemand } from '../../../capacity/pod-demand.ts';
import type { CapacityAdvice, CapacityClaim } from '../../../capacity/types.ts';
import type { RolloutDecision, RolloutSnapshot } from '../../../rollout/types.ts';
import type { ReconcileContext } from '../../../runtime/reconcile-context.ts';
import { type ObjectKey, parseKey } from '../../../runtime/types.ts';
import type { Pod } from '../../resources.ts';
import { ClusterReader } from './cluster-reader.ts';

export interface PlanInput {
  readonly snapshot: RolloutSnapshot;
  /** Decided without advice: it holds the claim. */
  readonly decision: RolloutDecision;
  /** Server pods by revision. */
  readonly pods: ReadonlyMap<string, readonly Pod[]>;
  /** The pod that the claim is about. */
  readonly pod: PodDemand;
  /** What one pod of a revision asks for: asked of those that give way. */
  readonly demandOf: (revision: string) => Promise<PodDemand | undefined>;
}

/**
 * Answers what rollouts ask about room, with all of their claims in view: every rollout that wants pods has one here,
 * from its last reconcile.
 */
export class Planner {
  readonly #claims = new Map<ObjectKey, CapacityClaim>();
  readonly #cluster = new ClusterReader();

  async advise(
    context: Pick<ReconcileContext, 'key' | 'client' | 'signal' | 'now'>,
    input: PlanInput,
  ): Promise<CapacityAdvice | undefined> {
    const { key, now } = context;
    const claim = claimOf(key, input);
    if (claim === undefined) return undefined;
    this.#claims.set(key, claim);
    const claims = [...this.#claims.values()];
    const namespaces = [...new Set([...this.#claims.keys()].map((each) => parseKey(each).namespace ?? ''))];
    const counted = needsCounting(claim) ? claims.filter(needsCounting).map(({ pod }) => pod) : [];
    const { namespace = '' } = parseKey(key);
    const cluster = await this.#cluster.read(context, namespace, namespaces, counted);
    const isUnderQuota = cluster.quotas !== 'unreadable' && cluster.quotas.some((each) => each.namespace === namespace);
    if (!isUnderQuota || claim.removable === 0) return advise(cluster, claims, now()).get(key);
    const known: CapacityClaim = { ...claim, oldDemands: await oldDemands(input) };
    this.#claims.set(key, known);
    const withDemands = claims.map((each) => (each === claim ? known : each));
    return advise(cluster, withDemands, now()).get(key);
  }

  /** The rollout wants nothing more. */
  forget(key: ObjectKey): void {
    this.#claims.delete(key);
  }
}

/**
 * Whether nodes are looked at before a pod is asked for. Where it wants nothing that is scarce, and none of its kind waits,
 * the scheduler finds out more cheaply.
 */
function needsCounting({ pod, pending, mode, isSwapping }: CapacityClaim): boolean {
  const wantsDevice = [...pod.requests.keys()].some((resource) => resource.includes('/'));
  return wantsDevice || pending !== undefined || mode === 'Swap' || isSwapping;
}

/** Of each old pod that is not ending; a revision whose Deployment is gone has none. */
async function oldDemands({ decision, pods, demandOf }: PlanInput): Promise<readonly PodDemand[]> {
  const donors = decision.claim?.donors ?? [];
  const byDonor = await Promise.all(
    donors.map(async (revision) => {
      const demand = await demandOf(revision);
      const staying = (pods.get(revision) ?? []).filter((pod) => !isEnding(pod));
      return demand === undefined ? [] : staying.map(() => demand);
    }),
  );
  return byDonor.flat();
}

const isEnding = ({ metadata }: Pod): boolean => metadata.deletionTimestamp !== undefined;

/** Whether its room is still waited for: on a node that is lost it never ends. */
function mayEnd({ metadata: { deletionTimestamp } }: Pod, nowMs: number): boolean {
  return deletionTimestamp !== undefined && nowMs < Date.parse(deletionTimestamp) + ENDING_SLACK_MS;
}

/** A claim of the engine in the planner's words; undefined where the decision has none. Pure. */
export function claimOf(rollout: ObjectKey, { snapshot, decision, pods, pod }: PlanInput): CapacityClaim | undefined {
  const { claim } = decision;
  if (claim === undefined) return undefined;
  const own = snapshot.revisions.find(({ name }) => name === claim.revision);
  const donated = claim.donors.flatMap((revision) => pods.get(revision) ?? []);
  const { capacityMode, provisionTimeoutMs } = snapshot.rollout;
  return {
    rollout,
    startedAtMs: claim.startedAtMs,
    mode: capacityMode,
    provisionTimeoutMs,
    pod,
    wanted: claim.wanted,
    pending: own?.pending,
    removable: claim.removable,
    vacant: claim.vacant,
    starting: claim.starting,
    ending: donated.filter((each) => mayEnd(each, snapshot.nowMs)).length,
    oldPods: donated.filter((each) => !isEnding(each)).map(({ metadata }) => metadata.name),
    isAllOrNothing: claim.isAllOrNothing,
    isSwapping: claim.isSwapping,
  };
}
