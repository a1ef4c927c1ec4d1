/**
 * A cluster as far as a rollout sees one: pods that take time to start, fail and are evicted; a bounded number of places;
 * routers that apply a route late; an operator that writes one thing after the other and may die between any two.
 */
import { createHash } from 'node:crypto';
import { advise } from '../../capacity/advise.ts';
import { podDemand } from '../../capacity/pod-demand.ts';
import { amountsOf } from '../../capacity/quantity.ts';
import type { CapacityAdvice, CapacityClaim, CapacitySnapshot, NodeRoom, PendingPods } from '../../capacity/types.ts';
import { decide } from '../decide.ts';
import { latestProgress, type Progress, progressText } from '../progress.ts';
import type {
  Bounds,
  CompiledRollout,
  RevisionState,
  RolloutDecision,
  RolloutSnapshot,
  RoomClaim,
  RouteMirror,
  Verdict,
} from '../types.ts';

export const TICK_MS = 1_000;

interface ModelPod {
  state: 'pending' | 'starting' | 'ready' | 'ending';
  madeAtTick: number;
  readyAtTick: number;
}

interface ModelRevision {
  replicas: number;
  pods: ModelPod[];
  progress: string | undefined;
  /** Of its autoscaler. */
  bounds: Bounds | undefined;
  /** Its pods never get ready, and say why after a while. */
  failure: { reason: string; message: string } | undefined;
}

export interface ModelOptions {
  readonly rollout: CompiledRollout;
  readonly replicas: number;
  /** Pods that the nodes take. */
  readonly places: number;
  readonly startTicks: number;
  readonly ackTicks: number;
  readonly autoscaling?: Bounds | undefined;
}

export interface Written {
  readonly decision: RolloutDecision;
  readonly snapshot: RolloutSnapshot;
}

export class ModelCluster {
  tick = 0;
  replicas: number;
  rollout: CompiledRollout;
  target: string;
  action: string | undefined;
  /** What an analysis says once it has begun. */
  verdict: Verdict['kind'] = 'Healthy';
  breaksHardLimit = false;
  /** Pods that autoscalers would have if they were free. */
  wished: number | undefined;
  isTargetKnown = true;
  readonly revisions = new Map<string, ModelRevision>();
  /** Weights that routers may be sending by: the last one is what is written. */
  routes: { weights: ReadonlyMap<string, number>; mirror: RouteMirror | undefined; writtenAtTick: number }[] = [];
  readonly #options: ModelOptions;

  constructor(options: ModelOptions, first = 'a') {
    this.#options = options;
    this.replicas = options.replicas;
    this.rollout = options.rollout;
    this.target = first;
  }

  get weights(): ReadonlyMap<string, number> {
    return this.routes.at(-1)?.weights ?? new Map();
  }

  get progress(): Progress | undefined {
    return latestProgress([...this.revisions.values()].map(({ progress }) => progress));
  }

  ready(name: string): number {
    return this.revisions.get(name)?.pods.filter(({ state }) => state === 'ready').length ?? 0;
  }

  snapshot(advice?: CapacityAdvice): RolloutSnapshot {
    const route = this.routes.at(-1);
    const { progress } = this;
    const since = progress?.heldSinceMs;
    return {
      nowMs: this.tick * TICK_MS,
      rollout: this.rollout,
      rolloutHash: createHash('sha256').update(JSON.stringify(this.rollout)).digest('hex'),
      scale:
        this.#options.autoscaling === undefined
          ? { kind: 'Fixed', replicas: this.replicas }
          : { kind: 'Autoscaled', ...this.#options.autoscaling },
      target: this.target,
      isTargetKnown: this.isTargetKnown,
      revisions: [...this.revisions].map(([name, revision]) => stateOf(name, revision)).reverse(),
      leftPods: [...this.revisions]
        .filter(([name]) => name !== this.target)
        .reduce((sum, [, { pods }]) => sum + pods.length, 0),
      route: {
        weights: route?.weights ?? new Map(),
        mirror: route?.mirror,
        isAcknowledged: this.routes.length <= 1,
        waitingFor: '1 of 2 routers have not applied it',
      },
      progress,
      verdict:
        since === undefined
          ? undefined
          : { kind: this.verdict, message: 'measured', sinceMs: since, breaksHardLimit: this.breaksHardLimit },
      action: this.action === undefined ? undefined : { text: this.action, by: 'dana' },
      advice,
    };
  }

  /**
   * One reconcile.
   * @param dieAfter how many writes come about before the operator dies; all without it
   */
  reconcile(dieAfter = Number.POSITIVE_INFINITY): Written {
    let snapshot = this.snapshot();
    let decision = decide(snapshot);
    if (decision.claim !== undefined) {
      snapshot = this.snapshot(this.#advise(decision.claim));
      decision = decide(snapshot);
    }
    for (const write of this.#writes(decision).slice(0, dieAfter)) write();
    return { decision, snapshot };
  }

  /** Progress comes first, and with the Deployment that it is on; what it allows comes after. */
  #writes(decision: RolloutDecision): (() => void)[] {
    const { progress, route, replicas, autoscalers } = decision;
    return [
      () => {
        this.#revision(progress.target).progress = progressText(progress);
      },
      () => {
        if (route === undefined) return;
        const last = this.routes.at(-1);
        if (last !== undefined && isSame(last, route)) return;
        this.routes.push({ weights: route.weights, mirror: route.mirror, writtenAtTick: this.tick });
      },
      ...[...replicas].map(([name, count]) => () => {
        const revision = this.#revision(name);
        revision.bounds = autoscalers?.get(name);
        // An autoscaler has the count, but for the first step from 0 and the last one to it.
        if (autoscalers === undefined || count === 0 || revision.replicas === 0) revision.replicas = count;
      }),
    ];
  }

  /** Time goes on for kubelets, the scheduler and routers. */
  pass(): void {
    this.tick += 1;
    const acknowledged = this.routes.findLastIndex(
      ({ writtenAtTick }) => this.tick - writtenAtTick > this.#options.ackTicks,
    );
    if (acknowledged > 0) this.routes = this.routes.slice(acknowledged);
    for (const revision of this.revisions.values()) {
      const { bounds, replicas } = revision;
      if (bounds !== undefined && replicas > 0) {
        revision.replicas = Math.min(bounds.max, Math.max(bounds.min, this.wished ?? replicas));
      }
      revision.pods = revision.pods.filter(({ state }) => state !== 'ending');
      const order = { pending: 0, starting: 1, ready: 2, ending: 3 };
      const staying = revision.pods.toSorted((a, b) => order[b.state] - order[a.state]);
      for (const pod of staying.slice(revision.replicas)) pod.state = 'ending';
      while (revision.pods.length < revision.replicas) {
        revision.pods.push({ state: 'pending', madeAtTick: this.tick, readyAtTick: 0 });
      }
    }
    for (const revision of this.revisions.values()) {
      for (const pod of revision.pods) {
        if (pod.state === 'pending' && this.#used() < this.#options.places) {
          pod.state = 'starting';
          pod.readyAtTick = this.tick + this.#options.startTicks;
        }
        if (pod.state === 'starting' && this.tick >= pod.readyAtTick && revision.failure === undefined)
          pod.state = 'ready';
      }
    }
  }

  /** Its model is found again as it was: pods that failed get ready. */
  heal(name: string): void {
    this.#revision(name).failure = undefined;
  }

  evict(name: string): void {
    const pod = this.revisions.get(name)?.pods.find(({ state }) => state === 'ready');
    if (pod === undefined) return;
    pod.state = 'pending';
    pod.madeAtTick = this.tick;
  }

  fail(name: string): void {
    const revision = this.#revision(name);
    revision.failure = { reason: 'CrashLoop', message: 'exit code 1' };
    for (const pod of revision.pods) if (pod.state === 'ready') pod.state = 'starting';
  }

  #revision(name: string): ModelRevision {
    const known = this.revisions.get(name);
    if (known !== undefined) return known;
    const made: ModelRevision = { replicas: 0, pods: [], progress: undefined, bounds: undefined, failure: undefined };
    this.revisions.set(name, made);
    return made;
  }

  #used(): number {
    return [...this.revisions.values()].flatMap(({ pods }) => pods).filter(({ state }) => state !== 'pending').length;
  }

