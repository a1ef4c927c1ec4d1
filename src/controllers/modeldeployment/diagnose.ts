/**
 * Why pods are not ready, in a word and a sentence, from what Kubernetes says about them. Messages hold no pod names,
 * restart counts or times, so that they only change when the cause does.
 */
import { LOAD_FAILURE_REASONS, type LoadFailureReason } from '../../api/serving-config.ts';
import type { ContainerStatus, Deployment, KubeCondition, KubeEvent, Pod } from '../resources.ts';

/** Causes in the order in which they are told when pods disagree: what needs a person comes first. */
const FAILED_REASONS = [
  'RevisionLost',
  'Forbidden',
  'AdmissionDenied',
  ...LOAD_FAILURE_REASONS,
  'OOMKilled',
  'ImagePullFailed',
  'CredentialsNotFound',
  'VolumeMountFailed',
  'ServiceAccountNotFound',
  'ContainerStartFailed',
  'PodForbidden',
  'PodCreationFailed',
  'CrashLoop',
] as const;
const CAPACITY_REASONS = ['QuotaExceeded', 'Unschedulable', 'Evicted', 'PodRejected'] as const;
const WAITING_REASONS = [
  'WaitingForDeletion',
  'ReconcileError',
  'AskingRegistry',
  'PodNotCreated',
  'NotReady',
  'Loading',
  'Starting',
] as const;

export type DiagnosisReason =
  | (typeof FAILED_REASONS)[number]
  | (typeof CAPACITY_REASONS)[number]
  | (typeof WAITING_REASONS)[number];

/** `failed`: a person must act, or a source must heal. `capacity`: the cluster has no room. `waiting`: on its way. */
export type DiagnosisKind = 'failed' | 'capacity' | 'waiting';

export interface Diagnosis {
  readonly kind: DiagnosisKind;
  readonly reason: DiagnosisReason;
  readonly message: string;
}

const PRIORITY: readonly DiagnosisReason[] = [...FAILED_REASONS, ...CAPACITY_REASONS, ...WAITING_REASONS];

function diagnosis(reason: DiagnosisReason, message: string): Diagnosis {
  const within = (reasons: readonly string[]) => reasons.includes(reason);
  const kind = within(FAILED_REASONS) ? 'failed' : within(CAPACITY_REASONS) ? 'capacity' : 'waiting';
  return { kind, reason, message };
}

/** What `fairlead server` or `fairlead resolve` wrote when it ended; undefined for the text of any other program. */
export function loadFailure(
  terminationMessage: string | undefined,
): { readonly reason: LoadFailureReason; readonly message: string } | undefined {
  const value = parseObject(terminationMessage);
  const reason = LOAD_FAILURE_REASONS.find((known) => known === value?.reason);
  const message = value?.message;
  return reason !== undefined && typeof message === 'string' ? { reason, message } : undefined;
}

