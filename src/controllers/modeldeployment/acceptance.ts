/** What the schema and its CEL rules cannot refuse. */
import { MODEL_ROOT, PVC_ROOT } from '../../api/names.ts';
import { own } from '../../api/own.ts';
import { durationMs } from '../../api/v1alpha1/duration.ts';
import { withoutSecrets } from '../../api/without-secrets.ts';
import { MIN_INTERVALS } from '../../rollout/analysis/claim.ts';
import { InvalidMetric } from '../../rollout/analysis/invalid-metric.ts';
import { compileMetrics } from '../../rollout/analysis/policy.ts';
import { isStepped, unmeasurable } from '../../rollout/compile.ts';
import type { ModelDeployment } from '../kinds.ts';

export interface Refusal {
  readonly reason:
    | 'InvalidModelUri'
    | 'ExamplesTooLarge'
    | 'InvalidPod'
    | 'InvalidSpec'
    | 'NameConflict'
    | 'GatewayApiMissing'
    | 'UnsupportedByGateway';
  readonly message: string;
}

/** Linux takes at most 128 KiB for one environment variable, its name and the final NUL included. */
export const MAX_VARIABLE_BYTES = 131_072;

const CLAIM = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

/** A claim and the path in it, of `pvc://CLAIM/PATH`; undefined for another scheme. */
export function claimOf(uri: string): { readonly claim: string; readonly path: string } | undefined {
  const match = /^pvc:\/\/([^/]+)\/(.*)$/.exec(uri);
  return match === null ? undefined : { claim: match[1] ?? '', path: match[2] ?? '' };
}

/** @returns a sentence when the URI cannot be served from */
function uriProblem(uri: string): string | undefined {
  const claim = claimOf(uri);
  if (claim !== undefined && !CLAIM.test(claim.claim)) {
    return `${withoutSecrets(uri)}: "${claim.claim}" cannot be the name of a PersistentVolumeClaim (lower-case letters, digits, - and .)`;
  }
  const path = claim?.path ?? (uri.startsWith('file://') ? uri.slice('file://'.length) : undefined);
  if (path?.split('/').includes('..') === true) return `${withoutSecrets(uri)}: the path must not contain ".."`;
  return undefined;
}

/** @param resolvedUri the place of the model when it came from a registry, whose objects have their own rules */
export function uriRefusal(uri: string | undefined): Refusal | undefined {
  const problem = uri === undefined ? undefined : uriProblem(uri);
  return problem === undefined ? undefined : { reason: 'InvalidModelUri', message: problem };
}

/** Why the object cannot be acted on before anything is looked at, or undefined. */
export function refusal({ metadata, spec }: ModelDeployment): Refusal | undefined {
  return (
    uriRefusal(spec.model.uri) ??
    examplesRefusal(spec.model.examples) ??
    mountRefusal(spec.pod?.volumeMounts) ??
    selectorRefusal(spec) ??
    metricsRefusal(spec) ??
    analysisRefusal(spec) ??
    selfReferenceRefusal(metadata.name, spec)
  );
}

const LARGEST_64_BITS = 2 ** 64;
const FLOATS: ReadonlySet<string> = new Set(['FP16', 'BF16', 'FP32', 'FP64']);
/** Data may be nested by its shape. */
const MAX_DIMENSIONS = 16;

/** An integer that JSON may have rounded on its way here, where it is meant as an integer: floats are rounded anyway. */
function isInexact(value: unknown): boolean {
  return Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value as number) <= LARGEST_64_BITS;
}

/** Pods would be asked about another number than the user wrote, and be right or wrong about that. */
function examplesRefusal(examples: ModelDeployment['spec']['model']['examples']): Refusal | undefined {
  for (const [index, { inputs, expect = [] }] of (examples ?? []).entries()) {
    const integers = inputs.filter(({ datatype = '' }) => !FLOATS.has(datatype));
    for (const { name, data } of [...integers, ...expect]) {
      if (!data.flat(MAX_DIMENSIONS).some(isInexact)) continue;
      const message = `model.examples[${index}]: ${name} holds an integer beyond 2^53, which loses digits on its way to pods: give an example without`;
      return { reason: 'InvalidSpec', message };
    }
  }
  return undefined;
}

