/** Snapshots and claims in few words. */
import type { V1PodSpec } from '@kubernetes/client-node';
import { type PodDemand, podDemand } from '../pod-demand.ts';
import { amountsOf } from '../quantity.ts';
import type { CapacityClaim, CapacitySnapshot, NodeRoom, PodUse, Quota } from '../types.ts';

export const GPU = 'nvidia.com/gpu';
export const PRODUCT = 'nvidia.com/gpu.product';

export function container(limits: Record<string, string>, requests: Record<string, string> = {}) {
  return { name: 'server', resources: { limits, requests } };
}

/** A pod with `gpus` GPUs. */
export function gpuPod(gpus: number, spec: Partial<V1PodSpec> = {}): PodDemand {
  return podDemand({ containers: [container({ [GPU]: String(gpus), cpu: '1', memory: '1Gi' })], ...spec });
}

export const productAffinity = (...products: string[]): Pick<V1PodSpec, 'affinity'> => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: PRODUCT, operator: 'In', values: products }] }],
      },
    },
  },
});

export function node(name: string, allocatable: Record<string, string>, rest: Partial<NodeRoom> = {}): NodeRoom {
  return {
    name,
    labels: {},
    taints: [],
    isSchedulable: true,
    isReady: true,
    allocatable: amountsOf({ cpu: '64', memory: '512Gi', pods: '110', ...allocatable }),
    pods: [],
    ...rest,
  };
}

export function use(name: string, pod: PodDemand, rest: Partial<PodUse> = {}): PodUse {
  return { namespace: 'shop', name, priority: 0, requests: pod.requests, ...rest };
}

/** `count` pods named `<prefix>-0` and so on. */
export function uses(prefix: string, count: number, pod: PodDemand, rest: Partial<PodUse> = {}): PodUse[] {
  return Array.from({ length: count }, (_, index) => use(`${prefix}-${index}`, pod, rest));
}

export function snapshot(nodes: CapacitySnapshot['nodes'], rest: Partial<CapacitySnapshot> = {}): CapacitySnapshot {
  return { nodes, quotas: [], priorityClasses: [], ...rest };
}

export function quota(name: string, hard: Record<string, string>, used: Record<string, string>): Quota {
  return { namespace: 'shop', name, hard: amountsOf(hard), used: amountsOf(used), scopes: [] };
}

export function claim(rest: Partial<CapacityClaim> = {}): CapacityClaim {
  return {
    rollout: 'shop/churn',
    startedAtMs: 0,
    mode: 'Auto',
    provisionTimeoutMs: 180_000,
    pod: gpuPod(1),
    wanted: 1,
    removable: 0,
    vacant: 0,
    starting: 0,
    ending: 0,
    oldPods: [],
    isAllOrNothing: false,
    isSwapping: false,
    ...rest,
  };
}
