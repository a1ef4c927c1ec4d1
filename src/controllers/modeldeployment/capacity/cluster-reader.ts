import type { V1PodSpec } from '@kubernetes/client-node';
import { podRequests } from '../../../capacity/pod-demand.ts';
import { amountsOf } from '../../../capacity/quantity.ts';
import type { CapacitySnapshot, NodeRoom, PodUse, PriorityClass, Quota, QuotaScope } from '../../../capacity/types.ts';
import type { ApiClient } from '../../../runtime/api-client.ts';
import { ApiError } from '../../../runtime/api-error.ts';
import { defineResource, type KubeObject, type Resource } from '../../../runtime/types.ts';

type Quantities = Readonly<Record<string, string>>;

interface Node extends KubeObject {
  readonly spec?: { readonly unschedulable?: boolean; readonly taints?: NodeRoom['taints'] };
  readonly status?: {
    readonly allocatable?: Quantities;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

interface ScheduledPod extends KubeObject {
  readonly spec: V1PodSpec;
  readonly status?: { readonly phase?: string };
}

interface ResourceQuota extends KubeObject {
  readonly spec?: {
    readonly hard?: Quantities;
    readonly scopes?: readonly string[];
    readonly scopeSelector?: {
      readonly matchExpressions?: readonly {
        readonly scopeName: string;
        readonly operator: QuotaScope['operator'];
        readonly values?: readonly string[];
      }[];
    };
  };
  readonly status?: { readonly hard?: Quantities; readonly used?: Quantities };
}

interface PriorityClassObject extends KubeObject {
  readonly value: number;
  readonly globalDefault?: boolean;
  readonly preemptionPolicy?: string;
}

const core = <T extends KubeObject>(kind: string, plural: string, namespaced: boolean) =>
  defineResource<T>({ group: '', version: 'v1', kind, plural, namespaced });
const NODES = core<Node>('Node', 'nodes', false);
const ALL_PODS = core<ScheduledPod>('Pod', 'pods', true);
const QUOTAS = core<ResourceQuota>('ResourceQuota', 'resourcequotas', true);
const PRIORITY_CLASSES = defineResource<PriorityClassObject>({
  group: 'scheduling.k8s.io',
  version: 'v1',
  kind: 'PriorityClass',
  plural: 'priorityclasses',
  namespaced: false,
});

const UNREADABLE = 'unreadable' as const;
const PAGE_SIZE = 500;
/** Rollouts that ask within this time of each other are told of the same cluster. */
const FRESH_MS = 2_000;
/** How long a right that is missing is taken to stay missing. */
const FORBIDDEN_MS = 600_000;

/**
 * What a planner of capacity knows of the cluster. It is read when asked about and not watched: pods of a whole cluster
 * are many, and rollouts that wait for room are few. What may not be read is `unreadable`.
 */
export class ClusterReader {
  readonly #known = new Map<string, { readonly untilMs: number; readonly value: Promise<unknown> }>();

  /** @param countsNodes whether nodes and who is on them are to be read, which takes longest */
  async read(
    client: ApiClient,
    namespaces: readonly string[],
    countsNodes: boolean,
    nowMs: number,
    signal: AbortSignal,
  ): Promise<CapacitySnapshot> {
    for (const [what, { untilMs }] of this.#known) if (nowMs >= untilMs) this.#known.delete(what);
    const all = <T extends KubeObject, R>(
      resource: Resource<T>,
      of: (object: T) => R,
      namespace?: string,
    ): Promise<readonly R[] | 'unreadable'> =>
      this.#once(`${resource.plural}/${namespace ?? ''}`, nowMs, () =>
        listAll(client, resource, of, namespace, signal),
      );
    const counted = <T extends KubeObject, R>(resource: Resource<T>, of: (object: T) => R) =>
      countsNodes ? all(resource, of) : Promise.resolve(UNREADABLE);
    const [nodes, uses, priorityClasses, quotas] = await Promise.all([
      counted(NODES, nodeOf),
      counted(ALL_PODS, useOf),
      counted(PRIORITY_CLASSES, priorityClassOf),
      Promise.all(namespaces.map((namespace) => all(QUOTAS, quotaOf, namespace))),
    ]);
    return {
      nodes: nodes === 'unreadable' || uses === 'unreadable' ? 'unreadable' : withPods(nodes, uses),
      quotas: quotas.includes('unreadable')
        ? 'unreadable'
        : quotas.flatMap((each) => (each === 'unreadable' ? [] : each)),
      priorityClasses,
    };
  }

  /** Several that ask at once share one answer. A right that is missing is not asked for again at once. */
  async #once<R>(what: string, nowMs: number, read: () => Promise<readonly R[]>): Promise<readonly R[] | 'unreadable'> {
    const known = this.#known.get(what);
    if (known !== undefined) return (await known.value) as readonly R[] | 'unreadable';
    const value = read().catch((error: unknown) => {
      const isForbidden = error instanceof ApiError && error.isForbidden;
      if (isForbidden) this.#known.set(what, { untilMs: nowMs + FORBIDDEN_MS, value: Promise.resolve('unreadable') });
      else this.#known.delete(what);
      if (!isForbidden) throw error;
      return 'unreadable' as const;
    });
    this.#known.set(what, { untilMs: nowMs + FRESH_MS, value });
    return await value;
  }
}

async function listAll<T extends KubeObject, R>(
  client: ApiClient,
  resource: Resource<T>,
  of: (object: T) => R,
  namespace: string | undefined,
  signal: AbortSignal,
): Promise<readonly R[]> {
  const found: R[] = [];
  let next: string | undefined;
  do {
    const page = await client.list(resource, { namespace, limit: PAGE_SIZE, continue: next, signal });
    for (const item of page.items) found.push(of(item));
    next = page.metadata.continue === '' ? undefined : page.metadata.continue;
  } while (next !== undefined);
  return found;
}

function nodeOf({ metadata, spec, status }: Node): Omit<NodeRoom, 'pods'> {
  return {
    name: metadata.name,
    labels: metadata.labels ?? {},
    taints: spec?.taints ?? [],
    isSchedulable: spec?.unschedulable !== true,
    isReady: status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true,
    allocatable: amountsOf(status?.allocatable),
  };
}

interface Use extends PodUse {
  /** Undefined for a pod that holds nothing of any node. */
  readonly node: string | undefined;
}

function useOf({ metadata, spec, status }: ScheduledPod): Use {
  const hasEnded = status?.phase === 'Succeeded' || status?.phase === 'Failed';
  const endsAtMs = Date.parse(metadata.deletionTimestamp ?? '');
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    priority: spec.priority ?? 0,
    requests: podRequests(spec),
    ...(Number.isFinite(endsAtMs) && { endsAtMs }),
    node: hasEnded ? undefined : spec.nodeName,
  };
}

function withPods(nodes: readonly Omit<NodeRoom, 'pods'>[], uses: readonly Use[]): readonly NodeRoom[] {
  const byNode = Map.groupBy(uses, ({ node }) => node);
  return nodes.map((node) => ({ ...node, pods: byNode.get(node.name) ?? [] }));
}

function quotaOf({ metadata, spec, status }: ResourceQuota): Quota {
  const selected = spec?.scopeSelector?.matchExpressions ?? [];
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    hard: amountsOf(status?.hard ?? spec?.hard),
    used: amountsOf(status?.used),
    scopes: [
      ...(spec?.scopes ?? []).map((name): QuotaScope => ({ name, operator: 'Exists', values: [] })),
      ...selected.map(({ scopeName, operator, values = [] }): QuotaScope => ({ name: scopeName, operator, values })),
    ],
  };
}

function priorityClassOf({ metadata, value, globalDefault, preemptionPolicy }: PriorityClassObject): PriorityClass {
  return {
    name: metadata.name,
    value,
    isGlobalDefault: globalDefault === true,
    mayPreempt: preemptionPolicy !== 'Never',
  };
}
