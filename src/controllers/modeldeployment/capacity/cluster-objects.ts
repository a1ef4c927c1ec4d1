/** What of the cluster's own objects a planner of capacity needs to know. */
import type { V1PodSpec } from '@kubernetes/client-node';
import { podRequests } from '../../../capacity/pod-demand.ts';
import { type Amounts, amountsOf } from '../../../capacity/quantity.ts';
import type { NodeRoom, PodUse, PriorityClass, Quota, QuotaScope } from '../../../capacity/types.ts';
import { defineResource, type KubeObject } from '../../../runtime/types.ts';

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

export const NODES = core<Node>('Node', 'nodes', false);
/** All pods of the cluster, of whatever owner. */
export const SCHEDULED_PODS = core<ScheduledPod>('Pod', 'pods', true);
export const QUOTAS = core<ResourceQuota>('ResourceQuota', 'resourcequotas', true);
export const PRIORITY_CLASSES = defineResource<PriorityClassObject>({
  group: 'scheduling.k8s.io',
  version: 'v1',
  kind: 'PriorityClass',
  plural: 'priorityclasses',
  namespaced: false,
});

/** A node whose pods have not been read yet. */
export function nodeOf({ metadata, spec, status }: Node): NodeRoom {
  return {
    name: metadata.name,
    labels: metadata.labels ?? {},
    taints: spec?.taints ?? [],
    isSchedulable: spec?.unschedulable !== true,
    isReady: status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true,
    allocatable: amountsOf(status?.allocatable),
    pods: undefined,
  };
}

export interface PodOnNode extends PodUse {
  readonly node: string;
}

/** Pods as far as they hold something. Those that request the same share what says so: there are few kinds of pods. */
export class PodUses {
  readonly #requests = new Map<string, Amounts>();
  readonly #texts = new Map<string, string>();

  /** Undefined for a pod that is on no node, or has ended. */
  of({ metadata, spec, status }: ScheduledPod): PodOnNode | undefined {
    if (!spec.nodeName || status?.phase === 'Succeeded' || status?.phase === 'Failed') return undefined;
    const endsAtMs = Date.parse(metadata.deletionTimestamp ?? '');
    return {
      node: this.#text(spec.nodeName),
      namespace: this.#text(metadata.namespace ?? ''),
      name: metadata.name,
      priority: spec.priority ?? 0,
      requests: this.#requestsOf(spec),
      ...(Number.isFinite(endsAtMs) && { endsAtMs }),
    };
  }

  #requestsOf(spec: V1PodSpec): Amounts {
    const of = ({ resources, restartPolicy }: V1PodSpec['containers'][number]) => [resources, restartPolicy];
    const { containers, initContainers = [], overhead, resources } = spec;
    const key = JSON.stringify([containers.map(of), initContainers.map(of), overhead, resources]);
    let requests = this.#requests.get(key);
    if (requests === undefined) {
      requests = podRequests(spec);
      this.#requests.set(key, requests);
    }
    return requests;
  }

  #text(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    this.#texts.set(text, text);
    return text;
  }
}

export function quotaOf({ metadata, spec, status }: ResourceQuota): Quota {
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

export function priorityClassOf({
  metadata,
  value,
  globalDefault,
  preemptionPolicy,
}: PriorityClassObject): PriorityClass {
  return {
    name: metadata.name,
    value,
    isGlobalDefault: globalDefault === true,
    mayPreempt: preemptionPolicy !== 'Never',
  };
}
