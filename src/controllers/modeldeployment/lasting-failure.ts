/** What keeps a revision from ever serving, told apart from what only takes its time. Pure. */
import type { Failure } from '../../rollout/types.ts';
import type { ContainerStatus, Deployment, Pod } from '../resources.ts';
import { containersOf, diagnose, diagnoseContainer, diagnosePod, isReady, restartsInARow } from './diagnose.ts';

/** Times in a row that a container was started again before that counts as lasting. */
const LASTING_RESTARTS = 2;
/** How long the same counts for a container that does not run, or a pod that is not even made. */
const LASTING_MS = 60_000;

/** One time that a revision is tried; milliseconds since the Unix epoch. */
export interface Trial {
  /** See `Progress`. */
  readonly earlierPodsMs: number | undefined;
  readonly nowMs: number;
}

/**
 * The reason that most pods of a revision share, where it has lasted and most of its pods have one. A pod that was evicted
 * or has no room is no failure of the revision, and nor is one that an earlier trial left behind.
 */
export function lastingFailure(
  deployment: Deployment | undefined,
  pods: readonly Pod[],
  { earlierPodsMs = Number.NEGATIVE_INFINITY, nowMs }: Trial,
): Failure | undefined {
  const isOld = (time: string | undefined) => Date.parse(time ?? '') <= earlierPodsMs;
  const staying = pods.filter(
    ({ metadata }) => metadata.deletionTimestamp === undefined && !isOld(metadata.creationTimestamp),
  );
  const failing = staying.filter((pod) => hasLastingFailure(pod, nowMs));
  const isRefused = staying.length === 0 && isRefusedForLong(deployment, nowMs);
  if (!isRefused && (failing.length === 0 || failing.length <= staying.filter(isReady).length)) return undefined;
  const worst = diagnose(deployment, failing, failing.length).find(({ kind }) => kind === 'failed');
  return worst && { reason: worst.reason, message: worst.message };
}

function hasLastingFailure(pod: Pod, nowMs: number): boolean {
  if (diagnosePod(pod)?.kind !== 'failed') return false;
  const madeAtMs = Date.parse(pod.metadata.creationTimestamp ?? '');
  return containersOf(pod)
    .filter((container) => diagnoseContainer(container)?.kind === 'failed')
    .some((container) => restartsInARow(container) >= LASTING_RESTARTS || isDownForLong(container, madeAtMs, nowMs));
}

/** One that runs is on its way, however old its pod is: a container that ended once is loading again. */
function isDownForLong({ state, lastState }: ContainerStatus, madeAtMs: number, nowMs: number): boolean {
  if (state?.running !== undefined) return false;
  const endedAtMs = Date.parse((state?.terminated ?? lastState?.terminated)?.finishedAt ?? '');
  return nowMs - (Number.isNaN(endedAtMs) ? madeAtMs : endedAtMs) >= LASTING_MS;
}

function isRefusedForLong(deployment: Deployment | undefined, nowMs: number): boolean {
  const refused = deployment?.status?.conditions?.find(
    ({ type, status }) => type === 'ReplicaFailure' && status === 'True',
  );
  return nowMs - Date.parse(refused?.lastTransitionTime ?? '') >= LASTING_MS;
}
