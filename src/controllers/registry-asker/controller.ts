import { LABELS, REGISTRY_NAME } from '../../api/names.ts';
import { DONE, type Result } from '../../runtime/outcome.ts';
import type { ControllerDefinition, ReconcileContext } from '../../runtime/reconcile-context.ts';
import { type KubeObject, type OwnerReference, objectKey } from '../../runtime/types.ts';
import { MODEL_DEPLOYMENTS, type ModelDeployment, mapped, watchModelDeployments } from '../kinds.ts';
import {
  watchConfigMaps,
  watchDeployments,
  watchRoleBindings,
  watchServiceAccounts,
} from '../modeldeployment/caching.ts';
import { makeFor, representativeOf, sharedReference, toRepresentative } from '../namespaces.ts';
import { CONFIG_MAPS, type ConfigMap, DEPLOYMENTS, ROLE_BINDINGS, SERVICE_ACCOUNTS } from '../resources.ts';
import { ASKER_LABEL, type Asker, answerKey, askersOf, asksOutside, failureKey } from './asker.ts';
import {
  desiredAnswers,
  desiredAskerAccount,
  desiredAskerDeployment,
  desiredAskerRoleBinding,
  type RegistrySettings,
} from './desired.ts';

/** Keeps in each namespace what asks outside registries there. */
export function registryAskerController(settings: RegistrySettings): ControllerDefinition<ModelDeployment> {
  const ofAskers = toRepresentative(isOfAskers);
  return {
    name: 'registry-asker',
    primary: watchModelDeployments,
    owns: [],
    watches: [
      mapped(watchModelDeployments, toRepresentative()),
      mapped(watchConfigMaps, ofAskers),
      mapped(watchDeployments, ofAskers),
      mapped(watchServiceAccounts, ofAskers),
      mapped(watchRoleBindings, ofAskers),
    ],
    reconcile: (object, context) => reconcile(object, context, settings),
  };
}

/** By label what is theirs under a name of its own; by name also what stands in their way. */
function isOfAskers({ metadata }: KubeObject): boolean {
  return metadata.name === REGISTRY_NAME || metadata.labels?.[LABELS.name] === REGISTRY_NAME;
}

async function reconcile(
  { metadata: { namespace } }: ModelDeployment,
  context: ReconcileContext,
  settings: RegistrySettings,
): Promise<Result> {
  const { cache } = context;
  if (!representativeOf(cache, namespace).includes(context.key)) return DONE;
  const users = cache.list(MODEL_DEPLOYMENTS, namespace).filter(asksOutside);
  const askers = askersOf(users, settings.image);
  await removeOthers(namespace, askers, context);
  if (askers.length === 0) return DONE;
  const answers = await makeFor(users, context, () => make(namespace, users, askers, context, settings));
  await forgetAnswers(answers, askers, context);
  return DONE;
}

/** @returns the ConfigMap of the answers */
async function make(
  namespace: string,
  users: readonly ModelDeployment[],
  askers: readonly Asker[],
  context: ReconcileContext,
  settings: RegistrySettings,
): Promise<ConfigMap> {
  const answers = await context.apply<ConfigMap>(
    CONFIG_MAPS,
    desiredAnswers(namespace, users.map(sharedReference).sort(byName)),
  );
  const { apiVersion, kind, metadata } = answers;
  const owner: OwnerReference = { apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '', controller: true };
  const accounts = [...new Set(askers.map(({ serviceAccountName }) => serviceAccountName))].sort();
  await Promise.all([
    ...(accounts.includes(REGISTRY_NAME)
      ? [context.apply(SERVICE_ACCOUNTS, desiredAskerAccount(namespace, owner))]
      : []),
    context.apply(ROLE_BINDINGS, desiredAskerRoleBinding(namespace, owner, accounts, settings)),
    ...askers.map((asker) => {
      const owners = asker.users.map(sharedReference).sort(byName);
      return context.apply(DEPLOYMENTS, desiredAskerDeployment(namespace, owners, asker));
    }),
  ]);
  return answers;
}

/** Those that nobody needs any more; what stands around them goes with the ConfigMap. */
async function removeOthers(
  namespace: string,
  askers: readonly Asker[],
  { cache, client }: ReconcileContext,
): Promise<void> {
  const needed = new Set(askers.map(({ name }) => name));
  const isGoing = ({ metadata }: KubeObject) => metadata.deletionTimestamp !== undefined;
  for (const deployment of cache.list(DEPLOYMENTS, namespace)) {
    const { labels, name, uid } = deployment.metadata;
    if (labels?.[ASKER_LABEL] === undefined || needed.has(name) || isGoing(deployment)) continue;
    await client.delete(DEPLOYMENTS, deployment.metadata, { uid });
  }
  const answers = cache.get(CONFIG_MAPS, objectKey({ namespace, name: REGISTRY_NAME }));
  if (askers.length > 0 || answers === undefined || isGoing(answers)) return;
  await client.delete(CONFIG_MAPS, answers.metadata, { uid: answers.metadata.uid });
}

/** Answers to questions that nobody asks any more would be there when somebody asks again, and be old. */
async function forgetAnswers(
  { metadata, data }: ConfigMap,
  askers: readonly Asker[],
  { client }: ReconcileContext,
): Promise<void> {
  const wanted = new Set(
    askers.flatMap(({ id, users }) => [
      failureKey(id),
      ...users.map(({ spec }) => answerKey(id, spec.model.uri ?? '')),
    ]),
  );
  const stale = Object.keys(data ?? {}).filter((key) => !wanted.has(key));
  if (stale.length === 0) return;
  await client.mergePatch(CONFIG_MAPS, metadata, { data: Object.fromEntries(stale.map((key) => [key, null])) });
}

function byName(a: OwnerReference, b: OwnerReference): number {
  return a.name < b.name ? -1 : 1;
}