/** A JSON object in a termination message, or undefined for anything else. */
export function parseObject(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (text === undefined || !text.trimStart().startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

/** Why pods could not even be made, from the `ReplicaFailure` condition of their Deployment. */
function creationFailure(conditions: readonly KubeCondition[] | undefined): Diagnosis | undefined {
  const condition = conditions?.find(({ type, status }) => type === 'ReplicaFailure' && status === 'True');
  return condition && diagnoseRefusal(condition.message ?? '');
}

/** @param told what the API server answered a controller of Kubernetes that wanted to make a pod */
function diagnoseRefusal(told: string): Diagnosis {
  // The name of a pod that was never made is random, and would change the message with every attempt.
  const message = told.replace(/^pods "[^"]*" is forbidden: /, '');
  if (message.startsWith('exceeded quota')) {
    return diagnosis('QuotaExceeded', `${message}: raise the ResourceQuota, or ask for less`);
  }
  if (/service ?account .*not found/.test(message)) return diagnosis('ServiceAccountNotFound', message);
  if (message !== told) return diagnosis('PodForbidden', message);
  return diagnosis('PodCreationFailed', message);
}

/** An autoscaler has no metrics of pods that have only just started; that is no failure before this long. */
export const AUTOSCALER_GRACE_MS = 120_000;

/**
 * Why an autoscaler does not scale, in a sentence, and since when it does not.
 * @returns undefined where it works, or rests because there is no replica
 */
export function autoscalerFailure(
  conditions: readonly KubeCondition[] | undefined,
): { readonly message: string; readonly sinceMs: number } | undefined {
  const failing = conditions?.find(
    ({ type, status, reason }) =>
      (type === 'ScalingActive' || type === 'AbleToScale') && status === 'False' && reason !== 'ScalingDisabled',
  );
  if (failing === undefined) return undefined;
  const sinceMs = Date.parse(failing.lastTransitionTime ?? '');
  const why = (failing.message ?? 'no message').replace(/ of Pod \S+/gi, ' of a pod');
  return {
    message: `its autoscaler does not scale it: ${failing.reason ?? failing.type}: ${tail(why)}`,
    sinceMs: Number.isNaN(sinceMs) ? 0 : sinceMs,
  };
}

/**
 * Why a Job has no pod.
 * @param events of the Job, with reason FailedCreate
 */
export function diagnoseMissingPod(events: readonly KubeEvent[]): Diagnosis {
  const last = [...events].sort((a, b) => ((a.lastTimestamp ?? '') < (b.lastTimestamp ?? '') ? 1 : -1))[0];
  if (last === undefined) return diagnosis('PodNotCreated', 'a Job has no pod yet, and no Event of it says why');
  return diagnoseRefusal((last.message ?? '').replace(/^Error creating: /, ''));
}

/** Who brings volumes to a pod, and goes on to its image and containers only once they are there. */
const STARTERS: ReadonlySet<string> = new Set(['kubelet', 'attachdetach-controller']);
const MOUNT_FAILURES: ReadonlySet<string> = new Set(['FailedMount', 'FailedAttachVolume', 'FailedMapVolume']);

/**
 * Why a pod that is being started has no volumes, which its status does not tell.
 * @param events of the pod; only what was said last is so now
 * @returns undefined where it does not wait for a volume
 */
export function diagnoseMounts({ metadata: { uid } }: Pod, events: readonly KubeEvent[]): Diagnosis | undefined {
  const isFailure = ({ reason = '' }: KubeEvent) => MOUNT_FAILURES.has(reason);
  const said = events
    .filter(({ source }) => STARTERS.has(source?.component ?? ''))
    // Times are of whole seconds: of two in one, the pod got on.
    .sort((a, b) => lastSeenMs(b) - lastSeenMs(a) || Number(isFailure(a)) - Number(isFailure(b)));
  const others = said.findIndex((event) => !isFailure(event));
  const failures = others < 0 ? said : said.slice(0, others);
  // The kubelet sums up now and then which volumes are missing; why they are it says in between.
  const telling = failures.find(({ message = '' }) => !message.startsWith('Unable to attach or mount')) ?? failures[0];
  if (telling === undefined) return undefined;
  const { message = 'no message' } = telling;
  const why = (uid === undefined ? message : message.replaceAll(uid, 'POD')).replace(/\s+/g, ' ').trim();
  return diagnosis('VolumeMountFailed', `a volume cannot be mounted: ${tail(why)}`);
}

function lastSeenMs({ lastTimestamp, metadata }: KubeEvent): number {
  return Date.parse(lastTimestamp ?? metadata.creationTimestamp ?? '') || 0;
}

/** @returns undefined for a pod that is ready or that is ending */
export function diagnosePod(pod: Pod): Diagnosis | undefined {
  const { status } = pod;
  if (pod.metadata.deletionTimestamp !== undefined || isReady(pod)) return undefined;
  const containers = containersOf(pod);
  if (status?.phase === 'Failed') {
    // The kubelet gives a reason where it ended the pod itself; how its containers took that explains nothing.
    const ended = status.reason === undefined ? containers.map(diagnoseFinalEnd).find(Boolean) : undefined;
    if (ended !== undefined) return ended;
    const message = status.message ?? 'no message';
    return status.reason === 'Evicted'
      ? diagnosis('Evicted', `evicted by the kubelet: ${message}`)
      : diagnosis('PodRejected', `${status.reason ?? 'failed'}: ${message}`);
  }
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False') {
    // What else the scheduler tried is of no use to a reader and changes while the numbers do not.
    const message = (scheduled.message ?? 'no node fits').replace(
      /,? (no new claims to deallocate|preemption:).*$/,
      '',
    );
    return diagnosis('Unschedulable', message);
  }
  const found = containers.map(diagnoseContainer).filter((each) => each !== undefined);
  return sorted(found)[0] ?? diagnosis('Starting', 'the pod is being started');
}

export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
}

export function containersOf({ status }: Pod): readonly ContainerStatus[] {
  return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
}

/** A container that ran for so long did not crash at its start; the kubelet's back-off begins anew after it as well. */
const LONG_RUN_MS = 600_000;

/** How often a container was started again since it last ran for long. */
export function restartsInARow({ restartCount = 0, state, lastState }: ContainerStatus): number {
  const { startedAt = '', finishedAt = '' } = state?.terminated ?? lastState?.terminated ?? {};
  return Date.parse(finishedAt) - Date.parse(startedAt) >= LONG_RUN_MS ? 0 : restartCount;
}

