/** What the caches keep of Kubernetes' objects: a cluster has many, and little of each is ever read. */

import { ANNOTATIONS, LABELS } from '../../api/names.ts';
import { LEASES, type Lease } from '../../runtime/kubernetes-resources.ts';
import type { Watch } from '../../runtime/reconcile-context.ts';
import { slimMetadata } from '../../runtime/slim-metadata.ts';
import { type KubeObject, objectKey } from '../../runtime/types.ts';
import {
  AUTOSCALERS,
  CONFIG_MAPS,
  type ConfigMap,
  type ContainerStatus,
  DEPLOYMENTS,
  type Deployment,
  DISRUPTION_BUDGETS,
  type HorizontalPodAutoscaler,
  JOBS,
  type Job,
  PODS,
  type Pod,
  ROLE_BINDINGS,
  SERVICE_ACCOUNTS,
  SERVICES,
  type Service,
} from '../resources.ts';
import { BY_ROUTER_NAMESPACE, isRouterPod } from '../router/selector.ts';
import { MANAGED_BY } from './children.ts';
import { BY_MODEL_DEPLOYMENT } from './phases/observe.ts';
import { BY_ROUTER_PORT, routerPortOf } from './routing/route.ts';

const OURS = { [LABELS.managedBy]: MANAGED_BY };

/** Objects whose names users could take too are all watched, so that one of theirs is never taken for ours. */
const identityOnly = <T extends KubeObject>(object: T): T => {
  const { apiVersion, kind } = object;
  if (object.metadata.labels?.[LABELS.managedBy] === MANAGED_BY) {
    return { apiVersion, kind, metadata: object.metadata } as T;
  }
  return { apiVersion, kind, metadata: slimMetadata(object.metadata, 'ownerReferences') } as T;
};

/** Of ours also where it leads, and where clients come in. */
export const watchServices: Watch<Service> = {
  resource: SERVICES,
  transform: (service) => {
    const known = identityOnly(service);
    if (known.metadata.labels?.[LABELS.managedBy] !== MANAGED_BY) return known;
    const { selector, ports } = service.spec ?? {};
    const led = ports?.map(({ name, targetPort }) => ({
      ...(name !== undefined && { name }),
      ...(targetPort !== undefined && { targetPort }),
    }));
    const { loadBalancer } = service.status ?? {};
    return {
      ...known,
      spec: { ...(selector && { selector }), ...(led && { ports: led }) },
      ...(loadBalancer?.ingress && { status: { loadBalancer } }),
    };
  },
};
export const watchServiceAccounts: Watch = { resource: SERVICE_ACCOUNTS, transform: identityOnly };
export const watchDisruptionBudgets: Watch = { resource: DISRUPTION_BUDGETS, transform: identityOnly };

export const watchRoleBindings: Watch = {
  resource: ROLE_BINDINGS,
  selector: OURS,
  transform: ({ apiVersion, kind, metadata }) => ({ apiVersion, kind, metadata }),
};

/** Routes, and what outside registries answered. */
export const watchConfigMaps: Watch<ConfigMap> = {
  resource: CONFIG_MAPS,
  selector: OURS,
  // Parsed once a change: with it, whether a port is free costs the same however many routes a namespace has.
  indexes: { [BY_ROUTER_PORT]: routerPortOf },
};

const REPORTED: ReadonlySet<string> = new Set([
  ANNOTATIONS.appliedRoutes,
  ANNOTATIONS.refusedRoutes,
  ANNOTATIONS.finalCounts,
]);

/** What routers report; without their renewals, which say nothing here. */
export const watchRouterReports: Watch<Lease> = {
  resource: LEASES,
  selector: { [LABELS.routerReport]: 'true' },
  transform: ({ apiVersion, kind, metadata }) => {
    const reported = Object.entries(metadata.annotations ?? {}).filter(([key]) => REPORTED.has(key));
    return {
      apiVersion,
      kind,
      metadata: {
        ...slimMetadata(metadata, 'labels', 'ownerReferences'),
        annotations: Object.fromEntries(reported),
      },
    };
  },
};

