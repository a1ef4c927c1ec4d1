/** What the engine of rollouts is told about a ModelDeployment: its objects as they are, in the engine's words. Pure. */
import { ANNOTATIONS } from '../../api/names.ts';
import type { PendingPods } from '../../capacity/types.ts';
import { compileRollout } from '../../rollout/compile.ts';
import type { Progress } from '../../rollout/progress.ts';
import type { RevisionState, RolloutSnapshot, RouteState, Scale } from '../../rollout/types.ts';
import type { ModelDeployment } from '../kinds.ts';
import type { Pod } from '../resources.ts';
import { type Diagnosis, isReady } from './diagnose.ts';
import { lastingFailure, type Trial } from './lasting-failure.ts';
import { type Revision, shortHash } from './revision.ts';
import type { Routing, Scope, Target } from './scope.ts';

export function snapshotOf(scope: Scope, target: Target): RolloutSnapshot {
  const { object, nowMs, revisions, judged, routing } = scope;
  const progress = scope.progress && withoutLost(scope.progress, revisions);
  const { rollout } = object.spec;
  const { [ANNOTATIONS.action]: text, [ANNOTATIONS.actionBy]: by } = object.metadata.annotations ?? {};
  return {
    nowMs,
    rollout: compileRollout(rollout),
    // A field that a later version adds is to be left out while it has its default: an upgrade tries nothing again.
    rolloutHash: shortHash(rollout),
    scale: scaleOf(object.spec, scope.podsForLoad),
    target: target.name,
    isTargetKnown: target.model !== undefined,
    revisions: revisions.map((revision) => {
      const earlierPodsMs = progress?.target === revision.name ? progress.earlierPodsMs : undefined;
      return stateOf(revision, scope.pods.get(revision.name) ?? [], { earlierPodsMs, nowMs }, routing);
    }),
    leftPods: leftPods(scope, target),
    route: routeStateOf(routing),
    progress,
    verdict: judged?.verdict,
    action: text === undefined ? undefined : { text, by },
  };
}

/** A revision whose Deployment is gone protects nobody while another takes over, and is nothing to go back to. */
function withoutLost(progress: Progress, revisions: readonly Revision[]): Progress {
  const { from, ...rest } = progress;
  const isLost = from !== undefined && revisions.every(({ name }) => name !== from);
  return isLost && !goesBack(progress) ? rest : progress;
}

function goesBack({ stage }: Progress): boolean {
  return stage === 'Returning' || stage === 'Returned';
}

/** That a rollout went, or goes, back to a revision whose Deployment is gone: its pods were made of a spec that is unknown. */
export function lostRevision(progress: Progress, revisions: readonly Revision[]): Diagnosis | undefined {
  const { target, from } = progress;
  const isThere = from === undefined || revisions.some(({ name }) => name === from);
  if (isThere || !goesBack(progress)) return undefined;
  return {
    kind: 'failed',
    reason: 'RevisionLost',
    message:
      `revision ${from}, to which ${target} was taken back, cannot be made again, since its Deployment is gone and came ` +
      `of another spec: apply that spec again, or let ${target} take over by retry`,
  };
}

/**
 * What is to be remembered of the target's pods: where a trial begins, which are of an earlier one.
 * @param before what was remembered before it was decided
 * @param pods of the target
 */
export function rememberingPods(progress: Progress, before: Progress | undefined, pods: readonly Pod[]): Progress {
  if (before?.target === progress.target && before.startedAtMs === progress.startedAtMs) return progress;
  const { earlierPodsMs: _, ...rest } = progress;
  const made = pods.map(({ metadata }) => Date.parse(metadata.creationTimestamp ?? '')).filter(Number.isFinite);
  return made.length === 0 ? rest : { ...rest, earlierPodsMs: Math.max(...made) };
}

/** Load raises the user's minimum as far as the user's maximum. */
function scaleOf({ autoscaling, replicas = 1 }: ModelDeployment['spec'], podsForLoad: number): Scale {
  if (autoscaling === undefined) return { kind: 'Fixed', replicas };
  const { minReplicas, maxReplicas: max } = autoscaling;
  return { kind: 'Autoscaled', min: Math.min(max, Math.max(minReplicas, podsForLoad)), max };
}

