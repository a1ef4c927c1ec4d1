import { LABELS, ROUTER_NAME } from '../../api/names.ts';
import type { DesiredObject } from '../../runtime/apply.ts';
import { DONE, type Result } from '../../runtime/outcome.ts';
import type { ControllerDefinition, ReconcileContext } from '../../runtime/reconcile-context.ts';
import { type KubeObject, type OwnerReference, objectKey, type Resource } from '../../runtime/types.ts';
import { type ModelDeployment, mapped, watchModelDeployments } from '../kinds.ts';
import {
  watchAutoscalers,
  watchConfigMaps,
  watchDeployments,
  watchDisruptionBudgets,
  watchRoleBindings,
  watchServiceAccounts,
} from '../modeldeployment/caching.ts';
import { makeFor, representativeOf, toRepresentative } from '../namespaces.ts';
import { AUTOSCALERS, DEPLOYMENTS, DISRUPTION_BUDGETS, ROLE_BINDINGS, SERVICE_ACCOUNTS } from '../resources.ts';
import {
  desiredRouterAccount,
  desiredRouterAutoscaler,
  desiredRouterDeployment,
  desiredRouterDisruptionBudget,
  desiredRouterRoleBinding,
  type RouterSettings,
} from './desired.ts';
import { usersOf } from './users.ts';

/** Keeps the routers of each namespace for as long as a ModelDeployment there needs them. */
export function routerController(settings: RouterSettings): ControllerDefinition<ModelDeployment> {
  const representative = toRepresentative();
  const ofRouters = toRepresentative(isOfRouters);
  return {
    name: 'router',
    primary: watchModelDeployments,
    owns: [],
    watches: [
      // A change of any other one concerns the namespace too.
      mapped(watchModelDeployments, representative),
      mapped(watchConfigMaps, representative),
      mapped(watchDeployments, ofRouters),
      mapped(watchServiceAccounts, ofRouters),
      mapped(watchRoleBindings, ofRouters),
      mapped(watchAutoscalers, ofRouters),
      mapped(watchDisruptionBudgets, ofRouters),
    ],
    reconcile: (object, context) => reconcile(object, context, settings),
  };
}

/** By label what is theirs under a name of its own; by name also what stands in their way. */
function isOfRouters({ metadata }: KubeObject): boolean {
  return metadata.name === ROUTER_NAME || metadata.labels?.[LABELS.name] === ROUTER_NAME;
}

async function reconcile(
  { metadata: { namespace } }: ModelDeployment,
  context: ReconcileContext,
  settings: RouterSettings,
): Promise<Result> {
  if (!representativeOf(context.cache, namespace).includes(context.key)) return DONE;
  const users = usersOf(context.cache, namespace);
  if (users.length === 0) return await remove(namespace, context);
  await makeFor(users, context, () => make(namespace, users, context, settings));
  return DONE;
}

async function make(
  namespace: string,
  users: readonly ModelDeployment[],
  context: ReconcileContext,
  settings: RouterSettings,
): Promise<void> {
  const deployment = await context.apply(DEPLOYMENTS, desiredRouterDeployment(namespace, users, settings));
  const { apiVersion, kind, metadata } = deployment;
  const owner: OwnerReference = { apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '', controller: true };
  const around: readonly (readonly [Resource, DesiredObject])[] = [
    [SERVICE_ACCOUNTS, desiredRouterAccount(namespace, owner)],
    [ROLE_BINDINGS, desiredRouterRoleBinding(namespace, owner, settings)],
    [AUTOSCALERS, desiredRouterAutoscaler(namespace, owner, settings)],
    [DISRUPTION_BUDGETS, desiredRouterDisruptionBudget(namespace, owner)],
  ];
  await Promise.all(around.map(([resource, desired]) => context.apply(resource, desired)));
}

/** The garbage collector removes what stands around the Deployment with it. */
async function remove(namespace: string, { cache, client }: ReconcileContext): Promise<Result> {
  const deployment = cache.get(DEPLOYMENTS, objectKey({ namespace, name: ROUTER_NAME }));
  if (deployment === undefined || deployment.metadata.deletionTimestamp !== undefined) return DONE;
  await client.delete(DEPLOYMENTS, deployment.metadata, { uid: deployment.metadata.uid });
  return DONE;
}
