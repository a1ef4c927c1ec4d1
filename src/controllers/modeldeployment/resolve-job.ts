/**
 * The Job that downloads a model once and tells its digest, and what its attempts came to. It runs as the user's pods
 * do, so that what it can reach they can, and the operator never touches a user's URI itself.
 */
import type { V1Container } from '@kubernetes/client-node';
import Value from 'typebox/value';
import { ResolvedModel as ResolvedDigest } from '../../api/serving-config.ts';
import type { ModelDeploymentSpec } from '../../api/v1alpha1/model-deployment.ts';
import type { DesiredObject } from '../../runtime/apply.ts';
import type { Job, Pod } from '../resources.ts';
import { childLabels, childMetadata, type Owner, RESOLVE_LABELS, resolveJobName } from './children.ts';
import { type Diagnosis, diagnosePod, loadFailure, parseObject } from './diagnose.ts';
import { endpointFor } from './model-source.ts';
import { fetchingContainer, podFrame } from './pod.ts';
import { shortHash } from './revision.ts';
import { literalArgument } from './server-pod.ts';

const CONTAINER = 'resolve';
/** A download that takes longer is taken for stuck. */
const DEADLINE_SECONDS = 3600;
/** A Job without a pod for longer is looked into. The Job controller makes the pod within moments, or is refused. */
export const POD_GRACE_MS = 15_000;
const FIRST_RETRY_MS = 10_000;
const LONGEST_RETRY_MS = 120_000;

export interface Question {
  readonly owner: Owner;
  readonly spec: ModelDeploymentSpec;
  readonly uri: string;
  /** Image of Fairlead. */
  readonly image: string;
}

function resolvePodSpec({ owner, spec, uri, image }: Question) {
  const endpoint = endpointFor(spec.model, uri);
  const container: V1Container = {
    name: CONTAINER,
    image,
    args: [
      'resolve',
      ...['--uri', literalArgument(uri)],
      ...(endpoint === undefined ? [] : ['--endpoint', literalArgument(endpoint)]),
    ],
    ...fetchingContainer(spec, uri),
    ...(spec.pod?.env && { env: spec.pod.env }),
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '1', memory: '512Mi' } },
  };
  return {
    ...podFrame(owner, spec, { modelUri: uri, runAsOwnUser: true, onAccelerator: false }),
    restartPolicy: 'Never',
    containers: [container],
  };
}

/** The same for the same pod: whatever a user changes of it (credentials, endpoint, account) asks anew, at once. */
export function questionId(question: Question): string {
  return shortHash(resolvePodSpec(question));
}

export function desiredResolveJob(question: Question, attempt: number): DesiredObject {
  const { owner } = question;
  const id = questionId(question);
  const labels = {
    ...childLabels(owner, 'resolve'),
    [RESOLVE_LABELS.question]: id,
    [RESOLVE_LABELS.attempt]: String(attempt),
  };
  return {
    metadata: childMetadata(owner, resolveJobName(owner, id, attempt), labels),
    spec: {
      backoffLimit: 0,
      activeDeadlineSeconds: DEADLINE_SECONDS,
      template: { metadata: { labels }, spec: resolvePodSpec(question) },
    },
  };
}

export interface Attempt {
  readonly job: Job;
  readonly pods: readonly Pod[];
}

/** How an attempt failed. */
export interface Failure {
  readonly reason: Diagnosis['reason'];
  readonly message: string;
  readonly attempt: number;
}

/** `jobNames`: the Jobs that tell it, and are needed until what they tell is known elsewhere. */
export type Answer =
  | { readonly kind: 'resolved'; readonly jobNames: readonly string[]; readonly sha256: string }
  /** A Job is to be started; `before`: how the last one failed. */
  | { readonly kind: 'ask'; readonly jobNames: readonly string[]; readonly attempt: number; readonly before?: Failure }
  /** A Job runs; `why` is set where its pod does not get on, `podlessSinceMs` where it has none. */
  | {
      readonly kind: 'running';
      readonly job: Job;
      readonly pods: readonly Pod[];
      readonly podlessSinceMs: number | undefined;
      readonly jobNames: readonly string[];
      readonly attempt: number;
      readonly why: Diagnosis | undefined;
      readonly before?: Failure;
    }
  /** The next attempt is made at `retryAtMs`; never, where that is undefined: only a change of the spec can help. */
  | (Failure & {
      readonly kind: 'failed';
      readonly jobNames: readonly string[];
      readonly retryAtMs: number | undefined;
    });