/** Expressions of metrics are CEL, which only a compiler can refuse. */
function metricsRefusal({ rollout }: ModelDeployment['spec']): Refusal | undefined {
  if (rollout.analysis === undefined) return undefined;
  try {
    compileMetrics(rollout.analysis);
    return undefined;
  } catch (error) {
    if (error instanceof InvalidMetric) return { reason: 'InvalidSpec', message: error.message };
    throw error;
  }
}

/** The spec without the metrics that do not compile: whatever else a rollout is judged by still judges it. */
export function judgeable(spec: ModelDeployment['spec']): ModelDeployment['spec'] {
  const { analysis } = spec.rollout;
  if (analysis?.metrics === undefined) return spec;
  const compiles = (metric: (typeof analysis.metrics)[number]) =>
    metricsRefusal({ ...spec, rollout: { ...spec.rollout, analysis: { ...analysis, metrics: [metric] } } }) ===
    undefined;
  return {
    ...spec,
    rollout: { ...spec.rollout, analysis: { ...analysis, metrics: analysis.metrics.filter(compiles) } },
  };
}

/** An analysis that could never come to a verdict: of a metric that no step measures, or before its deadline. */
function analysisRefusal({ rollout }: ModelDeployment['spec']): Refusal | undefined {
  const { analysis, strategy } = rollout;
  if (analysis === undefined || !isStepped(strategy)) return undefined;
  const [idle] = unmeasurable(rollout);
  if (idle !== undefined) {
    const message =
      `rollout.analysis.metrics: no step of ${strategy} can measure ${idle}: Agreement needs a mirror step, Throughput a ` +
      'weight, and what compares with the stable revision a weight below 100; add such a step or take the metric out';
    return { reason: 'InvalidSpec', message };
  }
  const leastMs = MIN_INTERVALS * durationMs(analysis.interval);
  if (durationMs(analysis.deadline) < leastMs) {
    const message = `rollout.analysis.deadline: ${analysis.deadline} ends before the ${MIN_INTERVALS} intervals of ${analysis.interval} that any verdict needs`;
    return { reason: 'InvalidSpec', message };
  }
  return undefined;
}

/** What would answer for itself, for ever. */
function selfReferenceRefusal(name: string, { traffic }: ModelDeployment['spec']): Refusal | undefined {
  if (traffic?.fallback?.modelDeploymentRef?.name === name) {
    const message = `traffic.fallback.modelDeploymentRef: ${name} cannot stand in for itself; to: Stable has its stable revision answer`;
    return { reason: 'InvalidSpec', message };
  }
  if (traffic?.ensemble?.members.some((member) => member.name === name) === true) {
    return {
      reason: 'InvalidSpec',
      message: `traffic.ensemble.members: ${name} is a member already, with ensemble.weight`,
    };
  }
  return undefined;
}

function mountRefusal(mounts: readonly { readonly mountPath: string }[] | undefined): Refusal | undefined {
  for (const { mountPath } of mounts ?? []) {
    const path = mountPath.replace(/\/+$/, '');
    const taken = ['/tmp', MODEL_ROOT, PVC_ROOT].find((own) => path === own || path.startsWith(`${own}/`));
    if (taken !== undefined) {
      return {
        reason: 'InvalidPod',
        message: `pod.volumeMounts: ${mountPath} is in ${taken}, which Fairlead mounts itself`,
      };
    }
  }
  return undefined;
}

function selectorRefusal({ pod, accelerator }: ModelDeployment['spec']): Refusal | undefined {
  for (const [label, value] of Object.entries(accelerator?.nodeSelector ?? {})) {
    const other = own(pod?.nodeSelector ?? {}, label);
    if (other !== undefined && other !== value) {
      return {
        reason: 'InvalidPod',
        message: `accelerator.nodeSelector asks for ${label}=${value} and pod.nodeSelector for ${label}=${other}`,
      };
    }
  }
  return undefined;
}

/** @param configBytes size of the server's configuration, which carries the examples */
export function sizeRefusal(variable: string, value: string): Refusal | undefined {
  const bytes = Buffer.byteLength(variable) + Buffer.byteLength(value) + 2;
  if (bytes <= MAX_VARIABLE_BYTES) return undefined;
  return {
    reason: 'ExamplesTooLarge',
    message: `model.examples make the configuration of the server ${bytes} bytes; ${MAX_VARIABLE_BYTES} are possible: give fewer or smaller examples`,
  };
}
