/**
 * What makes a revision: the fields of the spec that reach its pods, the place of the model, and its bytes. A user's
 * change of anything else (replicas, autoscaling, rollout) makes no new one, and nor does an upgrade of Fairlead.
 */
import { createHash } from 'node:crypto';
import { ANNOTATIONS, API_GROUP, LABELS, PORTS, SERVER_CONTAINER } from '../../api/names.ts';
import type { ModelDeploymentSpec } from '../../api/v1alpha1/model-deployment.ts';
import type { ModelSource } from '../../api/v1alpha1/model-source.ts';
import type { Deployment, HorizontalPodAutoscaler } from '../resources.ts';
import type { ResolvedModel, ServerPorts } from './types.ts';

/** On a revision's Deployment, beside those of `ANNOTATIONS`. */
export const REVISION_ANNOTATIONS = {
  /** Image of Fairlead that the revision runs for as long as it lives. */
  runtimeImage: `${API_GROUP}/runtime-image`,
  /** Hash of the pod template as it was made. A version of Fairlead that would make another one leaves it as it is. */
  templateHash: `${API_GROUP}/template-hash`,
  /** What the rollout to the revision remembers: JSON of `Progress`. */
  progress: `${API_GROUP}/rollout-progress`,
  /** What the analysis of the step under way has counted: JSON of `AnalysisRecord`; absent while nothing is judged. */
  analysis: `${API_GROUP}/rollout-analysis`,
} as const;

/** JSON with sorted keys and without undefined members: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

/** The first 10 hexadecimal digits of a value's sha256: names of one object's children need no more. */
export function shortHash(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex').slice(0, 10);
}

/** Quantities as texts, since `cpu: 1` and `cpu: "1"` ask for the same. */
function quantities(
  list: Readonly<Record<string, string | number>> | undefined,
): Readonly<Record<string, string>> | undefined {
  return list && Object.fromEntries(Object.entries(list).map(([name, quantity]) => [name, String(quantity)]));
}

/** Empty objects and absent ones ask for the same. */
function orAbsent<T extends object>(value: T | undefined): T | undefined {
  return value === undefined || Object.values(value).every((member) => member === undefined) ? undefined : value;
}

/**
 * The part of the spec that reaches pods. A field that a later version adds goes in here too, left out while it has its
 * default: a revision's name must not change because Fairlead was upgraded.
 */
export function podAffectingFields(spec: ModelDeploymentSpec): object {
  const { model, runtime, resources, accelerator, pod, predictionLog } = spec;
  return {
    model: { endpoint: model.endpoint, credentialsRef: model.credentialsRef, examples: model.examples },
    runtime: orAbsent({ container: runtime?.container, batching: runtime?.batching, cache: runtime?.cache }),
    resources: orAbsent({ requests: quantities(resources?.requests), limits: quantities(resources?.limits) }),
    accelerator: orAbsent(accelerator),
    pod: orAbsent(pod),
    predictionLog,
  };
}

/** `<model-deployment>-<hash>`: also the name of the revision's Deployment and HorizontalPodAutoscaler. */
export function revisionName(deploymentName: string, spec: ModelDeploymentSpec, model: ResolvedModel): string {
  return `${deploymentName}-${shortHash({ ...podAffectingFields(spec), resolved: model })}`;
}

/** Identifies what the user wrote about the model's bytes, so that what it was resolved to is found again. */
export function sourceHash(model: ModelSource): string {
  const { uri, ref, sha256, endpoint } = model;
  return shortHash({ uri, ref, sha256, endpoint });
}

/** A revision as its own objects tell of it. */
export interface Revision {
  readonly name: string;
  readonly deployment: Deployment;
  readonly autoscaler: HorizontalPodAutoscaler | undefined;
  readonly model: ResolvedModel | undefined;
  readonly source: string | undefined;
  readonly runtimeImage: string | undefined;
  readonly templateHash: string | undefined;
  /** Of its pods, which were made of another spec than the present one where a rollout changes the runtime. */
  readonly ports: ServerPorts;
  /** That its pods run under. */
  readonly serviceAccount: string | undefined;
  /** As written on its Deployment: see `REVISION_ANNOTATIONS`. */
  readonly progress: string | undefined;
  readonly analysis: string | undefined;
  readonly replicas: number;
  readonly ready: number;
  /** Pods that exist and are not ending. */
  readonly current: number;
}

/**
 * Reads what is remembered of a revision from its Deployment.
 * @param ready pods of it that are ready and not ending
 */
export function readRevision(
  deployment: Deployment,
  autoscaler: HorizontalPodAutoscaler | undefined,
  ready: number,
): Revision {
  const annotations = deployment.metadata.annotations ?? {};
  const uri = annotations[ANNOTATIONS.modelUri];
  const sha256 = annotations[ANNOTATIONS.modelSha256];
  const version = annotations[ANNOTATIONS.modelVersion];
  const pod = deployment.spec?.template?.spec;
  const server = pod?.containers?.find(({ name }) => name === SERVER_CONTAINER);
  return {
    name: deployment.metadata.labels?.[LABELS.revision] ?? deployment.metadata.name,
    deployment,
    autoscaler,
    model: uri === undefined || sha256 === undefined ? undefined : { uri, sha256, ...(version && { version }) },
    source: annotations[ANNOTATIONS.modelSource],
    runtimeImage: annotations[REVISION_ANNOTATIONS.runtimeImage] ?? server?.image,
    templateHash: annotations[REVISION_ANNOTATIONS.templateHash],
    ports: portsOf(server?.ports ?? []),
    serviceAccount: pod?.serviceAccountName,
    progress: annotations[REVISION_ANNOTATIONS.progress],
    analysis: annotations[REVISION_ANNOTATIONS.analysis],
    replicas: deployment.spec?.replicas ?? 1,
    ready,
    current: deployment.status?.replicas ?? 0,
  };
}

/** By the names that every template gives them. One without is not of Fairlead's making: then they are as usual. */
function portsOf(ports: readonly { readonly name?: string; readonly containerPort: number }[]): ServerPorts {
  const named = (wanted: string) => ports.find(({ name }) => name === wanted)?.containerPort;
  const http = named(PORTS.http.name);
  const grpc = named(PORTS.grpc.name);
  if (http === undefined) return { http: PORTS.http.container, grpc: PORTS.grpc.container };
  return { http, ...(grpc !== undefined && { grpc }) };
}

/** Newest first; by name where two were made in the same second. */
export function byAge(revisions: readonly Revision[]): readonly Revision[] {
  const created = ({ deployment }: Revision) => deployment.metadata.creationTimestamp ?? '';
  return [...revisions].sort((a, b) => {
    const [left, right] = [created(a), created(b)];
    return left === right ? (a.name < b.name ? -1 : 1) : left < right ? 1 : -1;
  });
}
