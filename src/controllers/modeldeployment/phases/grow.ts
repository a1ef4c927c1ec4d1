import { ANNOTATIONS } from '../../../api/names.ts';
import { withoutSecrets } from '../../../api/without-secrets.ts';
import { progressText } from '../../../rollout/progress.ts';
import type { Bounds, RolloutDecision } from '../../../rollout/types.ts';
import type { DesiredObject } from '../../../runtime/apply.ts';
import { AUTOSCALERS, DEPLOYMENTS, type Deployment, SERVICES } from '../../resources.ts';
import { type DeploymentInput, desiredAutoscaler, desiredDeployment } from '../desired.ts';
import { usesGpu } from '../pod.ts';
import { REVISION_ANNOTATIONS, type Revision, sourceHash } from '../revision.ts';
import type { Scope } from '../scope.ts';
import { desiredRevisionService, serverPorts } from '../services.ts';
import type { Phase, PhaseContext } from './phase.ts';

/**
 * Writes down what was decided, and then adds pods: whatever is taken away comes after, and after routers know of it.
 * What is remembered is written first, so that whoever leads next never repeats what it allowed.
 */
export const grow: Phase = async (scope, context) => {
  const { decision, target } = scope;
  if (target === undefined || decision === undefined) return 'stop';
  await remember(scope, context, decision);
  await applyRevisionServices(scope, context);
  await applyTarget(scope, context, decision);
  scope.isUnderWay = true;
  for (const { type, reason, message } of decision.events) {
    context.event(scope.object, { type, reason, action: 'Rollout', note: message });
  }
  for (const revision of scope.revisions) {
    const bounds = decision.autoscalers?.get(revision.name);
    if (bounds !== undefined && bounds.max >= revision.replicas) {
      await applyAutoscaler(scope, context, revision.name, bounds);
    }
    await scaleWhere(context, decision, revision, (planned) => planned > revision.replicas);
  }
  return 'continue';
};

/** The progress of a revision whose Deployment does not exist yet is written with it. */
async function remember(scope: Scope, context: PhaseContext, { progress }: RolloutDecision): Promise<void> {
  const revision = scope.revisions.find(({ name }) => name === progress.target);
  if (revision === undefined) return;
  const annotations = { [REVISION_ANNOTATIONS.progress]: progressText(progress) };
  const deployment = await context.annotate(DEPLOYMENTS, revision.deployment, annotations);
  scope.isUnderWay = true;
  replaceDeployment(scope, revision, deployment);
}

/** What was written is what later phases look at and fence their writes by. */
function replaceDeployment(scope: Scope, revision: Revision, deployment: Deployment): void {
  const replaced = { ...revision, deployment };
  scope.revisions = scope.revisions.map((each) => (each.name === revision.name ? replaced : each));
  scope.old = scope.old.map((each) => (each.name === revision.name ? replaced : each));
  if (scope.target?.name === revision.name) scope.target = { ...scope.target, existing: replaced };
}

/** Whoever splits the requests finds pods by them alone, those of an older revision too. */
async function applyRevisionServices({ owner, revisions }: Scope, context: PhaseContext): Promise<void> {
  await Promise.all(
    revisions.map(({ name, ports }) => context.apply(SERVICES, desiredRevisionService(owner, name, ports))),
  );
}

