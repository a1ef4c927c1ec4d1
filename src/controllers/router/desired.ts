/** The objects of a namespace's routers, as they should be. */
import type { V1PodTemplateSpec } from '@kubernetes/client-node';
import { PORTS, ROUTER_NAME } from '../../api/names.ts';
import type { DesiredObject } from '../../runtime/apply.ts';
import type { ObjectMeta, OwnerReference } from '../../runtime/types.ts';
import type { ModelDeployment } from '../kinds.ts';
import { CONTAINER_SECURITY, NON_ROOT_ID } from '../modeldeployment/pod.ts';
import { bindingName, type ShippedRole, sharedReference } from '../namespaces.ts';
import { ROUTER_ENVIRONMENT } from './environment.ts';
import { ROUTER_LABELS, ROUTER_SELECTOR } from './selector.ts';

/** What the operator was told about routers. */
export interface RouterSettings {
  readonly image: string;
  /** What the routers' ServiceAccount is bound to: the rights to read routes and endpoints, and to report. */
  readonly role: ShippedRole;
  readonly minReplicas: number;
  readonly maxReplicas: number;
  /** Quantities of one router. Its autoscaler aims at 70% of `cpu`. */
  readonly cpu: string;
  readonly memory: string;
}

/** Where a router keeps the routes that it applied last, for a start without the API server. */
export const ROUTER_STATE_DIR = '/var/lib/fairlead/router';

/** Long enough for a router to leave its Services' endpoints, answer what it has, and leave its last counts. */
const TERMINATION_GRACE_SECONDS = 60;
/** A router that became ready is only counted on after it stayed so. */
const MIN_READY_SECONDS = 2;
const CPU_TARGET_PERCENT = 70;

/** @param owners what keeps the objects alive: they go with the last of them */
function metadata(namespace: string, owners: readonly OwnerReference[], name: string = ROUTER_NAME): ObjectMeta {
  return { name, namespace, labels: ROUTER_LABELS, ownerReferences: owners };
}

/**
 * The Deployment, which all ModelDeployments of the namespace that need it (`users`) own together. It names no count: the autoscaler
 * has it, and before there is one a single router starts.
 */
export function desiredRouterDeployment(
  namespace: string,
  users: readonly ModelDeployment[],
  settings: RouterSettings,
): DesiredObject {
  return {
    metadata: metadata(namespace, users.map(sharedReference)),
    spec: {
      revisionHistoryLimit: 1,
      minReadySeconds: MIN_READY_SECONDS,
      selector: { matchLabels: ROUTER_SELECTOR },
      // An upgrade of Fairlead replaces routers under load.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: podTemplate(users, settings),
    },
  };
}

/** A Secret is of one namespace, so that only its users can name those that open a private registry. */
function pullSecretsOf(users: readonly ModelDeployment[]): readonly string[] {
  const names = users.flatMap(({ spec }) => spec.pod?.imagePullSecrets ?? []).map(({ name }) => name);
  return [...new Set(names)].sort();
}

function podTemplate(users: readonly ModelDeployment[], { image, cpu, memory }: RouterSettings): V1PodTemplateSpec {
  const pullSecrets = pullSecretsOf(users);
  const fromField = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  const { metrics } = PORTS;
  const probe = (path: string) => ({ httpGet: { path, port: metrics.name } });
  return {
    metadata: { labels: ROUTER_LABELS },
    spec: {
      serviceAccountName: ROUTER_NAME,
      automountServiceAccountToken: true,
      enableServiceLinks: false,
      ...(pullSecrets.length > 0 && { imagePullSecrets: pullSecrets.map((name) => ({ name })) }),
      terminationGracePeriodSeconds: TERMINATION_GRACE_SECONDS,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: NON_ROOT_ID,
        runAsGroup: NON_ROOT_ID,
        fsGroup: NON_ROOT_ID,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      topologySpreadConstraints: ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map((topologyKey) => ({
        maxSkew: 1,
        topologyKey,
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: ROUTER_SELECTOR },
      })),
      containers: [
        {
          name: 'router',
          image,
          args: ['router', '--state-dir', ROUTER_STATE_DIR],
          ports: [{ name: metrics.name, containerPort: metrics.container, protocol: 'TCP' }],
          env: [
            fromField('POD_NAME', 'metadata.name'),
            fromField('POD_NAMESPACE', 'metadata.namespace'),
            fromField('POD_UID', 'metadata.uid'),
            ...Object.entries(ROUTER_ENVIRONMENT).map(([name, value]) => ({ name, value })),
          ],
          resources: { requests: { cpu, memory }, limits: { memory } },
          startupProbe: { ...probe('/healthz'), periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 60 },
          livenessProbe: { ...probe('/healthz'), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3 },
          readinessProbe: { ...probe('/readyz'), periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 2 },
          securityContext: CONTAINER_SECURITY,
          volumeMounts: [
            { name: 'state', mountPath: ROUTER_STATE_DIR },
            { name: 'tmp', mountPath: '/tmp' },
          ],
        },
      ],
      volumes: [
        { name: 'state', emptyDir: { sizeLimit: '64Mi' } },
        { name: 'tmp', emptyDir: { sizeLimit: '64Mi' } },
      ],
    },
  };
}

/** What stands around the Deployment and goes with it: `owner` is the reference by which it controls them. */
export function desiredRouterAccount(namespace: string, owner: OwnerReference): DesiredObject {
  return { metadata: metadata(namespace, [owner]), automountServiceAccountToken: false };
}

export function desiredRouterRoleBinding(
  namespace: string,
  owner: OwnerReference,
  { role }: RouterSettings,
): DesiredObject {
  return {
    metadata: metadata(namespace, [owner], bindingName(ROUTER_NAME, role)),
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: role.kind, name: role.name },
    subjects: [{ kind: 'ServiceAccount', name: ROUTER_NAME, namespace }],
  };
}

export function desiredRouterAutoscaler(
  namespace: string,
  owner: OwnerReference,
  { minReplicas, maxReplicas }: RouterSettings,
): DesiredObject {
  return {
    metadata: metadata(namespace, [owner]),
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: ROUTER_NAME },
      minReplicas,
      maxReplicas,
      metrics: [
        {
          type: 'Resource',
          resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: CPU_TARGET_PERCENT } },
        },
      ],
    },
  };
}

export function desiredRouterDisruptionBudget(namespace: string, owner: OwnerReference): DesiredObject {
  return {
    metadata: metadata(namespace, [owner]),
    spec: { maxUnavailable: 1, selector: { matchLabels: ROUTER_SELECTOR }, unhealthyPodEvictionPolicy: 'AlwaysAllow' },
  };
}
