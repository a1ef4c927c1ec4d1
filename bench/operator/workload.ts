import PQueue from 'p-queue';
import { MODEL_DEPLOYMENTS, type ModelDeployment } from '../../src/controllers/kinds.ts';
import {
  DEPLOYMENTS,
  DISRUPTION_BUDGETS,
  PODS,
  type Pod,
  SERVICE_ACCOUNTS,
  SERVICES,
} from '../../src/controllers/resources.ts';
import { ApiClient, type Manifest } from '../../src/runtime/api-client.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { Informer } from '../../src/runtime/informer.ts';
import { loadKubeConfig } from '../../src/runtime/kube-config.ts';
import { KubeTransport } from '../../src/runtime/kube-transport.ts';
import { defineResource, type KubeObject, type Resource } from '../../src/runtime/types.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

export const NAMESPACE = 'bench';
const NAMESPACES = defineResource({
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
});
const CHILDREN: readonly Resource[] = [SERVICE_ACCOUNTS, SERVICES, DISRUPTION_BUDGETS, DEPLOYMENTS];

export interface Connection {
  readonly client: ApiClient;
  close(): Promise<void>;
}

/** The client that the operator uses too. */
export async function connect(kubeconfigPath: string): Promise<Connection> {
  const transport = new KubeTransport(loadKubeConfig({ kubeconfig: kubeconfigPath }), { clock: systemClock });
  return { client: new ApiClient(transport, 'bench'), close: () => transport.close() };
}

export async function createNamespace(client: ApiClient): Promise<void> {
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
}

export function modelDeployment(index: number): Manifest {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { namespace: NAMESPACE, name: `model-${index}` },
    spec: {
      // Pinned, so that no Job has to find out the digest.
      model: { uri: `https://models.example.dev/${index}/model.onnx`, sha256: index.toString(16).padStart(64, '0') },
      resources: { requests: { cpu: '10m', memory: '16Mi' } },
      replicas: 1,
    },
  };
}

/** Does `work` for each item, `concurrency` at once. */
export async function forEach<T>(
  items: readonly T[],
  concurrency: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  await new PQueue({ concurrency }).addAll(items.map((item) => () => work(item)));
}

/** What the operator made of each ModelDeployment, as manifests that make the same once more. */
export async function recordChildren(client: ApiClient): Promise<readonly (readonly Child[])[]> {
  const byOwner = new Map<string, Child[]>();
  for (const resource of CHILDREN) {
    for (const object of await listAll(client, resource)) {
      const owner = object.metadata.ownerReferences?.[0]?.name;
      if (owner === undefined) continue;
      byOwner.set(owner, [...(byOwner.get(owner) ?? []), { resource, manifest: asNew(object) }]);
    }
  }
  return [...byOwner.values()];
}

export interface Child {
  readonly resource: Resource;
  readonly manifest: Manifest;
}

/** Without what the server gave it; it has no owner, since there is no ModelDeployment. */
function asNew(object: KubeObject): Manifest {
  const { status: _status, spec, ...rest } = object as Manifest;
  const { name, namespace, labels, annotations } = object.metadata;
  const { clusterIP: _ip, clusterIPs: _ips, ...content } = (spec ?? {}) as Record<string, unknown>;
  return {
    ...rest,
    metadata: { name, ...(namespace && { namespace }), labels, annotations },
    ...(spec === undefined ? {} : { spec: content }),
  };
}

async function listAll<T extends KubeObject>(client: ApiClient, resource: Resource<T>): Promise<readonly T[]> {
  return (await client.list(resource, { namespace: NAMESPACE })).items;
}

/** Follows a resource of the namespace until stopped. */
export async function follow<T extends KubeObject>(client: ApiClient, resource: Resource<T>): Promise<Followed<T>> {
  const end = new AbortController();
  const informer = new Informer<T>(
    { resource },
    { client, namespaces: [NAMESPACE], clock: systemClock, random: Math.random, logger: createLogger('error') },
  );
  informer.start(end.signal);
  await informer.synced;
  return {
    informer,
    stop: async () => {
      end.abort();
      await informer.stopped();
    },
  };
}

export interface Followed<T extends KubeObject> {
  readonly informer: Informer<T>;
  stop(): Promise<void>;
}

export const isReady = (pod: Pod): boolean =>
  pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;

export const hasReadyPhase = (object: ModelDeployment): boolean => object.status?.phase === 'Ready';

/** Milliseconds until `count` objects satisfy `isDone`. @throws Error after `timeoutMs` with how many do. */
export async function untilCount<T extends KubeObject>(
  { informer }: Followed<T>,
  count: number,
  isDone: (object: T) => boolean,
  timeoutMs: number,
): Promise<number> {
  const startMs = performance.now();
  const done = new Set<string>();
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${done.size} of ${count} after ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
    informer.onChange(({ new: object }) => {
      if (object === undefined || !isDone(object)) return;
      done.add(object.metadata.name);
      if (done.size < count) return;
      clearTimeout(timer);
      resolve(performance.now() - startMs);
    });
  });
}

export { DEPLOYMENTS, MODEL_DEPLOYMENTS, PODS };