export const watchDeployments: Watch<Deployment> = {
  resource: DEPLOYMENTS,
  selector: OURS,
  transform: ({ apiVersion, kind, metadata, spec, status }) => {
    const { serviceAccountName } = spec?.template?.spec ?? {};
    const containers = spec?.template?.spec?.containers?.map(({ name, image, ports }) => ({
      name,
      ...(image && { image }),
      ...(ports && { ports }),
    }));
    const { observedGeneration, replicas, readyReplicas, conditions } = status ?? {};
    const failure = conditions?.filter(({ type }) => type === 'ReplicaFailure');
    return {
      apiVersion,
      kind,
      metadata,
      spec: {
        ...(spec?.replicas !== undefined && { replicas: spec.replicas }),
        ...(containers && {
          template: { spec: { ...(serviceAccountName !== undefined && { serviceAccountName }), containers } },
        }),
      },
      status: {
        ...(observedGeneration !== undefined && { observedGeneration }),
        ...(replicas !== undefined && { replicas }),
        ...(readyReplicas !== undefined && { readyReplicas }),
        ...(failure && failure.length > 0 && { conditions: failure }),
      },
    };
  },
};

const AUTOSCALER_WORKS = new Set(['ScalingActive', 'AbleToScale']);

export const watchAutoscalers: Watch<HorizontalPodAutoscaler> = {
  resource: AUTOSCALERS,
  selector: OURS,
  transform: ({ apiVersion, kind, metadata, status }) => {
    // What works changes its words with every look of the autoscaler; only what does not is told.
    const failing = status?.conditions?.filter(({ type, status: is }) => is === 'False' && AUTOSCALER_WORKS.has(type));
    return { apiVersion, kind, metadata, ...(failing && failing.length > 0 && { status: { conditions: failing } }) };
  },
};

export const watchJobs: Watch<Job> = {
  resource: JOBS,
  selector: OURS,
  transform: ({ apiVersion, kind, metadata, status }) => ({
    apiVersion,
    kind,
    metadata,
    ...(status?.conditions && { status: { conditions: status.conditions } }),
  }),
};

const container = ({ name, image, ready, restartCount, state, lastState }: ContainerStatus): ContainerStatus => ({
  name,
  ...(ready !== undefined && { ready }),
  // A container that is ready has nothing to explain.
  ...(ready !== true && {
    ...(image && { image }),
    ...(restartCount !== undefined && { restartCount }),
    ...(state && { state }),
    ...(lastState && { lastState }),
  }),
});

const POD_CONDITIONS = new Set(['PodScheduled', 'Ready']);

/** A pod without what only the kubelet and the scheduler need. */
export function slimPod({ apiVersion, kind, metadata, status }: Pod): Pod {
  return {
    apiVersion,
    kind,
    metadata: slimMetadata(metadata, 'creationTimestamp', 'deletionTimestamp', 'labels', 'ownerReferences'),
    ...(status && {
      status: {
        ...(status.phase && { phase: status.phase }),
        ...(status.reason && { reason: status.reason }),
        ...(status.message && { message: status.message }),
        ...(status.podIP && { podIP: status.podIP }),
        ...(status.conditions && { conditions: status.conditions.filter(({ type }) => POD_CONDITIONS.has(type)) }),
        ...(status.initContainerStatuses && { initContainerStatuses: status.initContainerStatuses.map(container) }),
        ...(status.containerStatuses && { containerStatuses: status.containerStatuses.map(container) }),
      },
    }),
  };
}

/** The key of the ModelDeployment whose pod it is. */
export function ownerKeyOf(pod: Pod): readonly string[] {
  const name = pod.metadata.labels?.[LABELS.modelDeployment];
  return name === undefined ? [] : [objectKey({ namespace: pod.metadata.namespace, name })];
}

export const watchPods: Watch<Pod> = {
  resource: PODS,
  selector: OURS,
  transform: slimPod,
  indexes: {
    [BY_MODEL_DEPLOYMENT]: ownerKeyOf,
    [BY_ROUTER_NAMESPACE]: (pod) => (isRouterPod(pod) ? [pod.metadata.namespace ?? ''] : []),
  },
};