const IMAGE_PULL = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
  'RegistryUnavailable',
  'SignatureValidationFailed',
]);
const START_ERRORS = new Set(['CreateContainerError', 'RunContainerError', 'CreateContainerConfigError']);

/** Of a container of a pod that may start it again. */
export function diagnoseContainer(container: ContainerStatus): Diagnosis | undefined {
  if (container.ready === true) return undefined;
  const { waiting, running, terminated } = container.state ?? {};
  const why = waiting?.reason ?? '';
  const detail = waiting?.message ?? '';
  if (IMAGE_PULL.has(why)) {
    const cause = detail.replace(/^Back-off pulling image "[^"]*"(: )?/, '').replace(/^ErrImagePull: /, '');
    const because = cause === '' ? '' : `: ${tail(cause)}`;
    return diagnosis('ImagePullFailed', `image ${container.image ?? 'of unknown name'} cannot be pulled${because}`);
  }
  if (START_ERRORS.has(why)) {
    const missing = /(secret|configmap) "([^"]+)" not found/.exec(detail);
    return missing === null
      ? diagnosis('ContainerStartFailed', `${why}: ${tail(detail)}`)
      : diagnosis('CredentialsNotFound', `${missing[1]} "${missing[2]}" does not exist in the namespace: create it`);
  }
  const ended = terminated ?? container.lastState?.terminated;
  if (ended !== undefined && ended.exitCode !== 0) {
    const end = diagnoseEnd(container.name, ended);
    // A node, a probe or the kernel may end any container once. What ends time and again has failed, also while it runs
    // for a moment between two ends; what a server says about its model has failed at once.
    const isFirst = restartsInARow(container) < (running === undefined ? 1 : 2);
    if (!isFirst || loadFailure(ended.message) !== undefined) return end;
    return diagnosis('Loading', `the model is being loaded again: ${end.message}`);
  }
  if (running !== undefined) return diagnosis('Loading', 'the model is being loaded');
  return undefined;
}

/** Of a container that nothing starts again. */
function diagnoseFinalEnd({ name, state }: ContainerStatus): Diagnosis | undefined {
  const ended = state?.terminated;
  return ended === undefined || ended.exitCode === 0 ? undefined : diagnoseEnd(name, ended);
}

function diagnoseEnd(
  name: string,
  ended: { readonly exitCode: number; readonly reason?: string; readonly message?: string },
): Diagnosis {
  const told = loadFailure(ended.message);
  if (told !== undefined) return diagnosis(told.reason, told.message);
  if (ended.reason === 'OOMKilled') {
    return diagnosis('OOMKilled', `container ${name} needs more memory than its limit: raise resources.limits.memory`);
  }
  const last = ended.message === undefined || ended.message === '' ? '' : `: ${tail(ended.message.trim())}`;
  return diagnosis('CrashLoop', `container ${name} ends with exit code ${ended.exitCode}${last}`);
}

/** The end of a long text, where programs say what went wrong. */
function tail(text: string): string {
  const limit = 500;
  return text.length <= limit ? text : `... ${text.slice(-limit)}`;
}

function sorted(found: readonly Diagnosis[]): readonly Diagnosis[] {
  return [...found].sort((a, b) => PRIORITY.indexOf(a.reason) - PRIORITY.indexOf(b.reason));
}

/**
 * Why the pods of a revision are not all ready: one entry a reason, the worst first, each with how many pods share it
 * and the sentence that most of them have.
 * @param wanted pods that the revision should have
 * @param known what is known of pods by other ways than their status, by their uids
 * @returns empty when every pod that exists is ready and none is missing for a known cause
 */
export function diagnose(
  deployment: Deployment | undefined,
  pods: readonly Pod[],
  wanted: number,
  known: ReadonlyMap<string, Diagnosis> = new Map(),
): readonly Diagnosis[] {
  const byReason = Map.groupBy(
    pods.map((pod) => known.get(pod.metadata.uid ?? '') ?? diagnosePod(pod)).filter((each) => each !== undefined),
    ({ reason }) => reason,
  );
  const found = [...byReason.values()].flatMap((same) => {
    const [first] = same;
    if (first === undefined) return [];
    return [{ ...first, message: `${same.length} of ${Math.max(wanted, same.length)} pods: ${commonest(same)}` }];
  });
  const refused = creationFailure(deployment?.status?.conditions);
  return sorted(refused === undefined ? found : [...found, refused]);
}

function commonest(found: readonly Diagnosis[]): string {
  const counts = Map.groupBy(found, ({ message }) => message);
  const [text] = [...counts].sort(([a, n], [b, m]) => m.length - n.length || (a < b ? -1 : 1))[0] ?? [''];
  return text;
}