  /** The planner itself, on one node. */
  #advise(claim: RoomClaim): CapacityAdvice | undefined {
    const pods = [...this.revisions].flatMap(([revision, own]) => own.pods.map((pod) => ({ revision, pod })));
    const placed = pods.filter(({ pod }) => pod.state !== 'pending');
    const node: NodeRoom = {
      name: 'node-1',
      labels: {},
      taints: [],
      isSchedulable: true,
      isReady: true,
      allocatable: amountsOf({ pods: this.#options.places }),
      pods: placed.map(({ pod }, index) => ({
        namespace: 'shop',
        name: `pod-${index}`,
        priority: 0,
        requests: POD.requests,
        isEnding: pod.state === 'ending',
      })),
    };
    const { capacityMode: mode, provisionTimeoutMs } = this.rollout;
    const state = this.revisions.get(claim.revision);
    const asked: CapacityClaim = {
      rollout: 'shop/churn',
      startedAtMs: claim.startedAtMs,
      mode,
      provisionTimeoutMs,
      pod: POD,
      wanted: claim.wanted,
      pending: state && pendingOf(state.pods),
      removable: claim.removable,
      vacant: claim.vacant,
      starting: claim.starting,
      ending: pods.filter(({ revision, pod }) => claim.donors.includes(revision) && pod.state === 'ending').length,
      oldPods: placed.flatMap(({ revision, pod }, index) =>
        claim.donors.includes(revision) && pod.state !== 'ending' ? [`pod-${index}`] : [],
      ),
      isAllOrNothing: claim.isAllOrNothing,
      isSwapping: claim.isSwapping,
    };
    const cluster: CapacitySnapshot = { nodes: [node], quotas: [], priorityClasses: [] };
    return advise(cluster, [asked], this.tick * TICK_MS).get(asked.rollout);
  }
}

const POD = podDemand({ containers: [] });

function pendingOf(pods: readonly ModelPod[]): PendingPods | undefined {
  const waiting = pods.filter(({ state }) => state === 'pending');
  if (waiting.length === 0) return undefined;
  return { count: waiting.length, sinceMs: Math.min(...waiting.map(({ madeAtTick }) => madeAtTick)) * TICK_MS };
}

function stateOf(name: string, { replicas, pods, failure }: ModelRevision): RevisionState {
  const staying = pods.filter(({ state }) => state !== 'ending');
  return {
    name,
    replicas,
    ready: staying.filter(({ state }) => state === 'ready').length,
    current: staying.length,
    onNode: staying.filter(({ state }) => state !== 'pending').length,
    lastingFailure: failure !== undefined && staying.some(({ state }) => state === 'starting') ? failure : undefined,
  };
}

function isSame(
  a: { weights: ReadonlyMap<string, number>; mirror: RouteMirror | undefined },
  b: { weights: ReadonlyMap<string, number>; mirror: RouteMirror | undefined },
): boolean {
  const text = ({ weights, mirror }: typeof a) => JSON.stringify([[...weights], mirror]);
  return text(a) === text(b);
}
