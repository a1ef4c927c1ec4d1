import { identityOf } from '../../../runtime/prune.ts';
import type { ObjectIdentity, ReconcileContext } from '../../../runtime/reconcile-context.ts';
import type { KubeObject, Resource } from '../../../runtime/types.ts';
import { DEPLOYMENTS, DISRUPTION_BUDGETS, JOBS, SERVICE_ACCOUNTS } from '../../resources.ts';
import { desiredDisruptionBudget } from '../desired.ts';
import { surplusRevisions } from '../plan.ts';
import type { Phase } from './phase.ts';

/** Keeps the disruption budget to the count, and removes what nothing needs any more. */
export const retire: Phase = async (scope, context) => {
  const { object, owner, plan } = scope;
  const { autoscaling, replicas = 1, pod } = object.spec;
  const budget = desiredDisruptionBudget(owner, autoscaling?.minReplicas ?? replicas);
  if (budget !== undefined) await context.apply(DISRUPTION_BUDGETS, budget);
  await pruneBut(context, object, DISRUPTION_BUDGETS, budget === undefined ? [] : [owner.name]);

  // Pods of an older revision may still run under the account that was made for them.
  const needsAccount = pod?.serviceAccountName === undefined || plan?.isComplete !== true;
  await pruneBut(context, object, SERVICE_ACCOUNTS, needsAccount ? [owner.name] : []);

  // A digest that a Job found out is safe once it is written on the Deployment of its revision.
  if (scope.model.kind === 'resolved') await context.prune(object, [JOBS], new Set());

  const surplus = new Set(surplusRevisions(scope.old).map(({ name }) => name));
  const kept = scope.revisions.map(({ name }) => name).filter((name) => !surplus.has(name));
  if (surplus.size > 0) await pruneBut(context, object, DEPLOYMENTS, [...kept, scope.target?.name ?? '']);
  return 'continue';
};

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
