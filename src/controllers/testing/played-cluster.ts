import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { ApiClient, type Manifest } from '../../runtime/api-client.ts';
import { ApiError } from '../../runtime/api-error.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { loadKubeConfig } from '../../runtime/kube-config.ts';
import { KubeTransport } from '../../runtime/kube-transport.ts';
import type { KubeObject, ObjectMeta, Resource } from '../../runtime/types.ts';
import { isReady } from '../modeldeployment/diagnose.ts';
import { AUTOSCALERS, DEPLOYMENTS, type Deployment, EVENTS, JOBS, type Job, PODS, type Pod } from '../resources.ts';
import { isRouterPod } from '../router/selector.ts';
import { PlayedRouters } from './played-routers.ts';

/** What becomes of a pod of a revision: the pod's status, or `ready`. */
export type Fate = 'ready' | NonNullable<Pod['status']>;
/** How a resolve Job ends: its termination message. */
export interface JobEnd {
  readonly succeeds: boolean;
  readonly message: string;
}

export interface Play {
  /** Asked for every pod each time; a Deployment's annotations say which model it serves. */
  pod(deployment: Deployment): Fate;
  /** Undefined: the Job goes on. */
  job(job: Job): JobEnd | undefined;
  /** Why a Job's pod cannot be made. */
  jobRefusal?(job: Job): string | undefined;
  /** Why the Deployment's pods cannot be made, as the quota would say it. */
  refusal?(deployment: Deployment): string | undefined;
}

/** Runs `speed` times as fast as the real clock, so that a test sees minutes of waiting without waiting for them. */
export function fastClock(speed: number): Clock {
  const startMs = Date.now();
  return {
    now: () => startMs + (Date.now() - startMs) * speed,
    monotonic: () => systemClock.monotonic() * speed,
    after: (delayMs, action) => systemClock.after(delayMs / speed, action),
  };
}

interface PlayedDeployment extends Deployment {
  readonly spec: NonNullable<Deployment['spec']> & {
    readonly template: { readonly metadata: ObjectMeta; readonly spec: object };
  };
}

/**
 * Plays what a bare API server lacks, in one namespace: the controllers of Deployments, Jobs and autoscalers, the
 * scheduler and the kubelet. Pods are real objects; what becomes of them is the test's to say.
 */
export class PlayedCluster {
  readonly client: ApiClient;
  readonly namespace: string;
  /** The routers among the pods. */
  readonly routers: PlayedRouters;
  play: Play;
  /** The fewest ready pods, and the most pods, of all revisions together since they were last forgotten. */
  extremes = { leastReady: Number.POSITIVE_INFINITY, mostPods: 0 };
  readonly #transport: KubeTransport;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  #playing: Promise<void> = Promise.resolve();