async function applyTarget(scope: Scope, context: PhaseContext, decision: RolloutDecision): Promise<void> {
  const { object, owner, target } = scope;
  if (target?.model === undefined) return;
  const { existing } = target;
  if (existing === undefined) {
    await context.apply(SERVICES, desiredRevisionService(owner, target.name, serverPorts(object.spec)));
  }
  const planned = decision.replicas.get(target.name) ?? 0;
  const source = sourceHash(object.spec.model);
  const desired = desiredDeployment({
    owner,
    spec: object.spec,
    revision: target.name,
    model: target.model,
    image: pinnedImage(scope, context, existing),
    source,
    ...appliedReplicas(existing?.deployment, planned),
    ...appliedProgress(existing?.deployment, decision, target.name),
  });
  if (existing === undefined || makesSamePods(existing, desired)) {
    const deployment = await context.apply(DEPLOYMENTS, desired);
    if (existing !== undefined) replaceDeployment(scope, existing, deployment);
  } else if (existing.source !== source) {
    // Its digest is looked up by this for as long as it runs: without it a Job would be asked again and again.
    const deployment = await context.annotate(DEPLOYMENTS, existing.deployment, { [ANNOTATIONS.modelSource]: source });
    replaceDeployment(scope, existing, deployment);
  }
  if (existing === undefined) {
    context.event(object, {
      type: 'Normal',
      reason: 'RevisionCreated',
      action: 'CreateRevision',
      note: `made revision ${target.name} of ${withoutSecrets(target.model.uri)} (sha256 ${target.model.sha256})`,
    });
    const bounds = decision.autoscalers?.get(target.name);
    if (bounds !== undefined) await applyAutoscaler(scope, context, target.name, bounds);
  }
}

/** The image that the revision was made with, or for a new one that of this version of Fairlead. */
function pinnedImage({ object }: Scope, { images }: PhaseContext, existing: Revision | undefined): string {
  // A container of the user's own brings its GPU libraries itself; ours only fetches the model for it.
  const own = usesGpu(object.spec) && object.spec.runtime?.container === undefined ? images.cuda : images.cpu;
  return existing?.runtimeImage ?? own;
}

/** Another version of Fairlead would make other pods of the same spec; its revisions keep running as they were made. */
function makesSamePods(existing: Revision, desired: DesiredObject): boolean {
  return existing.templateHash === desired.metadata.annotations?.[REVISION_ANNOTATIONS.templateHash];
}

/**
 * `spec.replicas` as applied: a new Deployment starts with its count; after that the field is applied, as it is, only
 * for as long as nobody else owns it, since leaving out a field that one owns alone resets it.
 */
export function appliedReplicas(
  live: Deployment | undefined,
  planned: number,
): Pick<DeploymentInput, 'replicas' | 'resourceVersion'> {
  if (live === undefined) return { replicas: planned, resourceVersion: undefined };
  const own = live.metadata.managedFields?.[0]?.fieldsV1;
  if (own?.['f:spec']?.['f:replicas'] === undefined) return { replicas: undefined, resourceVersion: undefined };
  // The apply is forced: of an older count than the live one it would undo a scaling that the cache has not seen.
  return { replicas: live.spec?.replicas, resourceVersion: live.metadata.resourceVersion };
}

/** The same of the progress: applied with a new Deployment, so that it never exists without, and annotated from then on. */
export function appliedProgress(
  live: Deployment | undefined,
  { progress }: Pick<RolloutDecision, 'progress'>,
  revision: string,
): Pick<DeploymentInput, 'progress'> {
  const annotation = REVISION_ANNOTATIONS.progress;
  if (live === undefined) return { progress: progress.target === revision ? progressText(progress) : undefined };
  const own = live.metadata.managedFields?.[0]?.fieldsV1?.['f:metadata']?.['f:annotations'];
  return { progress: own?.[`f:${annotation}`] === undefined ? undefined : live.metadata.annotations?.[annotation] };
}

export async function applyAutoscaler(
  { object, owner }: Scope,
  context: PhaseContext,
  revision: string,
  bounds: Bounds,
): Promise<void> {
  const { autoscaling } = object.spec;
  if (autoscaling === undefined) return;
  await context.apply(AUTOSCALERS, desiredAutoscaler(owner, { ...object.spec, autoscaling }, revision, bounds));
}

/** An autoscaler has the count of its revision, but for the first step from 0 and the last one to it. */
export async function scaleWhere(
  context: PhaseContext,
  { replicas, autoscalers }: RolloutDecision,
  revision: Revision,
  holds: (planned: number) => boolean,
): Promise<void> {
  const planned = replicas.get(revision.name) ?? 0;
  if (planned === revision.replicas || !holds(planned)) return;
  const isOurs = autoscalers === undefined || planned === 0 || revision.replicas === 0;
  if (isOurs) await context.scale(DEPLOYMENTS, revision.deployment, planned);
}
