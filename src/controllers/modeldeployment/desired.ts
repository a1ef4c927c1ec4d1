/** The objects around the pods of a ModelDeployment, as they should be. */
import { ANNOTATIONS, LABELS } from '../../api/names.ts';
import type { ModelDeploymentSpec } from '../../api/v1alpha1/model-deployment.ts';
import { parseQuantity } from '../../capacity/quantity.ts';
import type { Bounds } from '../../rollout/types.ts';
import type { DesiredObject } from '../../runtime/apply.ts';
import { COMPONENT_LABEL, childMetadata, type Owner, serverSelector } from './children.ts';
import { usesGpu } from './pod.ts';
import { REVISION_ANNOTATIONS, shortHash } from './revision.ts';
import { type ServerPodInput, serverPodTemplate } from './server-pod.ts';

export interface DeploymentInput extends ServerPodInput {
  /** What the user wrote about the model, as `sourceHash` has it. */
  readonly source: string;
  /** Absent where the count is another's: an autoscaler's, or that of the scale subresource. */
  readonly replicas: number | undefined;
  /** The version that `replicas` was read of: the write is refused as a Conflict when it is no longer that one. */
  readonly resourceVersion?: string | undefined;
  /** What the rollout remembers, where it is applied and not annotated. */
  readonly progress?: string | undefined;
}

/** The Deployment of a revision. Its pod template never changes; only the count of its replicas does. */
export function desiredDeployment(input: DeploymentInput): DesiredObject {
  const { owner, spec, revision, model, image, source, replicas, resourceVersion, progress } = input;
  const template = serverPodTemplate(input);
  const metadata = childMetadata(
    owner,
    revision,
    { [LABELS.revision]: revision },
    {
      [ANNOTATIONS.modelSource]: source,
      [ANNOTATIONS.modelUri]: model.uri,
      [ANNOTATIONS.modelSha256]: model.sha256,
      ...(model.version && { [ANNOTATIONS.modelVersion]: model.version }),
      [REVISION_ANNOTATIONS.runtimeImage]: image,
      [REVISION_ANNOTATIONS.templateHash]: shortHash(template),
      ...(progress !== undefined && { [REVISION_ANNOTATIONS.progress]: progress }),
    },
  );
  return {
    metadata: { ...metadata, ...(resourceVersion && { resourceVersion }) },
    spec: {
      ...(replicas !== undefined && { replicas }),
      revisionHistoryLimit: 1,
      selector: { matchLabels: { [LABELS.revision]: revision, [COMPONENT_LABEL]: 'server' } },
      strategy:
        spec.rollout.strategy === 'Recreate'
          ? { type: 'Recreate' }
          : { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: 0 } },
      template,
    },
  };
}

export function desiredServiceAccount(owner: Owner): DesiredObject {
  return { metadata: childMetadata(owner, owner.name), automountServiceAccountToken: false };
}

/** Undefined for a single replica: a budget could only forbid that its node is ever drained, or say nothing. */
export function desiredDisruptionBudget(owner: Owner, replicas: number): DesiredObject | undefined {
  if (replicas <= 1) return undefined;
  return {
    metadata: childMetadata(owner, owner.name),
    spec: {
      maxUnavailable: 1,
      selector: { matchLabels: serverSelector(owner) },
      // Pods that are not ready serve nobody: a model that is broken must not keep its nodes from being drained.
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  };
}

/** A server that does nothing has about 110 MiB: 80% of less than this would be reached, or nearly, without a request. */
const LEAST_MEMORY_REQUEST = parseQuantity('256Mi');

/** Percent of the memory request to aim at; none on GPUs, where host memory says nothing about load. */
function memoryTarget(spec: ModelDeploymentSpec): number | undefined {
  const { autoscaling, resources } = spec;
  if (autoscaling?.memory !== undefined) return autoscaling.memory;
  const request = resources?.requests?.memory ?? resources?.limits?.memory;
  if (usesGpu(spec) || request === undefined) return undefined;
  return parseQuantity(request) < LEAST_MEMORY_REQUEST ? undefined : 80;
}

export function desiredAutoscaler(
  owner: Owner,
  spec: ModelDeploymentSpec & { readonly autoscaling: NonNullable<ModelDeploymentSpec['autoscaling']> },
  revision: string,
  bounds: Bounds,
): DesiredObject {
  const utilization = (name: string, averageUtilization: number) => ({
    type: 'Resource',
    resource: { name, target: { type: 'Utilization', averageUtilization } },
  });
  const memory = memoryTarget(spec);
  return {
    metadata: childMetadata(owner, revision, { [LABELS.revision]: revision }),
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: revision },
      minReplicas: bounds.min,
      maxReplicas: bounds.max,
      metrics: [
        utilization('cpu', spec.autoscaling.cpu),
        ...(memory === undefined ? [] : [utilization('memory', memory)]),
      ],
    },
  };
}
