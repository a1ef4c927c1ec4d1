/** What is true of a ModelDeployment, from what one reconcile knows. Pure, and the only place that decides it. */
import { PORTS } from '../../api/names.ts';
import { parseModelsUri } from '../../api/registry-answers.ts';
import type { ModelDeploymentStatus, Phase } from '../../api/v1alpha1/model-deployment-status.ts';
import { withoutSecrets } from '../../api/without-secrets.ts';
import { isStepped } from '../../rollout/compile.ts';
import type { Progress } from '../../rollout/progress.ts';
import type { RolloutDecision, RolloutReport } from '../../rollout/types.ts';
import type { ConditionUpdate } from '../../runtime/conditions.ts';
import { selectorText, serverSelector } from './children.ts';
import type { DiagnosisKind } from './diagnose.ts';
import type { Revision } from './revision.ts';
import type { Scope } from './scope.ts';
import { speaksGrpc } from './services.ts';

/**
 * What stands between now and the wanted model having all of the traffic. `refused` and `failed` need a change, `paused`
 * a person; `rolledBack` has an earlier model serve instead.
 */
interface Obstacle {
  readonly kind: 'refused' | 'paused' | 'rolledBack' | DiagnosisKind;
  readonly reason: string;
  readonly message: string;
}

export interface Report {
  /** Everything but the conditions, which carry times. */
  readonly fields: Omit<ModelDeploymentStatus, 'conditions'>;
  readonly conditions: readonly ConditionUpdate[];
}

/** What the API takes of texts: longer ones, of users or of what others answer, would have it refuse all of the status. */
const MAX_CHARS = { model: 512, routeMessage: 1024, rolloutMessage: 4096, conditionMessage: 32_768 } as const;

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
const pods = (count: number) => (count === 1 ? '1 pod' : `${count} pods`);

export function report(scope: Scope): Report {
  const obstacle = obstacleOf(scope);
  const ready = sum(scope.revisions.map((revision) => revision.ready));
  return { fields: fieldsOf(scope, obstacle, ready), conditions: conditionsOf(scope, obstacle, ready) };
}

function obstacleOf(scope: Scope): Obstacle | undefined {
  const { refusal, model, diagnoses, decision, problem } = scope;
  if (refusal !== undefined) return { kind: 'refused', ...refusal };
  if (problem !== undefined && !isComplete(scope)) {
    return problem.kind === 'failed' ? { ...problem, message: `${problem.message}${servesOn(scope)}` } : problem;
  }
  if (model.kind === 'failed') return { ...model, message: `${model.message}${servesOn(scope)}` };
  if (model.kind === 'resolving') {
    if (model.why !== undefined) return model.why;
    const message = `a Job finds out the digest of ${withoutSecrets(model.uri)}`;
    return diagnoses[0] ?? { kind: 'waiting', reason: 'ResolvingModel', message };
  }
  if (decision === undefined) {
    return diagnoses[0] ?? { kind: 'waiting', reason: 'Pending', message: 'nothing has been started yet' };
  }
  return obstacleOfRollout(scope, decision);
}

function obstacleOfRollout(scope: Scope, { report, progress }: RolloutDecision): Obstacle | undefined {
  const { diagnoses } = scope;
  // Whatever the rollout says: who is lost has no traffic, and never will have.
  const lost = diagnoses.find(({ reason }) => reason === 'RevisionLost');
  if (lost !== undefined) return { ...lost, message: `${lost.message}${servesOn(scope)}` };
  switch (report.outcome) {
    case 'Complete':
      return (
        missingPods(scope, report, progress) ??
        routerObstacle(scope) ??
        gatewayObstacle(scope) ??
        ensembleObstacle(scope)
      );
    case 'RolledBack':
      return { kind: 'rolledBack', reason: progress.failure?.reason ?? 'RolledBack', message: report.message };
    case 'Paused':
      return { kind: 'paused', reason: progress.pause?.reason ?? 'Paused', message: report.message };
    case 'Progressing': {
      const atGateway = gatewayObstacle(scope);
      if (atGateway?.kind === 'failed') return atGateway;
      return podsObstacle(scope, report.shortfall, { reason: 'RollingOut', message: report.message });
    }
  }
}

