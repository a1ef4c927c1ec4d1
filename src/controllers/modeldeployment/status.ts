/** What is true of a ModelDeployment, from what one reconcile knows. Pure, and the only place that decides it. */
import { PORTS } from '../../api/names.ts';
import type { ModelDeploymentStatus, Phase } from '../../api/v1alpha1/model-deployment-status.ts';
import type { ConditionUpdate } from '../../runtime/conditions.ts';
import { selectorText, serverSelector } from './children.ts';
import type { DiagnosisKind } from './diagnose.ts';
import type { Revision } from './revision.ts';
import type { Scope } from './scope.ts';

/** What stands between now and the wanted model having all of the traffic. `refused` and `failed` need a change. */
interface Obstacle {
  readonly kind: 'refused' | DiagnosisKind;
  readonly reason: string;
  readonly message: string;
}

export interface Report {
  /** Everything but the conditions, which carry times. */
  readonly fields: Omit<ModelDeploymentStatus, 'conditions'>;
  readonly conditions: readonly ConditionUpdate[];
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
const pods = (count: number) => (count === 1 ? '1 pod' : `${count} pods`);

export function report(scope: Scope): Report {
  const obstacle = obstacleOf(scope);
  const ready = sum(scope.revisions.map((revision) => revision.ready));
  return { fields: fieldsOf(scope, obstacle, ready), conditions: conditionsOf(scope, obstacle, ready) };
}

function obstacleOf(scope: Scope): Obstacle | undefined {
  const { refusal, model, diagnoses, target, plan, problem } = scope;
  if (refusal !== undefined) return { kind: 'refused', ...refusal };
  if (problem !== undefined && !isComplete(scope)) {
    return problem.kind === 'failed' ? { ...problem, message: `${problem.message}${servesOn(scope)}` } : problem;
  }
  if (model.kind === 'failed') return { ...model, message: `${model.message}${servesOn(scope)}` };
  if (model.kind === 'resolving') {
    if (model.why !== undefined) return model.why;
    const message = `a Job finds out the digest of ${model.uri}`;
    return diagnoses[0] ?? { kind: 'waiting', reason: 'ResolvingModel', message };
  }
  if (plan === undefined || target === undefined) {
    return diagnoses[0] ?? { kind: 'waiting', reason: 'Pending', message: 'nothing has been started yet' };
  }
  if (plan.isComplete) return undefined;
  const [first] = diagnoses;
  if (first !== undefined && first.kind !== 'waiting') {
    return first.kind === 'failed' ? { ...first, message: `${first.message}${servesOn(scope)}` } : first;
  }
  const readyTarget = target.existing?.ready ?? 0;
  const remaining = sum(scope.old.map(({ replicas }) => replicas));
  const left = remaining === 0 ? '' : `; ${pods(remaining)} of older revisions remain`;
  const why = first === undefined ? '' : ` (${first.message})`;
  const unsteered = scope.autoscalerFailure === undefined ? '' : `; ${scope.autoscalerFailure}`;
  const message = `${readyTarget} of ${pods(plan.wanted)} of revision ${target.name} ready${why}${left}${unsteered}`;
  return { kind: 'waiting', reason: 'RollingOut', message };
}

/** The wanted model has all of the traffic: what goes wrong beside it takes nothing of that away. */
function isComplete({ plan, model }: Scope): boolean {
  return plan?.isComplete === true && model.kind === 'resolved';
}

/** That users are served all the same, where they are. */
function servesOn({ revisions, target }: Scope): string {
  const wanted = target?.model === undefined ? undefined : target.name;
  const serving = revisions.find(({ name, ready }) => name !== wanted && ready > 0);
  return serving === undefined ? '' : `; revision ${serving.name} serves on with ${pods(serving.ready)}`;
}

function phaseOf({ target, old }: Scope, obstacle: Obstacle | undefined, ready: number): Phase {
  if (obstacle === undefined) return 'Ready';
  if (obstacle.kind === 'refused') return 'Failed';
  // Where the wanted model serves already and only some of its pods fail, it is not the deployment that failed.
  const isServedAlone =
    (target?.existing?.ready ?? 0) > 0 && target?.model !== undefined && old.every((each) => each.ready === 0);
  if (obstacle.kind === 'failed' && !isServedAlone) return 'Failed';
  return ready > 0 ? 'Progressing' : 'Pending';
}

function fieldsOf(scope: Scope, obstacle: Obstacle | undefined, ready: number): Report['fields'] {
  const { object, owner, revisions, model } = scope;
  const { generation } = object.metadata;
  const resolved = model.kind === 'resolved' ? model.model : undefined;
  const planned = sum(revisions.map((revision) => plannedReplicas(scope, revision)));
  const missing =
    scope.target !== undefined && scope.target.existing === undefined ? (scope.plan?.counts.target ?? 0) : 0;
  const host = `${owner.name}.${owner.namespace}.svc`;
  return {
    ...(generation !== undefined && { observedGeneration: generation }),
    phase: phaseOf(scope, obstacle, ready),
    address: { http: `http://${host}`, ...(hasGrpc(scope) && { grpc: `${host}:${PORTS.grpc.service}` }) },
    ...(resolved && { model: resolved }),
    ...revisionsOf(scope),
    ...(obstacle && { rollout: { message: obstacle.message } }),
    replicas: sum(revisions.map(({ current }) => current)),
    readyReplicas: ready,
    selector: selectorText(serverSelector(owner)),
    summary: { model: modelInWords(scope), replicas: `${ready}/${planned + missing}` },
  };
}

function hasGrpc({ object }: Scope): boolean {
  const declared = object.spec.runtime?.container;
  return declared === undefined || declared.ports.grpc !== undefined;
}

function plannedReplicas({ plan, target }: Scope, revision: Revision): number {
  if (plan === undefined) return revision.replicas;
  return revision.name === target?.name ? plan.counts.target : (plan.counts.old.get(revision.name) ?? 0);
}

function modelInWords({ object, model }: Scope): string {
  const { ref, uri = '' } = object.spec.model;
  const version = model.kind === 'resolved' ? model.model.version : undefined;
  if (ref !== undefined) return `${ref.model}@${version ?? ref.version ?? ref.alias ?? ''}`;
  return uri.split('/').findLast((part) => part !== '') ?? uri;
}

/** The revision that had the traffic before stays the stable one until the wanted one has all of it. */
function revisionsOf(scope: Scope): Pick<Report['fields'], 'stable' | 'canary'> {
  const { object, revisions, target, plan } = scope;
  const serving = revisions.filter((revision) => revision.replicas > 0 || revision.ready > 0);
  const wanted = target?.existing;
  const before = serving.find(({ name }) => name === object.status?.stable?.revision);
  const busiest = serving.reduce<Revision | undefined>(
    (most, each) => (most && most.ready >= each.ready ? most : each),
    undefined,
  );
  const stable = plan?.isComplete === true ? wanted : (before ?? busiest ?? wanted);
  const counts = (revision: Revision) => ({
    revision: revision.name,
    ...(revision.model?.version && { version: revision.model.version }),
    replicas: plannedReplicas(scope, revision),
    ready: revision.ready,
  });
  const canary = wanted === undefined || wanted === stable ? undefined : wanted;
  return {
    ...(stable && { stable: counts(stable) }),
    // No weight: Rolling and Recreate split nothing; every pod that is ready has an equal share.
    ...(canary && { canary: counts(canary) }),
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
  message,
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

function capacityAvailable({ diagnoses, model, plan, problem }: Scope): ConditionUpdate {
  const all = [
    ...(problem ? [problem] : []),
    ...diagnoses,
    ...(model.kind === 'resolving' && model.why ? [model.why] : []),
  ];
  const missing = all.find(({ kind }) => kind === 'capacity');
  if (missing !== undefined) return condition('CapacityAvailable', false, missing.reason, missing.message);
  if (plan === undefined) return condition('CapacityAvailable', undefined, 'NoPods', 'no pod has been asked for yet');
  return condition('CapacityAvailable', true, 'Sufficient', 'no pod waits for room');
}

function available({ plan }: Scope, obstacle: Obstacle | undefined, ready: number): ConditionUpdate {
  if (ready > 0) return condition('Available', true, 'PodsReady', 'ready pods serve');
  if (plan?.wanted === 0) return condition('Available', false, 'ScaledToZero', 'spec.replicas is 0');
  return condition('Available', false, obstacle?.reason ?? 'NoReadyPods', obstacle?.message ?? 'no pod is ready');
}

function progressing(obstacle: Obstacle | undefined): ConditionUpdate {
  if (obstacle === undefined) return condition('Progressing', false, 'Complete', 'nothing is left to do');
  const goesOn = obstacle.kind === 'waiting' || obstacle.kind === 'capacity';
  return condition('Progressing', goesOn, obstacle.reason, obstacle.message);
}

function isReady({ target, plan, model, autoscalerFailure }: Scope, obstacle: Obstacle | undefined): ConditionUpdate {
  if (obstacle !== undefined) return condition('Ready', false, obstacle.reason, obstacle.message);
  if (model.kind === 'resolved' && model.gone !== undefined) {
    const pinned = `the pinned sha256 ${model.model.sha256} serves on`;
    return condition('Ready', true, 'ModelGone', `${model.gone}; ${pinned}`);
  }
  if (plan?.wanted === 0) return condition('Ready', true, 'ScaledToZero', 'no pod is wanted: spec.replicas is 0');
  const serving = `revision ${target?.name ?? ''} has all of the traffic`;
  // What serves goes on serving; that it no longer follows the load is for a person to know.
  if (autoscalerFailure !== undefined) {
    return condition('Ready', true, 'AutoscalerFailing', `${serving}; ${autoscalerFailure}`);
  }
  return condition('Ready', true, 'Serving', serving);
}
