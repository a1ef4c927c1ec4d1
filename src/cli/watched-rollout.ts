import { createLogger } from 'winston';
import { LABELS } from '../api/names.ts';
import { MODEL_DEPLOYMENTS, type ModelDeployment } from '../controllers/kinds.ts';
import { PODS, type Pod } from '../controllers/resources.ts';
import type { ApiClient } from '../runtime/api-client.ts';
import { ApiError } from '../runtime/api-error.ts';
import { systemClock } from '../runtime/clock.ts';
import { Informer, type InformerOptions } from '../runtime/informer.ts';
import { type ObjectName, objectKey } from '../runtime/types.ts';
import { CommandError } from './cluster.ts';
import type { RolloutView } from './rollout-tree.ts';

/** @throws CommandError when there is none, ApiError, ConnectionError */
export async function readModelDeployment(client: ApiClient, name: ObjectName): Promise<ModelDeployment> {
  try {
    return await client.get(MODEL_DEPLOYMENTS, name);
  } catch (error) {
    if (!(error instanceof ApiError) || !error.isNotFound) throw error;
    throw new CommandError(`there is no ModelDeployment ${name.name} in namespace ${name.namespace}`);
  }
}

export async function readRollout(client: ApiClient, name: ObjectName): Promise<RolloutView> {
  const selector = { [LABELS.modelDeployment]: name.name };
  const [object, pods] = await Promise.all([
    readModelDeployment(client, name),
    client.list(PODS, { namespace: name.namespace, selector }),
  ]);
  return { object, pods: byRevision(pods.items), nowMs: systemClock.now() };
}

/** Pods that serve; those that only resolve a digest belong to no revision. */
function byRevision(pods: readonly Pod[]): ReadonlyMap<string, readonly Pod[]> {
  const serving = pods.filter(({ metadata }) => metadata.labels?.[LABELS.revision] !== undefined);
  return Map.groupBy(serving, ({ metadata }) => metadata.labels?.[LABELS.revision] ?? '');
}

/**
 * Calls `onChange` with the rollout as it is now and whenever anything of it changed, until the signal aborts.
 * `undefined` stands for a ModelDeployment that is gone.
 */
export async function watchRollout(
  client: ApiClient,
  name: ObjectName,
  signal: AbortSignal,
  onChange: (view: RolloutView | undefined) => void,
): Promise<void> {
  const options: InformerOptions = {
    client,
    namespaces: [name.namespace],
    clock: systemClock,
    random: Math.random,
    logger: createLogger({ silent: true }),
  };
  const objects = new Informer({ resource: MODEL_DEPLOYMENTS }, options);
  const pods = new Informer({ resource: PODS, selector: { [LABELS.modelDeployment]: name.name } }, options);
  const tell = () => {
    if (!objects.hasSynced || !pods.hasSynced) return;
    const object = objects.get(objectKey(name));
    onChange(object && { object, pods: byRevision(pods.list()), nowMs: systemClock.now() });
  };
  for (const informer of [objects, pods]) {
    informer.onChange(tell);
    informer.start(signal);
  }
  await Promise.all([objects.synced, pods.synced]);
  tell();
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
