import PQueue from 'p-queue';
import { mismatch } from '../../../capacity/node-match.ts';
import type { PodDemand } from '../../../capacity/pod-demand.ts';
import type { CapacitySnapshot, NodeRoom, QuotaScope } from '../../../capacity/types.ts';
import type { ApiClient, KubeList, ListOptions } from '../../../runtime/api-client.ts';
import { ApiError } from '../../../runtime/api-error.ts';
import type { ReconcileContext } from '../../../runtime/reconcile-context.ts';
import type { KubeObject, Resource } from '../../../runtime/types.ts';
import {
  NODES,
  nodeOf,
  type PodOnNode,
  PodUses,
  PRIORITY_CLASSES,
  priorityClassOf,
  QUOTAS,
  quotaOf,
  SCHEDULED_PODS,
} from './cluster-objects.ts';

const UNREADABLE = 'unreadable' as const;
type Readable<T> = T | typeof UNREADABLE;

const PAGE_SIZE = 500;
/** Rollouts that ask within this time of each other are told of the same cluster. */
const FRESH_MS = 2_000;
/** Reading may take a twentieth of the time: what takes long to read is read less often. */
const TIMES_AS_LONG = 20;
/** How long a right that is missing is taken to stay missing. */
const FORBIDDEN_MS = 600_000;
/** Up to as many nodes the pods of each are asked for, which the API server has an index for; of more all pods are. */
const FEW_NODES = 100;
const REQUESTS_AT_ONCE = 4;

type Once = <R>(what: string, read: () => Promise<R>) => Promise<Readable<R>>;

interface Known {
  readonly value: Promise<unknown>;
  /** For a clock that steps back. */
  readonly sinceMs: number;
  readonly untilMs: number;
  /** It was read, and is no reading under way nor a right that is missing. */
  readonly isRead: boolean;
}

/**
 * What a planner of capacity knows of the cluster. It is read when asked about and not watched: pods of a whole cluster
 * are many, and rollouts that wait for room are few. Of pods only those are read that are on nodes which come into
 * question. What may not be read is `unreadable`.
 */
export class ClusterReader {
  readonly #known = new Map<string, Known>();

  /**
   * @param own namespace of the rollout that asks: what its last pods took of a quota is to be in it, so that its quotas
   *   are read each time
   * @param namespaces whose quotas count
   * @param pods for which room on nodes is looked for; none: nodes are not read
   */
  async read(
    { client, now, signal }: Pick<ReconcileContext, 'client' | 'now' | 'signal'>,
    own: string,
    namespaces: readonly string[],
    pods: readonly PodDemand[],
  ): Promise<CapacitySnapshot> {
    for (const [what, { sinceMs, untilMs }] of this.#known) {
      if (now() < sinceMs || now() >= untilMs) this.#known.delete(what);
    }
    const once: Once = (what, read) => this.#once(what, now, read);
    const all = <T extends KubeObject, R>(resource: Resource<T>, of: (object: T) => R) =>
      once(resource.plural, () => listAll(client, resource, { signal }, of));
    const quotasOf = (namespace: string) => {
      const what = `${QUOTAS.plural}/${namespace}`;
      if (namespace === own && this.#known.get(what)?.isRead) this.#known.delete(what);
      return once(what, () => listAll(client, QUOTAS, { namespace, signal }, quotaOf));
    };
    const [nodes, read] = await Promise.all([
      pods.length === 0 ? UNREADABLE : all(NODES, nodeOf),
      Promise.all(namespaces.map(quotasOf)),
    ]);
    const quotas = read.includes(UNREADABLE) ? UNREADABLE : read.flatMap((each) => (each === UNREADABLE ? [] : each));
    const isByClass = quotas !== UNREADABLE && quotas.some(({ scopes }) => scopes.some(isPriorityClass));
    return {
      nodes: nodes === UNREADABLE ? UNREADABLE : await this.#withPods(nodes, pods, client, once, signal),
      quotas,
      priorityClasses: nodes === UNREADABLE && !isByClass ? UNREADABLE : await all(PRIORITY_CLASSES, priorityClassOf),
    };
  }

  async #withPods(
    nodes: readonly NodeRoom[],
    pods: readonly PodDemand[],
    client: ApiClient,
    once: Once,
    signal: AbortSignal,
  ): Promise<Readable<readonly NodeRoom[]>> {
    const isWanted = placesFor(pods);
    const wanted = nodes.filter(isWanted);
    if (wanted.length > FEW_NODES) {
      const byNode = await once('pods/', () => podsByNode(client, {}, signal));
      if (byNode === UNREADABLE) return UNREADABLE;
      return nodes.map((node) => ({ ...node, pods: byNode.get(node.name) ?? [] }));
    }
    const queue = new PQueue({ concurrency: REQUESTS_AT_ONCE });
    const read = await queue.addAll(
      wanted.map(({ name }) => async () => {
        const fields = { 'spec.nodeName': name };
        return [name, await once(`pods/${name}`, () => podsByNode(client, fields, signal))] as const;
      }),
    );
    if (read.some(([, byNode]) => byNode === UNREADABLE)) return UNREADABLE;
    const known = new Map(read.map(([name, byNode]) => [name, byNode === UNREADABLE ? [] : (byNode.get(name) ?? [])]));
    return nodes.map((node) => ({ ...node, pods: known.get(node.name) }));
  }

