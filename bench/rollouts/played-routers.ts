import { setTimeout as delay } from 'node:timers/promises';
import { ANNOTATIONS, LABELS } from '../../src/api/names.ts';
import { ROUTE_KEY } from '../../src/api/route.ts';
import { ROUTER_SELECTOR } from '../../src/controllers/router/selector.ts';
import type { ApiClient } from '../../src/runtime/api-client.ts';
import { ApiError } from '../../src/runtime/api-error.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { Informer } from '../../src/runtime/informer.ts';
import { LEASES } from '../../src/runtime/kubernetes-resources.ts';
import type { Watch } from '../../src/runtime/reconcile-context.ts';
import { defineResource, type KubeObject } from '../../src/runtime/types.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

interface RouterPod extends KubeObject {
  readonly status?: { readonly phase?: string };
}

const CONFIG_MAPS = defineResource<ConfigMap>({
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
});
const PODS = defineResource<RouterPod>({ group: '', version: 'v1', kind: 'Pod', plural: 'pods', namespaced: true });

/** Routers gather changes for a moment before they report. */
const COALESCE_MS = 50;

/**
 * Says what routers say: that they apply every route, soon after it is written. kwok runs nothing in the pods of routers,
 * and without their word no rollout takes a step.
 */
export class PlayedRouters {
  readonly #client: ApiClient;
  readonly #stop = new AbortController();
  readonly #routes: Informer<ConfigMap>;
  readonly #pods: Informer<RouterPod>;
  readonly #told = new Map<string, string>();
  #reporting: Promise<void> = Promise.resolve();

  constructor(client: ApiClient) {
    this.#client = client;
    const follow = <T extends KubeObject>(watch: Watch<T>) =>
      new Informer<T>(watch, {
        client,
        namespaces: [undefined],
        clock: systemClock,
        random: Math.random,
        logger: createLogger('error'),
      });
    this.#routes = follow({ resource: CONFIG_MAPS, selector: { [LABELS.route]: 'true' } });
    this.#pods = follow({ resource: PODS, selector: ROUTER_SELECTOR });
  }

  async start(): Promise<void> {
    this.#routes.start(this.#stop.signal);
    this.#pods.start(this.#stop.signal);
    await Promise.all([this.#routes.synced, this.#pods.synced]);
    this.#reporting = this.#report();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#reporting;
    await Promise.all([this.#routes.stopped(), this.#pods.stopped()]);
  }

  async #report(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const applied = this.#appliedByNamespace();
      for (const pod of this.#pods.list()) {
        const text = JSON.stringify(applied.get(pod.metadata.namespace ?? '') ?? {});
        const { uid = '' } = pod.metadata;
        if (pod.status?.phase !== 'Running' || this.#told.get(uid) === text) continue;
        if (await this.#tell(pod, text)) this.#told.set(uid, text);
      }
      await delay(COALESCE_MS);
    }
  }

  #appliedByNamespace(): ReadonlyMap<string, Readonly<Record<string, number>>> {
    const applied = new Map<string, Record<string, number>>();
    for (const { metadata, data } of this.#routes.list()) {
      const { modelDeployment, generation } = JSON.parse(data?.[ROUTE_KEY] ?? '{}') as Record<string, unknown>;
      const namespace = metadata.namespace ?? '';
      const routes = applied.get(namespace) ?? {};
      if (typeof modelDeployment === 'string') routes[modelDeployment] = Number(generation);
      applied.set(namespace, routes);
    }
    return applied;
  }

  /** Whether it was heard: the pod or its namespace may be gone by now. */
  async #tell({ metadata }: RouterPod, text: string): Promise<boolean> {
    const { name, namespace = '', uid = '' } = metadata;
    const lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name,
        namespace,
        labels: { [LABELS.routerReport]: 'true' },
        annotations: { [ANNOTATIONS.appliedRoutes]: text },
        ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name, uid }],
      },
      spec: { holderIdentity: name },
    };
    return await this.#client.apply(LEASES, lease, true).then(
      () => true,
      (error: unknown) => {
        if (error instanceof ApiError) return false;
        throw error;
      },
    );
  }
}