/** A revision that took over is complete for as long as its pods are ready; what befalls them later is told as at the beginning. */
function missingPods(scope: Scope, { wanted, shortfall }: RolloutReport, { target }: Progress): Obstacle | undefined {
  const ready = scope.revisions.find(({ name }) => name === target)?.ready ?? 0;
  if (ready >= wanted) return undefined;
  const message = `${ready} of ${pods(wanted)} of revision ${target} ready`;
  return podsObstacle(scope, shortfall, { reason: 'PodsNotReady', message });
}

/** @param otherwise what is waited for where nothing is wrong */
function podsObstacle(
  scope: Scope,
  shortfall: RolloutReport['shortfall'],
  otherwise: { readonly reason: string; readonly message: string },
): Obstacle {
  const {
    diagnoses: [first],
    autoscalerFailure,
  } = scope;
  if (shortfall !== undefined) return { kind: 'capacity', ...shortfall };
  if (first !== undefined && first.kind !== 'waiting') {
    return first.kind === 'failed' ? { ...first, message: `${first.message}${servesOn(scope)}` } : first;
  }
  const why = first === undefined ? '' : ` (${first.message})`;
  const unsteered = autoscalerFailure === undefined ? '' : `; ${autoscalerFailure}`;
  return { kind: 'waiting', reason: otherwise.reason, message: `${otherwise.message}${why}${unsteered}` };
}

/** Clients that come by routers find nobody where none is ready; one that still applies the route before answers too. */
function routerObstacle({ routing, owner }: Scope): Obstacle | undefined {
  const { splitter, lead, routers } = routing;
  const answers = routers.some(({ isReady, applied }) => isReady && applied[owner.name] !== undefined);
  if (splitter !== 'Router' || lead?.to !== 'routers' || answers) return undefined;
  const message = `no router of the namespace is ready (${routers.length} run), and clients come by them`;
  return { kind: 'waiting', reason: 'NoReadyRouter', message };
}

/** The members of an ensemble answer together or not at all. */
function ensembleObstacle({ object, routing: { unanswered } }: Scope): Obstacle | undefined {
  if (object.spec.traffic?.ensemble === undefined || unanswered === undefined) return undefined;
  return { kind: 'failed', reason: 'ReferenceNotRouted', message: unanswered };
}

/** Clients that come by a Gateway find nobody while it has not taken the route. */
function gatewayObstacle({ exposure: { acknowledgement } }: Scope): Obstacle | undefined {
  if (acknowledgement === undefined || acknowledgement.kind === 'acknowledged') return undefined;
  const { message } = acknowledgement;
  return acknowledgement.kind === 'refused'
    ? { kind: 'failed', reason: 'RouteRefused', message }
    : { kind: 'waiting', reason: 'WaitingForGateway', message };
}

/** The wanted model has all of the traffic: what goes wrong beside it takes nothing of that away. */
function isComplete({ decision, model, isHeld }: Scope): boolean {
  return decision?.report.outcome === 'Complete' && model.kind === 'resolved' && !isHeld;
}

/** That users are served all the same, where they are. */
function servesOn({ revisions, target }: Scope): string {
  const wanted = target?.model === undefined ? undefined : target.name;
  const serving = revisions.find(({ name, ready }) => name !== wanted && ready > 0);
  return serving === undefined ? '' : `; revision ${serving.name} serves on with ${pods(serving.ready)}`;
}