/** What cannot heal without a change of the spec. Bytes, permissions and networks can change behind its back. */
const HOPELESS: ReadonlySet<string> = new Set(['InvalidConfiguration']);

export function retryDelayMs(attempt: number): number {
  return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempt - 1, 10));
}

function attemptNumber({ job }: Attempt): number {
  return Number(job.metadata.labels?.[RESOLVE_LABELS.attempt] ?? '1');
}

function finished(job: Job, type: 'Complete' | 'Failed') {
  return job.status?.conditions?.find((condition) => condition.type === type && condition.status === 'True');
}

/** @param attempts the Jobs of this question that are not being deleted */
export function answerOf(attempts: readonly Attempt[], nowMs: number): Answer {
  const [last, previous] = [...attempts].sort((a, b) => attemptNumber(b) - attemptNumber(a));
  if (last === undefined) return { kind: 'ask', jobNames: [], attempt: 1 };
  const attempt = attemptNumber(last);
  const jobNames = [last.job.metadata.name];
  const told = terminationMessage(last.pods);
  // The pod speaks before its Job is marked as complete.
  const digest = digestIn(told);
  if (digest !== undefined) return { kind: 'resolved', jobNames, sha256: digest };
  const failed = failureOf(last);
  if (failed === undefined) {
    // Its pod was lost before its answer was read: ask again.
    if (finished(last.job, 'Complete') !== undefined) return { kind: 'ask', jobNames, attempt: attempt + 1 };
    const why = last.pods.map(diagnosePod).find((found) => found !== undefined && found.kind !== 'waiting');
    const before = previous && failureOf(previous);
    const needed = previous === undefined ? jobNames : [...jobNames, previous.job.metadata.name];
    const madeAtMs = Date.parse(last.job.metadata.creationTimestamp ?? '');
    const podlessSinceMs = last.pods.length > 0 ? undefined : Number.isNaN(madeAtMs) ? nowMs : madeAtMs;
    return {
      kind: 'running',
      job: last.job,
      pods: last.pods,
      podlessSinceMs,
      jobNames: needed,
      attempt,
      why,
      ...(before && { before }),
    };
  }
  if (HOPELESS.has(failed.reason)) return { kind: 'failed', jobNames, ...failed, retryAtMs: undefined };
  const failedAtMs = Date.parse(finished(last.job, 'Failed')?.lastTransitionTime ?? '');
  const retryAtMs = (Number.isNaN(failedAtMs) ? nowMs : failedAtMs) + retryDelayMs(attempt);
  if (retryAtMs <= nowMs) return { kind: 'ask', jobNames, attempt: attempt + 1, before: failed };
  return { kind: 'failed', jobNames, ...failed, retryAtMs };
}

/** @returns undefined when the attempt has not failed */
function failureOf(attempt: Attempt): Failure | undefined {
  const failed = finished(attempt.job, 'Failed');
  if (failed === undefined) return undefined;
  const told = terminationMessage(attempt.pods);
  return { ...whyFailed(attempt, told, failed.message), attempt: attemptNumber(attempt) };
}

function whyFailed(
  { pods }: Attempt,
  told: string | undefined,
  jobMessage: string | undefined,
): { readonly reason: Diagnosis['reason']; readonly message: string } {
  const failure = loadFailure(told);
  if (failure !== undefined) return failure;
  const found = pods.map(diagnosePod).find((each) => each !== undefined);
  if (found !== undefined) return found;
  return { reason: 'LoadFailed', message: `the Job that resolves the digest failed: ${jobMessage ?? 'no message'}` };
}

function terminationMessage(pods: readonly Pod[]): string | undefined {
  return pods
    .flatMap((pod) => pod.status?.containerStatuses ?? [])
    .find((container) => container.name === CONTAINER && container.state?.terminated?.message !== undefined)?.state
    ?.terminated?.message;
}

function digestIn(message: string | undefined): string | undefined {
  const answer = parseObject(message);
  return Value.Check(ResolvedDigest, answer) ? answer.sha256 : undefined;
}
