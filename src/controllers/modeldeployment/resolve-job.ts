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
import { fetchingContainer, podFrame } from './pod.ts';
import { shortHash } from './revision.ts';
import { literalArgument } from './server-pod.ts';

const CONTAINER = 'resolve';
/** A download that takes longer is taken for stuck. */
const DEADLINE_SECONDS = 3600;
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
  const { endpoint } = spec.model;
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
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } },
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

/** `jobName`: the Job that tells it, and is needed until what it tells is known elsewhere. */
export type Answer =
  | { readonly kind: 'resolved'; readonly jobName: string; readonly sha256: string }
  /** A Job is to be started. */
  | { readonly kind: 'ask'; readonly jobName?: undefined; readonly attempt: number }
  /** A Job runs; `why` is set where its pod does not get on. */
  | {
      readonly kind: 'running';
      readonly jobName: string;
      readonly attempt: number;
      readonly why: Diagnosis | undefined;
    }
  /** The next attempt is made at `retryAtMs`; never, where that is undefined: only a change of the spec can help. */
  | {
      readonly kind: 'failed';
      readonly jobName: string;
      readonly reason: Diagnosis['reason'];
      readonly message: string;
      readonly attempt: number;
      readonly retryAtMs: number | undefined;
    };

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
  const last = [...attempts].sort((a, b) => attemptNumber(b) - attemptNumber(a))[0];
  if (last === undefined) return { kind: 'ask', attempt: 1 };
  const attempt = attemptNumber(last);
  const jobName = last.job.metadata.name;
  const told = terminationMessage(last.pods);
  // The pod speaks before its Job is marked as complete.
  const digest = digestIn(told);
  if (digest !== undefined) return { kind: 'resolved', jobName, sha256: digest };
  const failure = finished(last.job, 'Failed');
  if (failure === undefined) {
    // Its pod was lost before its answer was read: ask again.
    if (finished(last.job, 'Complete') !== undefined) return { kind: 'ask', attempt: attempt + 1 };
    const why = last.pods.map(diagnosePod).find((found) => found !== undefined && found.kind !== 'waiting');
    return { kind: 'running', jobName, attempt, why };
  }
  const { reason, message } = whyFailed(last, told, failure.message);
  if (HOPELESS.has(reason)) return { kind: 'failed', jobName, reason, message, attempt, retryAtMs: undefined };
  const failedAtMs = Date.parse(failure.lastTransitionTime ?? '');
  const retryAtMs = (Number.isNaN(failedAtMs) ? nowMs : failedAtMs) + retryDelayMs(attempt);
  if (retryAtMs <= nowMs) return { kind: 'ask', attempt: attempt + 1 };
  return { kind: 'failed', jobName, reason, message, attempt, retryAtMs };
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