function phaseOf({ target, old, decision }: Scope, obstacle: Obstacle | undefined, ready: number): Phase {
  switch (obstacle?.kind) {
    case undefined:
      return 'Ready';
    case 'refused':
      return 'Failed';
    case 'paused':
      return 'Paused';
    case 'rolledBack':
      return 'RolledBack';
    case 'failed': {
      // Where the wanted model serves already and only some of its pods fail, it is not the deployment that failed.
      const isServedAlone =
        (target?.existing?.ready ?? 0) > 0 && target?.model !== undefined && old.every((each) => each.ready === 0);
      // A rollout by steps is taken back where it fails, which needs nobody.
      const isStepping = decision?.report.step !== undefined;
      if (!isServedAlone && !isStepping) return 'Failed';
      return ready > 0 ? 'Progressing' : 'Pending';
    }
    default:
      return ready > 0 ? 'Progressing' : 'Pending';
  }
}

function fieldsOf(scope: Scope, obstacle: Obstacle | undefined, ready: number): Report['fields'] {
  const { object, owner, revisions, model, decision, target } = scope;
  const { generation } = object.metadata;
  const resolved = model.kind === 'resolved' ? model.model : undefined;
  const planned = sum(revisions.map((revision) => plannedReplicas(scope, revision)));
  const missing =
    target !== undefined && target.existing === undefined ? (decision?.replicas.get(target.name) ?? 0) : 0;
  const host = `${owner.name}.${owner.namespace}.svc`;
  return {
    ...(generation !== undefined && { observedGeneration: generation }),
    phase: phaseOf(scope, obstacle, ready),
    address: {
      http: `http://${host}`,
      ...(speaksGrpc(object.spec, revisions) && { grpc: `${host}:${PORTS.grpc.service}` }),
      ...(isReachedFromOutside(scope) && { external: scope.exposure.addresses }),
    },
    ...(resolved && { model: { ...resolved, uri: withoutSecrets(resolved.uri) } }),
    ...revisionsOf(scope),
    ...rolloutOf(scope, obstacle),
    ...routeOf(scope),
    ...memoryOf(decision?.progress ?? scope.progress),
    replicas: sum(revisions.map(({ current }) => current)),
    readyReplicas: ready,
    selector: selectorText(serverSelector(owner)),
    summary: { model: modelInWords(scope).slice(0, MAX_CHARS.model), replicas: `${ready}/${planned + missing}` },
  };
}