const hasEnded = ({ status }: Pod) => status?.phase === 'Succeeded' || status?.phase === 'Failed';
const isStaying = (pod: Pod) => pod.metadata.deletionTimestamp === undefined && !hasEnded(pod);

/** A pod that runs is on a node, whoever put it there. */
function isOnNode({ status }: Pod): boolean {
  return (
    status?.phase === 'Running' ||
    status?.conditions?.some(({ type, status: is }) => type === 'PodScheduled' && is === 'True') === true
  );
}

export function readyPods(pods: readonly Pod[]): number {
  return pods.filter((pod) => isStaying(pod) && isReady(pod)).length;
}

function stateOf(revision: Revision, pods: readonly Pod[], trial: Trial, routing: Routing): RevisionState {
  const { name, replicas, deployment } = revision;
  const staying = pods.filter(isStaying);
  return {
    name,
    replicas,
    ready: mayBeLeaving(revision, routing) ? 0 : revision.ready,
    current: staying.length,
    onNode: staying.filter(isOnNode).length,
    pending: pendingOf(staying),
    lastingFailure: lastingFailure(deployment, pods, trial),
  };
}

/**
 * Of a revision that nothing is sent to, and whose count was changed a moment ago, pods that are ready may still be taken
 * away for the count before: by an undo right after a promotion, say. They count once its controller has followed.
 */
function mayBeLeaving({ name, replicas, deployment }: Revision, { splitter, route, weights }: Routing): boolean {
  if (splitter === 'None' || replicas === 0) return false;
  if ((weights.get(name) ?? 0) > 0 || route?.mirror?.revision === name) return false;
  return (deployment.status?.observedGeneration ?? 0) < (deployment.metadata.generation ?? 0);
}

function pendingOf(staying: readonly Pod[]): PendingPods | undefined {
  const waiting = staying.filter((pod) => !isOnNode(pod));
  if (waiting.length === 0) return undefined;
  const created = waiting.map(({ metadata }) => Date.parse(metadata.creationTimestamp ?? '')).filter(Number.isFinite);
  const refused = waiting
    .flatMap(({ status }) => status?.conditions ?? [])
    .filter(({ type, status, reason }) => type === 'PodScheduled' && status === 'False' && reason === 'Unschedulable')
    .map(({ lastTransitionTime, message = '' }) => ({ sinceMs: Date.parse(lastTransitionTime ?? '') || 0, message }))
    .sort((a, b) => a.sinceMs - b.sinceMs);
  return {
    count: waiting.length,
    sinceMs: created.length === 0 ? 0 : Math.min(...created),
    unschedulable: refused[0],
  };
}

/**
 * Pods that Recreate waits for: of the other revisions, and of the target too for as long as it is to have none, since
 * they are of an earlier turn of it. Pods that have ended use nothing any more.
 */
export function leftPods({ pods, revisions }: Pick<Scope, 'pods' | 'revisions'>, { name, existing }: Target): number {
  const isLeft = (revision: string) => revision !== name || existing?.replicas === 0;
  const seen = [...pods]
    .filter(([revision]) => isLeft(revision))
    .flatMap(([, of]) => of.filter((pod) => !hasEnded(pod))).length;
  // The Deployment may tell of pods that have not been seen yet.
  return Math.max(
    seen,
    revisions.filter((revision) => isLeft(revision.name)).reduce((total, { current }) => total + current, 0),
  );
}

/** A route is in force where requests come by it: once the Service leads to the routers that all apply it. */
function routeStateOf({ splitter, route, weights, acknowledgement, lead }: Routing): RouteState | undefined {
  if (splitter === 'None') return undefined;
  const isComplete = route !== undefined && acknowledgement?.isComplete === true;
  const isLed = splitter !== 'Router' || lead?.to === 'routers';
  return {
    weights,
    mirror: route?.mirror && { revision: route.mirror.revision, percent: route.mirror.percent },
    isAcknowledged: isComplete && isLed,
    waitingFor: acknowledgement?.waitsFor ?? (isLed ? undefined : 'no router is ready yet'),
  };
}