  /** Several that ask at once share one answer. A right that is missing is not asked for again at once. */
  async #once<R>(what: string, now: () => number, read: () => Promise<R>): Promise<Readable<R>> {
    const known = this.#known.get(what);
    if (known !== undefined) return (await known.value) as Readable<R>;
    const startedMs = now();
    const value = read().then(
      (found) => {
        const readMs = now();
        const untilMs = readMs + Math.max(FRESH_MS, TIMES_AS_LONG * (readMs - startedMs));
        this.#known.set(what, { value, sinceMs: readMs, untilMs, isRead: true });
        return found;
      },
      (error: unknown) => {
        this.#known.delete(what);
        if (!(error instanceof ApiError && error.isForbidden)) throw error;
        this.#known.set(what, {
          value: Promise.resolve(UNREADABLE),
          sinceMs: now(),
          untilMs: now() + FORBIDDEN_MS,
          isRead: false,
        });
        return UNREADABLE;
      },
    );
    this.#known.set(what, {
      value,
      sinceMs: Number.NEGATIVE_INFINITY,
      untilMs: Number.POSITIVE_INFINITY,
      isRead: false,
    });
    return await value;
  }
}

const isPriorityClass = ({ name }: QuotaScope): boolean => name === 'PriorityClass';

/** Whether a node may take one of the pods: empty, it would. */
function placesFor(pods: readonly PodDemand[]): (node: NodeRoom) => boolean {
  const distinct = new Map(pods.map((pod) => [`${pod.placement} ${[...pod.requests].join()}`, pod]));
  return (node) =>
    [...distinct.values()].some(
      (pod) =>
        [...pod.requests].every(([resource, amount]) => (node.allocatable.get(resource) ?? 0n) >= amount) &&
        mismatch(pod, node) === undefined,
    );
}

/** Pods that hold something of a node, by its name. */
async function podsByNode(
  client: ApiClient,
  fields: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly PodOnNode[]>> {
  const uses = new PodUses();
  const byNode = new Map<string, PodOnNode[]>();
  await eachPage(client, SCHEDULED_PODS, { fields, signal }, ({ items }) => {
    for (const item of items) {
      const use = uses.of(item);
      if (use === undefined) continue;
      const there = byNode.get(use.node);
      if (there === undefined) byNode.set(use.node, [use]);
      else there.push(use);
    }
  });
  return byNode;
}

async function listAll<T extends KubeObject, R>(
  client: ApiClient,
  resource: Resource<T>,
  options: ListOptions,
  of: (object: T) => R,
): Promise<readonly R[]> {
  const found: R[] = [];
  await eachPage(client, resource, options, ({ items }) => {
    for (const item of items) found.push(of(item));
  });
  return found;
}

/** Page by page, so that no more than one of them is in memory as the API server wrote it. */
async function eachPage<T extends KubeObject>(
  client: ApiClient,
  resource: Resource<T>,
  options: ListOptions,
  see: (page: KubeList<T>) => void,
): Promise<void> {
  let next: string | undefined;
  do {
    const page: KubeList<T> = await client.list(resource, { ...options, limit: PAGE_SIZE, continue: next });
    see(page);
    next = page.metadata.continue === '' ? undefined : page.metadata.continue;
  } while (next !== undefined);
}
