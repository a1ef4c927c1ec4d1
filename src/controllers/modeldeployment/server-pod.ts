/** The pods of a revision: the built-in server, or a container of the user's own beside a download of the model. */
import type { V1Container, V1PodTemplateSpec, V1Probe, V1TopologySpreadConstraint } from '@kubernetes/client-node';
import { LABELS, MODEL_ROOT, PORTS, PVC_ROOT, SERVER_CONTAINER } from '../../api/names.ts';
import type { ServedModel, ServingConfig } from '../../api/serving-config.ts';
import { durationMs } from '../../api/v1alpha1/duration.ts';
import type { ModelDeploymentSpec } from '../../api/v1alpha1/model-deployment.ts';
import { percentageShare } from '../../api/v1alpha1/percentage.ts';
import { type RuntimeContainer, readinessPathOf } from '../../api/v1alpha1/runtime.ts';
import { parseQuantity } from '../../capacity/quantity.ts';
import { claimOf } from './acceptance.ts';
import { childLabels, type Owner } from './children.ts';
import { endpointFor } from './model-source.ts';
import {
  CONTAINER_SECURITY,
  fetchingContainer,
  mounts,
  podFrame,
  type Resources,
  serverResources,
  usesGpu,
} from './pod.ts';
import type { ResolvedModel } from './types.ts';

export const CONFIG_VARIABLE = 'FAIRLEAD_SERVER_CONFIG';
const MODEL_PATH_VARIABLE = 'FAIRLEAD_MODEL_PATH';
/** Long enough for a server to fail its readiness, answer what it has, and end. */
const TERMINATION_GRACE_SECONDS = 60;
/** Before the kubelet kills it a server ends by itself, so that it can say what it left unanswered. */
const SERVER_GRACE_SECONDS = TERMINATION_GRACE_SECONDS - 5;
/** Endpoints take a moment to follow; a container that ends at once would lose requests. */
const FOREIGN_DRAIN_SECONDS = 5;

export interface ServerPodInput {
  readonly owner: Owner;
  readonly spec: ModelDeploymentSpec;
  readonly revision: string;
  readonly model: ResolvedModel;
  /** Image of Fairlead, pinned for the revision. */
  readonly image: string;
}

export function servingConfig({ owner, spec, revision, model }: Omit<ServerPodInput, 'image'>): ServingConfig {
  const { batching, cache } = spec.runtime ?? {};
  const endpoint = endpointFor(spec.model, model.uri);
  const served: ServedModel = {
    name: owner.name,
    ...(model.version && { version: model.version }),
    uri: model.uri,
    sha256: model.sha256,
    ...(endpoint && { endpoint }),
    ...(spec.model.examples && { examples: spec.model.examples }),
    ...(batching && { batching: { maxBatchSize: batching.maxBatchSize, maxDelayMs: durationMs(batching.maxDelay) } }),
    ...(cache && { cache: { maxEntries: cache.maxEntries, ttlMs: durationMs(cache.ttl) } }),
  };
  return {
    models: [served],
    device: usesGpu(spec) ? 'gpu' : 'cpu',
    revision: { modelDeployment: owner.name, name: revision },
    ...(spec.predictionLog && { predictionLog: { samplingRate: percentageShare(spec.predictionLog.sampling) } }),
  };
}

/** JSON in which the kubelet finds no `$(VARIABLE)` to replace. */
export function variableText(config: ServingConfig): string {
  return JSON.stringify(config).replaceAll('$', '\\u0024');
}

/** An argument, or a plain variable, that reaches the container as it is: the kubelet reads `$(NAME)` as a variable, `$$` as `$`. */
export function literalArgument(text: string): string {
  return text.replaceAll('$', () => '$$');
}

const fromField = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });

const probe = (path: string, port: string, rest: V1Probe): V1Probe => ({ httpGet: { path, port }, ...rest });

function builtInContainer(input: ServerPodInput): V1Container {
  const { spec, image, model } = input;
  const { http, grpc, metrics } = PORTS;
  return {
    name: SERVER_CONTAINER,
    image,
    args: ['server', '--grace', `${SERVER_GRACE_SECONDS}s`],
    ports: [http, grpc, metrics].map(({ name, container }) => ({ name, containerPort: container, protocol: 'TCP' })),
    ...fetchingContainer(spec, model.uri),
    env: [
      ...(spec.pod?.env ?? []),
      fromField('POD_NAME', 'metadata.name'),
      fromField('POD_NAMESPACE', 'metadata.namespace'),
      { name: CONFIG_VARIABLE, value: variableText(servingConfig(input)) },
    ],
    resources: serverResources(spec),
    // Live as soon as the process listens; ready only after the model answered an inference.
    startupProbe: probe('/v2/health/live', http.name, { periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 120 }),
    livenessProbe: probe('/v2/health/live', http.name, { periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 }),
    readinessProbe: probe('/v2/health/ready', http.name, { periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 3 }),
  };
}

