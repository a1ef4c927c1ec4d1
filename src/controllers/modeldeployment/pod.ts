/**
 * The pod around whatever runs: identity, security, volumes, scheduling. Pods that serve and pods that resolve a digest
 * share it, so that what one may reach the other may too.
 */
import type { V1Affinity, V1NodeSelectorTerm, V1PodSpec } from '@kubernetes/client-node';
import { MODEL_ROOT, PVC_ROOT } from '../../api/names.ts';
import { GPU_RESOURCE, MIG_RESOURCE_PREFIX } from '../../api/v1alpha1/compute.ts';
import type { ModelDeploymentSpec } from '../../api/v1alpha1/model-deployment.ts';
import { claimOf } from './acceptance.ts';
import type { Owner } from './children.ts';

/** User and group of Fairlead's own images. */
export const NON_ROOT_ID = 65_532;
const PRODUCT_LABEL = `${GPU_RESOURCE}.product`;

export const CONTAINER_SECURITY = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  privileged: false,
  readOnlyRootFilesystem: true,
};

export type Resources = { readonly requests?: Record<string, string>; readonly limits?: Record<string, string> };

/** Whether a pod gets a GPU or a part of one; then it runs the CUDA image and must not fall back to the CPU. */
export function usesGpu(spec: ModelDeploymentSpec): boolean {
  const gpus = spec.resources?.limits?.[GPU_RESOURCE];
  return spec.accelerator?.mig !== undefined || (gpus !== undefined && String(gpus) !== '0');
}

export function serviceAccountName(owner: Owner, spec: ModelDeploymentSpec): string {
  return spec.pod?.serviceAccountName ?? owner.name;
}

/** Resources of the container that serves, with the device that `accelerator.mig` asks for. */
export function serverResources(spec: ModelDeploymentSpec): Resources {
  const texts = (list: Readonly<Record<string, string | number>> | undefined) =>
    Object.fromEntries(Object.entries(list ?? {}).map(([name, quantity]) => [name, String(quantity)]));
  const mig = spec.accelerator?.mig;
  const limits = { ...texts(spec.resources?.limits), ...(mig && { [`${MIG_RESOURCE_PREFIX}${mig}`]: '1' }) };
  const requests = texts(spec.resources?.requests);
  return {
    ...(Object.keys(requests).length > 0 && { requests }),
    ...(Object.keys(limits).length > 0 && { limits }),
  };
}

/**
 * What a container of Fairlead's own that fetches the model has beside its arguments: the credentials' Secret, which
 * only the kubelet reads, and the same security and mounts wherever it runs.
 */
export function fetchingContainer(spec: ModelDeploymentSpec, modelUri: string) {
  const secret = spec.model.credentialsRef?.name;
  return {
    ...(secret !== undefined && { envFrom: [{ secretRef: { name: secret } }] }),
    terminationMessagePolicy: 'FallbackToLogsOnError',
    securityContext: CONTAINER_SECURITY,
    volumeMounts: mounts(spec, modelUri),
  };
}

export function mounts(spec: ModelDeploymentSpec, modelUri: string): Mount[] {
  return [...ownMounts(modelUri), ...(spec.pod?.volumeMounts ?? [])];
}

export interface Mount {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly?: boolean;
}

/** Where every container sees models, temporary files, and the claim that a `pvc://` model is on. */
function ownMounts(modelUri: string): Mount[] {
  const claim = claimOf(modelUri)?.claim;
  return [
    { name: 'fairlead-models', mountPath: MODEL_ROOT },
    { name: 'fairlead-tmp', mountPath: '/tmp' },
    ...(claim === undefined ? [] : [{ name: 'fairlead-claim', mountPath: `${PVC_ROOT}/${claim}`, readOnly: true }]),
  ];
}

function ownVolumes(modelUri: string): NonNullable<V1PodSpec['volumes']> {
  const claim = claimOf(modelUri)?.claim;
  return [
    { name: 'fairlead-models', emptyDir: {} },
    { name: 'fairlead-tmp', emptyDir: {} },
    ...(claim === undefined
      ? []
      : [{ name: 'fairlead-claim', persistentVolumeClaim: { claimName: claim, readOnly: true } }]),
  ];
}

/** Adds nodes of the wanted products to every alternative of the user's own affinity. */
export function withProducts(affinity: V1Affinity | undefined, products: readonly string[]): V1Affinity | undefined {
  if (products.length === 0) return affinity;
  const product = { key: PRODUCT_LABEL, operator: 'In', values: [...products] };
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  const terms: V1NodeSelectorTerm[] = required ?? [{}];
  return {
    ...affinity,
    nodeAffinity: {
      ...affinity?.nodeAffinity,
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: terms.map((term) => ({
          ...term,
          matchExpressions: [...(term.matchExpressions ?? []), product],
        })),
      },
    },
  };
}

function scheduling(spec: ModelDeploymentSpec, onAccelerator: boolean): Partial<V1PodSpec> {
  const { pod } = spec;
  const accelerator = onAccelerator ? spec.accelerator : undefined;
  const nodeSelector = { ...pod?.nodeSelector, ...accelerator?.nodeSelector };
  // GPU nodes are commonly tainted so that nothing else is put there.
  const gpuToleration = onAccelerator && usesGpu(spec) ? [{ key: GPU_RESOURCE, operator: 'Exists' }] : [];
  const tolerations = [...(pod?.tolerations ?? []), ...gpuToleration];
  const affinity = withProducts(pod?.affinity, accelerator?.product ?? []);
  return {
    ...(Object.keys(nodeSelector).length > 0 && { nodeSelector }),
    ...(tolerations.length > 0 && { tolerations }),
    ...(affinity && { affinity }),
    ...(pod?.priorityClassName && { priorityClassName: pod.priorityClassName }),
  };
}

export interface FrameOptions {
  readonly modelUri: string;
  /** Whether the images run as the user of Fairlead's own; declared ones bring their own. */
  readonly runAsOwnUser: boolean;
  /** Whether the pod must be where the accelerator is. */
  readonly onAccelerator: boolean;
}

/** Everything of a pod but its containers. */
export function podFrame(
  owner: Owner,
  spec: ModelDeploymentSpec,
  options: FrameOptions,
): Omit<V1PodSpec, 'containers'> {
  const { pod } = spec;
  return {
    serviceAccountName: serviceAccountName(owner, spec),
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    ...(pod?.imagePullSecrets && { imagePullSecrets: pod.imagePullSecrets }),
    securityContext: {
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
      ...(options.runAsOwnUser && { runAsUser: NON_ROOT_ID, runAsGroup: NON_ROOT_ID }),
      ...pod?.securityContext,
      ...(pod?.securityContext?.fsGroup !== undefined && { fsGroupChangePolicy: 'OnRootMismatch' }),
    },
    ...scheduling(spec, options.onAccelerator),
    volumes: [...ownVolumes(options.modelUri), ...(pod?.volumes ?? [])],
  };
}