const isoTime = (ms: number) => new Date(Math.floor(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z');

/** When the wanted model has all of the traffic, only what people need to take a rollout by steps back. */
function rolloutOf(
  { object, decision, judged }: Scope,
  obstacle: Obstacle | undefined,
): Pick<Report['fields'], 'rollout'> {
  const { report, analyse, progress } = decision ?? {};
  // What was taken back can be tried again whatever the strategy has become.
  const isActedOn = isStepped(object.spec.rollout.strategy) || isTakenBack(progress);
  const action = isActedOn ? report?.actionTarget : undefined;
  if (obstacle === undefined) return action === undefined ? {} : { rollout: { action } };
  const analysed = analyse !== undefined || progress?.pause !== undefined ? judged : undefined;
  return {
    rollout: {
      ...(report?.step && { step: report.step }),
      ...(action && { action }),
      ...(analysed && { verdict: analysed.verdict.kind }),
      message: obstacle.message.slice(0, MAX_CHARS.rolloutMessage),
      ...(progress?.pause && { paused: progress.pause.reason }),
      ...(report?.holdUntilMs !== undefined && { holdUntil: isoTime(report.holdUntilMs) }),
      ...(analysed && analysed.metrics.length > 0 && { metrics: [...analysed.metrics] }),
    },
  };
}

function routeOf({ routing }: Scope): Pick<Report['fields'], 'route'> {
  const { splitter, lead, route, acknowledgement } = routing;
  if (splitter === 'None' || route === undefined) return {};
  // Before the first router stands there is none that does not apply it.
  const isLed = splitter !== 'Router' || lead?.to === 'routers';
  const acknowledged = acknowledgement?.isComplete === true && isLed;
  const unled = isLed ? undefined : 'no router is ready yet: requests go straight to the pods';
  const message = (acknowledgement?.waitsFor ?? unled)?.slice(0, MAX_CHARS.routeMessage);
  return { route: { generation: route.generation, acknowledged, ...(message && { message }) } };
}

function isTakenBack(progress: Progress | undefined): boolean {
  return progress?.stage === 'Returning' || progress?.stage === 'Returned';
}

function memoryOf(progress: Progress | undefined): Pick<Report['fields'], 'failedRevision' | 'lastHandledAction'> {
  const { failure, lastAction, target = '' } = progress ?? {};
  return {
    ...(failure &&
      isTakenBack(progress) && {
        failedRevision: {
          revision: target,
          reason: failure.reason,
          message: failure.message,
          at: isoTime(failure.atMs),
        },
      }),
    ...(lastAction && {
      lastHandledAction: {
        action: lastAction.action,
        ...(lastAction.by && { by: lastAction.by }),
        at: isoTime(lastAction.atMs),
        result: lastAction.result,
        message: lastAction.message,
      },
    }),
  };
}

function isReachedFromOutside({ exposure: { addresses } }: Scope): boolean {
  return addresses.http !== undefined || addresses.grpc !== undefined;
}

function plannedReplicas({ decision }: Scope, revision: Revision): number {
  return decision === undefined ? revision.replicas : (decision.replicas.get(revision.name) ?? 0);
}

function modelInWords({ object, model }: Scope): string {
  const { ref, uri = '' } = object.spec.model;
  const version = model.kind === 'resolved' ? model.model.version : undefined;
  const named = ref ?? parseModelsUri(uri);
  if (named !== undefined) return `${named.model}@${version ?? named.version ?? named.alias ?? ''}`;
  const shown = withoutSecrets(uri);
  return shown.split('/').findLast((part) => part !== '') ?? shown;
}

function revisionsOf(scope: Scope): Pick<Report['fields'], 'stable' | 'canary'> {
  const { revisions, decision, routing } = scope;
  const serving = revisions.filter((revision) => revision.replicas > 0 || revision.ready > 0);
  // Before anything is decided, whoever serves most is what clients get.
  const busiest = serving.reduce<Revision | undefined>(
    (most, each) => (most && most.ready >= each.ready ? most : each),
    undefined,
  );
  const named = (name: string | undefined) => revisions.find((revision) => revision.name === name);
  const stable = decision === undefined ? busiest : named(decision.report.stable);
  const canary = named(decision?.report.canary);
  const counts = (revision: Revision) => ({
    revision: revision.name,
    ...(revision.model?.version && { version: revision.model.version }),
    replicas: plannedReplicas(scope, revision),
    ready: revision.ready,
  });
  // Where nothing splits there is no weight: every pod that is ready has an equal share.
  const weight = routing.splitter === 'None' || canary === undefined ? undefined : routing.weights.get(canary.name);
  return {
    ...(stable && { stable: counts(stable) }),
    ...(canary && { canary: { ...counts(canary), ...(routing.splitter !== 'None' && { weight: weight ?? 0 }) } }),
  };
}

function conditionsOf(scope: Scope, obstacle: Obstacle | undefined, ready: number): ConditionUpdate[] {
  return [
    accepted(scope),
    verified(scope, obstacle),
    capacityAvailable(scope),
    available(scope, obstacle, ready),
    progressing(obstacle ?? scope.problem),
    isReady(scope, obstacle),
  ];
}

const condition = (type: string, status: boolean | undefined, reason: string, message: string): ConditionUpdate => ({
  type,
  status: status === undefined ? 'Unknown' : status ? 'True' : 'False',
  reason,
  message: message.slice(0, MAX_CHARS.conditionMessage),
});

function accepted({ refusal }: Scope): ConditionUpdate {
  if (refusal !== undefined) return condition('Accepted', false, refusal.reason, refusal.message);
  return condition('Accepted', true, 'Accepted', 'the spec can be acted on');
}

/** Pods verify the digest before they serve, so that a ready pod is the proof. */
function verified({ target, diagnoses }: Scope, obstacle: Obstacle | undefined): ConditionUpdate {
  const mismatch = diagnoses.find(({ reason }) => reason === 'DigestMismatch');
  if (mismatch !== undefined) return condition('Verified', false, mismatch.reason, mismatch.message);
  const digest = target?.model?.sha256;
  if (digest !== undefined && (target?.existing?.ready ?? 0) > 0) {
    return condition('Verified', true, 'DigestVerified', `the ready pods checked sha256 ${digest} before they served`);
  }
  const reason = obstacle?.reason ?? 'NoReadyPods';
  return condition('Verified', undefined, reason, 'no pod has checked the digest of the wanted model yet');
}

function capacityAvailable({ diagnoses, model, decision, problem }: Scope): ConditionUpdate {
  const all = [
    ...(problem ? [problem] : []),
    ...diagnoses,
    ...(model.kind === 'resolving' && model.why ? [model.why] : []),
  ];
  // The planner has counted what the scheduler only refuses, and says what comes of it.
  const missing = decision?.report.shortfall ?? all.find(({ kind }) => kind === 'capacity');
  if (missing !== undefined) return condition('CapacityAvailable', false, missing.reason, missing.message);
  if (decision === undefined)
    return condition('CapacityAvailable', undefined, 'NoPods', 'no pod has been asked for yet');
  return condition('CapacityAvailable', true, 'Sufficient', 'no pod waits for room');
}

function available(scope: Scope, obstacle: Obstacle | undefined, ready: number): ConditionUpdate {
  const unreachable = routerObstacle(scope);
  if (unreachable !== undefined) return condition('Available', false, unreachable.reason, unreachable.message);
  if (ready > 0) return condition('Available', true, 'PodsReady', 'ready pods serve');
  if (wantsNone(scope)) return condition('Available', false, 'ScaledToZero', 'spec.replicas is 0');
  return condition('Available', false, obstacle?.reason ?? 'NoReadyPods', obstacle?.message ?? 'no pod is ready');
}

function progressing(obstacle: Obstacle | undefined): ConditionUpdate {
  if (obstacle === undefined) return condition('Progressing', false, 'Complete', 'nothing is left to do');
  const goesOn = obstacle.kind === 'waiting' || obstacle.kind === 'capacity';
  return condition('Progressing', goesOn, obstacle.reason, obstacle.message);
}

function isReady(scope: Scope, obstacle: Obstacle | undefined): ConditionUpdate {
  const { target, model, autoscalerFailure, routing } = scope;
  if (obstacle !== undefined) return condition('Ready', false, obstacle.reason, obstacle.message);
  if (model.kind === 'resolved' && model.gone !== undefined) {
    const pinned = `the pinned sha256 ${model.model.sha256} serves on`;
    return condition('Ready', true, 'ModelGone', `${model.gone}; ${pinned}`);
  }
  if (model.kind === 'resolved' && model.unfollowed !== undefined) {
    const message = `${model.unfollowed}: what it answered last holds, and a move of the alias is not seen`;
    return condition('Ready', true, 'RegistryUnreachable', message);
  }
  if (wantsNone(scope)) return condition('Ready', true, 'ScaledToZero', 'no pod is wanted: spec.replicas is 0');
  const serving = `revision ${target?.name ?? ''} has all of the traffic`;
  // What serves goes on serving; that it no longer follows the load is for a person to know.
  if (autoscalerFailure !== undefined) {
    return condition('Ready', true, 'AutoscalerFailing', `${serving}; ${autoscalerFailure}`);
  }
  // As does what has nobody to stand in for it.
  if (routing.unanswered !== undefined) {
    return condition('Ready', true, 'ReferenceNotRouted', `${serving}; ${routing.unanswered}`);
  }
  return condition('Ready', true, 'Serving', serving);
}

function wantsNone({ decision }: Scope): boolean {
  return decision?.report.wanted === 0;
}