/** Where a declared container finds the model. */
export function modelPath(uri: string): string {
  const claim = claimOf(uri);
  if (claim !== undefined) return `${PVC_ROOT}/${claim.claim}/${decodedPath(claim.path)}`;
  if (uri.startsWith('file://')) return decodedPath(uri.slice('file://'.length));
  // Servers tell formats by the name of a file or directory, so that it keeps its own where that can be a path.
  const name = uri.split('/').findLast((part) => part !== '') ?? '';
  return `${MODEL_ROOT}/${/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name) ? name : 'model'}`;
}

/** As the download reads it, which refuses a `%` that stands for nothing. */
function decodedPath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** Downloads the model, or reads it in place, and ends in failure when the digest is another. */
function fetchContainer({ spec, image, model }: ServerPodInput): V1Container {
  const endpoint = endpointFor(spec.model, model.uri);
  const isLocal = claimOf(model.uri) !== undefined || model.uri.startsWith('file://');
  return {
    name: 'fetch-model',
    image,
    args: [
      'resolve',
      ...['--uri', literalArgument(model.uri), '--sha256', model.sha256],
      ...(endpoint === undefined ? [] : ['--endpoint', literalArgument(endpoint)]),
      ...(isLocal ? [] : ['--output', modelPath(model.uri)]),
    ],
    ...fetchingContainer(spec, model.uri),
    ...(spec.pod?.env && { env: spec.pod.env }),
    resources: fetchResources(spec),
  };
}

/** What downloading takes at least, whatever the model's own container is content with. */
const LEAST_FETCH_LIMITS: Readonly<Record<string, string>> = { cpu: '100m', memory: '256Mi' };

/**
 * As the container that serves has, but without devices: a pod counts for the larger of the two, and in a namespace with
 * a quota every container has to say.
 */
function fetchResources(spec: ModelDeploymentSpec): Resources {
  const { requests, limits } = serverResources(spec);
  const map = (list: Readonly<Record<string, string>>, change: (name: string, quantity: string) => string) =>
    Object.fromEntries(
      Object.entries(list).flatMap(([name, quantity]) => (name.includes('/') ? [] : [[name, change(name, quantity)]])),
    );
  const raised = (name: string, quantity: string): string => {
    const least = LEAST_FETCH_LIMITS[name] ?? quantity;
    return parseQuantity(quantity) < parseQuantity(least) ? least : quantity;
  };
  return {
    ...(requests && { requests: map(requests, (_, quantity) => quantity) }),
    ...(limits && { limits: map(limits, raised) }),
  };
}

function declaredContainer(input: ServerPodInput, container: RuntimeContainer): V1Container {
  const { spec, model } = input;
  const { http, grpc } = container.ports;
  const named = (name: string, containerPort: number) => ({ name, containerPort, protocol: 'TCP' });
  const path = readinessPathOf(container);
  return {
    name: SERVER_CONTAINER,
    image: container.image,
    ...(container.command && { command: container.command }),
    ...(container.args && { args: container.args }),
    ports: [named(PORTS.http.name, http), ...(grpc === undefined ? [] : [named(PORTS.grpc.name, grpc)])],
    env: [{ name: MODEL_PATH_VARIABLE, value: literalArgument(modelPath(model.uri)) }, ...(spec.pod?.env ?? [])],
    resources: serverResources(spec),
    // Large models take long to load, and only the container knows when it is done: an hour, then it is started anew.
    startupProbe: probe(path, PORTS.http.name, { periodSeconds: 2, timeoutSeconds: 5, failureThreshold: 1800 }),
    readinessProbe: probe(path, PORTS.http.name, { periodSeconds: 2, timeoutSeconds: 5, failureThreshold: 3 }),
    livenessProbe: { tcpSocket: { port: PORTS.http.name }, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 },
    lifecycle: { preStop: { sleep: { seconds: FOREIGN_DRAIN_SECONDS } } },
    terminationMessagePolicy: 'FallbackToLogsOnError',
    securityContext: CONTAINER_SECURITY,
    volumeMounts: mounts(spec, model.uri),
  };
}

/** Pods are spread over nodes and zones where there are several, and packed where there are not. */
function spread(revision: string): V1TopologySpreadConstraint[] {
  return ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map((topologyKey) => ({
    maxSkew: 1,
    topologyKey,
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: { [LABELS.revision]: revision } },
  }));
}

export function serverPodTemplate(input: ServerPodInput): V1PodTemplateSpec {
  const { owner, spec, revision, model } = input;
  const declared = spec.runtime?.container;
  const frame = podFrame(owner, spec, {
    modelUri: model.uri,
    runAsOwnUser: declared === undefined,
    onAccelerator: true,
  });
  return {
    metadata: {
      labels: { ...spec.pod?.labels, ...childLabels(owner, 'server'), [LABELS.revision]: revision },
      ...(spec.pod?.annotations && { annotations: spec.pod.annotations }),
    },
    spec: {
      ...frame,
      terminationGracePeriodSeconds: TERMINATION_GRACE_SECONDS,
      topologySpreadConstraints: spread(revision),
      ...(declared === undefined
        ? { containers: [builtInContainer(input)] }
        : { initContainers: [fetchContainer(input)], containers: [declaredContainer(input, declared)] }),
    },
  };
}