  constructor(kubeconfig: string, play: Play, clock: Clock = systemClock) {
    this.#transport = new KubeTransport(loadKubeConfig({ kubeconfig }), { clock: systemClock, onCall: () => {} });
    this.client = new ApiClient(this.#transport, 'played-cluster');
    this.namespace = `md-${randomBytes(4).toString('hex')}`;
    this.routers = new PlayedRouters(this.client, this.namespace);
    this.play = play;
    this.#clock = clock;
  }

  async start(): Promise<void> {
    await this.client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: this.namespace } });
    this.#playing = this.#loop();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#playing;
    await this.#transport.close();
  }

  forgetExtremes(): void {
    this.extremes = { leastReady: Number.POSITIVE_INFINITY, mostPods: 0 };
  }

  async list<T extends KubeObject>(resource: Resource<T>): Promise<readonly T[]> {
    return (await this.client.list(resource, { namespace: this.namespace })).items;
  }

  async get<T extends KubeObject>(resource: Resource<T>, name: string): Promise<T | undefined> {
    return await this.client.get(resource, { namespace: this.namespace, name }).catch(absent);
  }

  async #loop(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#round();
      await delay(15);
    }
  }

  async #round(): Promise<void> {
    const { extremes } = this;
    const [deployments, jobs, pods] = await Promise.all([this.list(DEPLOYMENTS), this.list(JOBS), this.list(PODS)]);
    for (const deployment of deployments) await this.#playDeployment(deployment as PlayedDeployment, pods).catch(lost);
    await this.#playAutoscalers(deployments);
    for (const job of jobs) await this.#playJob(job, pods).catch(lost);
    await this.routers.round();
    const owners = new Set([...deployments, ...jobs].map(({ metadata }) => metadata.uid));
    for (const pod of pods) {
      if (!owners.has(pod.metadata.ownerReferences?.[0]?.uid ?? '')) await this.#deletePod(pod);
    }
    const serving = pods.filter((pod) => pod.metadata.ownerReferences?.[0]?.kind === 'Deployment' && !isRouterPod(pod));
    const ready = serving.filter(isReady);
    // What was listed before they were forgotten is not to be remembered after.
    if (this.extremes !== extremes) return;
    extremes.leastReady = Math.min(extremes.leastReady, ready.length);
    extremes.mostPods = Math.max(extremes.mostPods, serving.length);
  }

  async #playDeployment(deployment: PlayedDeployment, all: readonly Pod[]): Promise<void> {
    const { uid = '', name, generation } = deployment.metadata;
    const wanted = deployment.spec.replicas ?? 1;
    const own = all.filter((pod) => pod.metadata.ownerReferences?.[0]?.uid === uid);
    // As ReplicaSets do it: pods that are not ready go first.
    const ordered = [...own].sort((a, b) => Number(isReady(b)) - Number(isReady(a)));
    const kept = ordered.slice(0, wanted);
    for (const pod of ordered.slice(wanted)) await this.#deletePod(pod);
    const refusal = this.play.refusal?.(deployment);
    if (refusal === undefined) {
      for (let missing = wanted - kept.length; missing > 0; missing--) {
        const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name, uid, controller: true };
        await this.#createPod(name, deployment.spec.template, owner);
      }
    }
    const fate = this.play.pod(deployment);
    const status =
      fate === 'ready'
        ? { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] }
        : { conditions: [{ type: 'Ready', status: 'False' }], ...fate };
    for (const pod of kept) await this.#setStatus(PODS, pod, { ...status, podIP: addressOf(pod) });
    await this.#setStatus(DEPLOYMENTS, deployment, {
      observedGeneration: generation,
      replicas: kept.length,
      readyReplicas: fate === 'ready' ? kept.length : 0,
      conditions:
        refusal === undefined
          ? []
          : [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: refusal }],
    });
  }

  /** Autoscalers see no load: they only bring a count outside of their bounds to the nearer one. */
  async #playAutoscalers(deployments: readonly Deployment[]): Promise<void> {
    for (const { metadata, spec } of await this.list(AUTOSCALERS)) {
      const replicas = deployments.find((each) => each.metadata.name === metadata.name)?.spec?.replicas ?? 0;
      const { minReplicas = 1, maxReplicas = 1 } = spec ?? {};
      const wanted = Math.min(maxReplicas, Math.max(minReplicas, replicas));
      // At 0 replicas an autoscaler rests.
      if (replicas > 0 && wanted !== replicas) await this.client.updateScale(DEPLOYMENTS, metadata, wanted).catch(lost);
    }
  }

  async #playJob(job: Job, all: readonly Pod[]): Promise<void> {
    const { uid = '', name } = job.metadata;
    if (job.status?.conditions?.some(({ type }) => type === 'Complete' || type === 'Failed')) return;
    const own = all.find((pod) => pod.metadata.ownerReferences?.[0]?.uid === uid);
    if (own === undefined) {
      const refusal = this.play.jobRefusal?.(job);
      if (refusal !== undefined) return await this.#tellFailedCreate(job, refusal);
      const owner = { apiVersion: 'batch/v1', kind: 'Job', name, uid, controller: true };
      await this.#createPod(name, (job as unknown as PlayedDeployment).spec.template, owner);
      return;
    }
    const end = this.play.job(job);
    if (end === undefined) return;
    const exitCode = end.succeeds ? 0 : 1;
    const terminated = { exitCode, message: end.message, reason: end.succeeds ? 'Completed' : 'Error' };
    const containerStatuses = [
      { name: 'resolve', ready: false, restartCount: 0, image: 'x', imageID: '', state: { terminated } },
    ];
    await this.#setStatus(PODS, own, { phase: end.succeeds ? 'Succeeded' : 'Failed', containerStatuses });
    const time = new Date(this.#clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
    const condition = (type: string) => ({ type, status: 'True', lastTransitionTime: time, lastProbeTime: time });
    await this.#setStatus(JOBS, job, {
      startTime: time,
      uncountedTerminatedPods: {},
      ...(end.succeeds
        ? { succeeded: 1, completionTime: time, conditions: [condition('SuccessCriteriaMet'), condition('Complete')] }
        : { failed: 1, conditions: [condition('FailureTarget'), condition('Failed')] }),
    });
  }

  /** As the Job controller tells it, once. */
  async #tellFailedCreate({ metadata }: Job, refusal: string): Promise<void> {
    const { uid, name } = metadata;
    const time = new Date(this.#clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.refused`, namespace: this.namespace },
      involvedObject: { apiVersion: 'batch/v1', kind: 'Job', namespace: this.namespace, name, uid },
      type: 'Warning',
      reason: 'FailedCreate',
      message: `Error creating: ${refusal}`,
      lastTimestamp: time,
    };
    await this.client.apply(EVENTS, event, true);
  }

  async #createPod(owner: string, template: PlayedDeployment['spec']['template'], reference: object): Promise<void> {
    const manifest = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        ...template.metadata,
        name: `${owner}-${randomBytes(3).toString('hex')}`,
        namespace: this.namespace,
        ownerReferences: [reference],
      },
      spec: template.spec,
    };
    await this.client.create(PODS, manifest as unknown as Manifest);
  }

  async #deletePod(pod: Pod): Promise<void> {
    await this.client.mergePatch(PODS, pod.metadata, { metadata: { finalizers: null } }).catch(lost);
    await this.#transport
      .json({
        method: 'DELETE',
        path: `/api/v1/namespaces/${this.namespace}/pods/${pod.metadata.name}`,
        body: { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 },
      })
      .catch(lost);
  }

  async #setStatus<T extends KubeObject & { readonly status?: unknown }>(
    resource: Resource<T>,
    object: T,
    status: object,
  ): Promise<void> {
    const before = object.status as Record<string, unknown> | undefined;
    const isSame = Object.entries(status).every(([key, value]) => includes(before?.[key], value));
    if (!isSame) await this.client.mergePatch(resource, object.metadata, { status }, 'status');
  }
}

