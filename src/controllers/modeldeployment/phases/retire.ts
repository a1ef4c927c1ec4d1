import { LABELS } from '../../../api/names.ts';
import { identityOf } from '../../../runtime/prune.ts';
import type { ObjectIdentity, ReconcileContext } from '../../../runtime/reconcile-context.ts';
import type { KubeObject, Resource } from '../../../runtime/types.ts';
import { DEPLOYMENTS, DISRUPTION_BUDGETS, JOBS, SERVICE_ACCOUNTS, SERVICES } from '../../resources.ts';
import { desiredDisruptionBudget } from '../desired.ts';
import type { Scope } from '../scope.ts';
import { needsAccount } from './account.ts';
import type { Phase, PhaseContext } from './phase.ts';

/** Keeps the disruption budget to the count, and removes what nothing needs any more. */
export const retire: Phase = async (scope, context) => {
  const { object, owner } = scope;
  const { autoscaling, replicas = 1 } = object.spec;
  // An autoscaler may have added pods to a single one; a lone pod may be evicted by this budget all the same.
  const budget = desiredDisruptionBudget(owner, autoscaling?.maxReplicas ?? replicas);
  if (budget !== undefined) await context.apply(DISRUPTION_BUDGETS, budget);
  await pruneBut(context, object, DISRUPTION_BUDGETS, budget === undefined ? [] : [owner.name]);

  await pruneBut(context, object, SERVICE_ACCOUNTS, needsAccount(scope) ? [owner.name] : []);

  // A digest that a Job found out is safe once it is written on the Deployment of its revision.
  if (scope.model.kind === 'resolved') await context.prune(object, [JOBS], new Set());

  const kept = keptRevisions(scope);
  if (scope.revisions.some(({ name }) => !kept.includes(name))) await pruneBut(context, object, DEPLOYMENTS, kept);
  await pruneServices(scope, context, kept);
  return 'continue';
};

/** Old revisions kept without pods, so that a return to one needs no new resolution and is the same bytes and image. */
const KEPT_REVISIONS = 2;

/**
 * Beside those with pods: the one whose objects remember, the one that it came from, and the newest, so many in all. And the
 * target, which may just have been made and then is none of the revisions that were observed.
 */
function keptRevisions({ revisions, old, target, progress, decision }: Scope): readonly string[] {
  const { target: remembering, from } = decision?.progress ?? progress ?? {};
  const isNeeded = (name: string) => name === remembering || name === from;
  const idle = old.filter(({ replicas, current }) => replicas === 0 && current === 0).map(({ name }) => name);
  const byNeed = [...idle.filter(isNeeded), ...idle.filter((name) => !isNeeded(name))];
  const surplus = new Set(byNeed.slice(KEPT_REVISIONS));
  const kept = revisions.map(({ name }) => name).filter((name) => name !== target?.name && !surplus.has(name));
  return target === undefined ? kept : [target.name, ...kept];
}

/** A revision's headless Service goes with it. */
async function pruneServices({ object }: Scope, context: PhaseContext, kept: readonly string[]): Promise<void> {
  const services = context.cache.ownedBy(SERVICES, object.metadata.uid ?? '');
  const others = services.filter(({ metadata: { labels, name } }) => {
    const revision = labels?.[LABELS.revision];
    return revision === undefined || kept.includes(name);
  });
  await context.prune(object, [SERVICES], new Set(others.map((each) => identityOf(SERVICES, each))));
}

async function pruneBut(
  context: ReconcileContext,
  owner: KubeObject,
  resource: Resource,
  names: readonly string[],
): Promise<void> {
  const { namespace } = owner.metadata;
  const keep = names.map(
    (name): ObjectIdentity => identityOf(resource, { metadata: { name, ...(namespace && { namespace }) } }),
  );
  await context.prune(owner, [resource], new Set(keep));
}
