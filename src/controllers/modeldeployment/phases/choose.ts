import type { V1PodTemplateSpec } from '@kubernetes/client-node';
import { type PodDemand, podDemand } from '../../../capacity/pod-demand.ts';
import type { CapacityAdvice } from '../../../capacity/types.ts';
import { decide } from '../../../rollout/decide.ts';
import type { RolloutDecision, RolloutSnapshot } from '../../../rollout/types.ts';
import { DEPLOYMENTS } from '../../resources.ts';
import { sizeRefusal } from '../acceptance.ts';
import { judgeStep } from '../analysis/judge.ts';
import { AUTOSCALER_GRACE_MS, autoscalerFailure, diagnose } from '../diagnose.ts';
import { type Revision, revisionName } from '../revision.ts';
import { lookAgain, type Scope, type Target } from '../scope.ts';
import { CONFIG_VARIABLE, serverPodTemplate, servingConfig, variableText } from '../server-pod.ts';
import { lostRevision, rememberingPods, snapshotOf } from '../snapshot.ts';
import type { Phase, PhaseContext } from './phase.ts';
import { podsForLoad } from './weigh.ts';

const UNDER_WAY_MS = 10_000;

/** Decides which revision is to have the traffic, and how far that goes now; writes nothing. */
export const choose: Phase = async (scope, context) => {
  const { object, owner, revisions, model, isHeld } = scope;
  if (!isHeld && model.kind === 'resolved' && object.spec.runtime?.container === undefined) {
    const revision = revisionName(owner.name, object.spec, model.model);
    const config = servingConfig({ owner, spec: object.spec, revision, model: model.model });
    scope.refusal = sizeRefusal(CONFIG_VARIABLE, variableText(config));
    if (scope.refusal !== undefined) return 'stop';
  }
  const target = targetOf(scope);
  if (target === undefined) return 'stop';
  scope.target = target;
  scope.old = revisions.filter(({ name }) => name !== target.name);
  scope.analysis = context.analyses.recordOf(context.key, revisions);
  scope.judged = scope.analysis && judgeStep(scope.analysis, object.spec);
  scope.podsForLoad = podsForLoad(scope, context);

  const snapshot = snapshotOf(scope, target);
  const asked = decide(snapshot);
  const advice = await adviceOn(asked, snapshot, scope, context);
  const decided = advice === undefined ? asked : decide({ ...snapshot, advice });
  const pods = scope.pods.get(target.name) ?? [];
  const decision = { ...decided, progress: rememberingPods(decided.progress, snapshot.progress, pods) };
  scope.decision = decision;
  if (decision.lookAgainAtMs !== undefined) lookAgain(scope, decision.lookAgainAtMs);
  // Watches tell of changes; one that is late, as of kinds installed meanwhile, must not hold a rollout up for long.
  if (decision.report.outcome === 'Progressing') lookAgain(scope, scope.nowMs + UNDER_WAY_MS);

  const planned = decision.replicas.get(target.name) ?? 0;
  const { failures, lookAgainAtMs } = await context.podEvents.mountFailures(pods, context, scope.nowMs);
  if (lookAgainAtMs !== undefined) lookAgain(scope, lookAgainAtMs);
  const lost = lostRevision(decision.progress, revisions);
  scope.diagnoses = [
    ...(lost ? [lost] : []),
    ...scope.diagnoses,
    ...diagnose(target.existing?.deployment, pods, planned, failures),
  ];
  scope.autoscalerFailure = lastingAutoscalerFailure(scope, target);
  return 'continue';
};

async function adviceOn(
  decision: RolloutDecision,
  snapshot: RolloutSnapshot,
  scope: Scope,
  context: PhaseContext,
): Promise<CapacityAdvice | undefined> {
  const { claim } = decision;
  const demand = (revision: string) => demandOf(revision, scope, context);
  const pod = claim && (await demand(claim.revision));
  if (pod === undefined) return undefined;
  scope.claimsRoom = true;
  return await context.planner.advise(context, { snapshot, decision, pods: scope.pods, pod, demandOf: demand });
}

/** What one pod of a revision takes: of the wanted one as the spec says it, of an older one as it was made, if it is there. */
async function demandOf(
  revision: string,
  { target, owner, object, revisions }: Scope,
  { client, images, signal }: PhaseContext,
): Promise<PodDemand | undefined> {
  if (revision === target?.name && target.model !== undefined) {
    const input = { owner, spec: object.spec, revision, model: target.model, image: images.cpu };
    const { spec } = serverPodTemplate(input);
    return spec && podDemand(spec);
  }
  if (revisions.every(({ name }) => name !== revision)) return undefined;
  const { spec } = await client.get(DEPLOYMENTS, { namespace: owner.namespace, name: revision }, signal);
  // As the API server has it, with everything that the cache leaves out.
  const template = spec?.template as V1PodTemplateSpec | undefined;
  return template?.spec && podDemand(template.spec);
}

function lastingAutoscalerFailure(scope: Scope, { existing }: Target): string | undefined {
  const failure = autoscalerFailure(existing?.autoscaler?.status?.conditions);
  if (failure === undefined) return undefined;
  const lastsAtMs = failure.sinceMs + AUTOSCALER_GRACE_MS;
  if (scope.nowMs >= lastsAtMs) return failure.message;
  lookAgain(scope, lastsAtMs);
  return undefined;
}

function targetOf({ object, owner, revisions, model, progress, isHeld }: Scope): Target | undefined {
  if (model.kind === 'resolved' && !isHeld) {
    const name = revisionName(owner.name, object.spec, model.model);
    return { name, existing: revisions.find((revision) => revision.name === name), model: model.model };
  }
  const kept = revisions.find(({ name }) => name === progress?.target) ?? servingRevision(revisions);
  return kept && { name: kept.name, existing: kept, model: undefined };
}

/** The revision with the most ready pods, the newest where several have as many; undefined when none has replicas. */
export function servingRevision(revisions: readonly Revision[]): Revision | undefined {
  return revisions
    .filter(({ replicas }) => replicas > 0)
    .reduce<Revision | undefined>(
      (most, each) => (most === undefined || each.ready > most.ready ? each : most),
      undefined,
    );
}