/** An address of its own for every pod. */
function addressOf({ metadata: { uid = '' } }: Pod): string {
  const digest = createHash('sha256').update(uid).digest();
  return `10.${digest[0] ?? 0}.${digest[1] ?? 0}.${digest[2] ?? 0}`;
}

const NAMESPACES: Resource = { group: '', version: 'v1', kind: 'Namespace', plural: 'namespaces', namespaced: false };

/** Whether `actual` says everything that `wanted` does; absent stands for empty and for 0. */
function includes(actual: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    const list = Array.isArray(actual) ? actual : [];
    return list.length === wanted.length && wanted.every((item, index) => includes(list[index], item));
  }
  if (typeof wanted === 'object' && wanted !== null) {
    return Object.entries(wanted).every(([key, value]) =>
      includes((actual as Record<string, unknown> | undefined)?.[key], value),
    );
  }
  return actual === wanted || (wanted === 0 && actual === undefined);
}

/** The object went away or changed while it was played with; the next round sees it as it is. */
function lost(error: unknown): undefined {
  if (error instanceof ApiError && (error.isNotFound || error.isConflict || error.isForbidden)) return undefined;
  throw error;
}

function absent(error: unknown): undefined {
  if (error instanceof ApiError && error.isNotFound) return undefined;
  throw error;
}
