import type { DesiredObject } from '../../../runtime/apply.ts';
import { identityOf } from '../../../runtime/prune.ts';
import { AUTOSCALERS, DEPLOYMENTS, type Deployment } from '../../resources.ts';
import type { AutoscalerBounds } from '../autoscaling.ts';
import { type DeploymentInput, desiredAutoscaler, desiredDeployment } from '../desired.ts';
import type { Plan } from '../plan.ts';
import { usesGpu } from '../pod.ts';
import { REVISION_ANNOTATIONS, type Revision, sourceHash } from '../revision.ts';
import type { Scope } from '../scope.ts';
import type { Phase, PhaseContext } from './phase.ts';

/** Brings the revisions' Deployments and autoscalers to the plan: the target before what makes room for it. */
export const apply: Phase = async (scope, context) => {
  const { target, plan, old } = scope;
  if (target === undefined || plan === undefined) return 'stop';
  await applyTarget(scope, context, plan);
  for (const revision of old) {
    const bounds = plan.autoscalers?.old.get(revision.name);
    if (bounds !== undefined) await applyAutoscaler(scope, context, revision.name, bounds, plan);
  }
  // An autoscaler must be gone before its Deployment is taken to 0, or it could raise it again.
  await context.prune(scope.object, [AUTOSCALERS], neededAutoscalers(scope, plan));
  const isAutoscaled = plan.autoscalers !== undefined;
  if (target.existing !== undefined) {
    const { replicas } = target.existing;
    if (!isAutoscaled || replicas === 0) await scale(context, target.existing, plan.counts.target);
  }
  for (const revision of old) {
    const planned = plan.counts.old.get(revision.name) ?? 0;
    if (!isAutoscaled || planned === 0) await scale(context, revision, planned);
  }
  return 'continue';
};

async function applyTarget(scope: Scope, context: PhaseContext, plan: Plan): Promise<void> {
  const { object, owner, target } = scope;
  if (target === undefined) return;
  if (target.model !== undefined) {
    const desired = desiredDeployment({
      owner,
      spec: object.spec,
      revision: target.name,
      model: target.model,
      image: pinnedImage(scope, context, target.existing),
      source: sourceHash(object.spec.model),
      ...appliedReplicas(target.existing?.deployment, plan.counts.target),
    });
    if (target.existing === undefined || makesSamePods(target.existing, desired)) {
      await context.apply(DEPLOYMENTS, desired);
    }
    if (target.existing === undefined) {
      context.event(object, {
        type: 'Normal',
        reason: 'RevisionCreated',
        action: 'CreateRevision',
        note: `made revision ${target.name} of ${target.model.uri} (sha256 ${target.model.sha256})`,
      });
    }
  }
  const bounds = plan.autoscalers?.target;
  if (bounds !== undefined) await applyAutoscaler(scope, context, target.name, bounds, plan);
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

async function applyAutoscaler(
  { object, owner }: Scope,
  context: PhaseContext,
  revision: string,
  bounds: AutoscalerBounds,
  plan: Plan,
): Promise<void> {
  const { autoscaling } = object.spec;
  if (autoscaling === undefined) return;
  const spec = { ...object.spec, autoscaling };
  await context.apply(AUTOSCALERS, desiredAutoscaler(owner, spec, revision, bounds, plan.autoscalers?.rolloutReplicas));
}

function neededAutoscalers({ owner, target }: Scope, { autoscalers }: Plan): ReadonlySet<string> {
  if (autoscalers === undefined || target === undefined) return new Set();
  const names = [target.name, ...autoscalers.old.keys()];
  return new Set(names.map((name) => identityOf(AUTOSCALERS, { metadata: { name, namespace: owner.namespace } })));
}

async function scale(context: PhaseContext, revision: Revision, replicas: number): Promise<void> {
  if (revision.replicas === replicas) return;
  await context.scale(DEPLOYMENTS, revision.deployment, replicas);
}
