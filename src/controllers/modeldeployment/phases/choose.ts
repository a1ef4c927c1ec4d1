import type { Pod } from '../../resources.ts';
import { sizeRefusal } from '../acceptance.ts';
import { AUTOSCALER_GRACE_MS, autoscalerFailure, diagnose } from '../diagnose.ts';
import { planReplicas } from '../plan.ts';
import { type Revision, revisionName } from '../revision.ts';
import { lookAgain, type Scope, type Target } from '../scope.ts';
import { CONFIG_VARIABLE, servingConfig, variableText } from '../server-pod.ts';
import type { Phase } from './phase.ts';

/** Decides which revision is to have the traffic and how many replicas each is to have next; reads and writes nothing. */
export const choose: Phase = async (scope) => {
  const { object, owner, revisions, model } = scope;
  if (model.kind === 'resolved' && object.spec.runtime?.container === undefined) {
    const config = servingConfig({ owner, spec: object.spec, model: model.model });
    scope.refusal = sizeRefusal(CONFIG_VARIABLE, variableText(config));
    if (scope.refusal !== undefined) return 'stop';
  }
  const target = targetOf(scope);
  if (target === undefined) return 'stop';
  const old = revisions.filter(({ name }) => name !== target.name);
  const plan = planReplicas({
    spec: object.spec,
    target: target.existing,
    old,
    leftPods: leftPods(scope, target),
  });
  scope.target = target;
  scope.old = old;
  scope.plan = plan;
  const pods = scope.pods.get(target.name) ?? [];
  scope.diagnoses = [...scope.diagnoses, ...diagnose(target.existing?.deployment, pods, plan.counts.target)];
  scope.autoscalerFailure = lastingFailure(scope, target);
  return 'continue';
};

function lastingFailure(scope: Scope, { existing }: Target): string | undefined {
  const failure = autoscalerFailure(existing?.autoscaler?.status?.conditions);
  if (failure === undefined) return undefined;
  const lastsAtMs = failure.sinceMs + AUTOSCALER_GRACE_MS;
  if (scope.nowMs >= lastsAtMs) return failure.message;
  lookAgain(scope, lastsAtMs);
  return undefined;
}

function targetOf({ object, owner, revisions, model }: Scope): Target | undefined {
  if (model.kind === 'resolved') {
    const name = revisionName(owner.name, object.spec, model.model);
    return { name, existing: revisions.find((revision) => revision.name === name), model: model.model };
  }
  const serving = servingRevision(revisions);
  return serving && { name: serving.name, existing: serving, model: undefined };
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

/** `leftPods` of the plan; pods that have ended use nothing any more. */
export function leftPods({ pods, revisions }: Pick<Scope, 'pods' | 'revisions'>, { name, existing }: Target): number {
  const isLeft = (revision: string) => revision !== name || existing?.replicas === 0;
  const uses = ({ status }: Pod) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed';
  const seen = [...pods].filter(([revision]) => isLeft(revision)).flatMap(([, of]) => of.filter(uses)).length;
  // The Deployment may tell of pods that have not been seen yet.
  return Math.max(
    seen,
    revisions.filter((revision) => isLeft(revision.name)).reduce((total, { current }) => total + current, 0),
  );
}
