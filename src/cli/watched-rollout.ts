import { createLogger } from 'winston';
import { LABELS } from '../api/names.ts';
import { MODEL_DEPLOYMENTS, type ModelDeployment } from '../controllers/kinds.ts';
import { PODS, type Pod } from '../controllers/resources.ts';
import type { ApiClient } from '../runtime/api-client.ts';
import { ApiError } from '../runtime/api-error.ts';
import { type Clock, sleep, systemClock } from '../runtime/clock.ts';
import { Informer, type InformerOptions } from '../runtime/informer.ts';
import { type ObjectName, objectKey } from '../runtime/types.ts';
import { CommandError, sentenceOf } from './cluster.ts';
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

/** How often the API server is asked whether it is still there: of a watch, silence does not tell. */
const ASK_EVERY_MS = 5_000;

export interface RolloutWatcher {
  /** The rollout as it is now: at first, and whenever anything of it changed. `undefined`: the ModelDeployment is gone. */
  changed(view: RolloutView | undefined): void;
  /** From now on the rollout cannot be read, and why; `undefined`: it can again. */
  lost?(problem: string | undefined): void;
}

/** Follows a rollout until the signal aborts. */
export async function watchRollout(
  client: ApiClient,
  name: ObjectName,
  signal: AbortSignal,
  watcher: RolloutWatcher,
  clock: Clock = systemClock,
): Promise<void> {
  const options: InformerOptions = {
    client,
    namespaces: [name.namespace],
    clock,
    random: Math.random,
    logger: createLogger({ silent: true }),
  };
  const objects = new Informer({ resource: MODEL_DEPLOYMENTS }, options);
  const pods = new Informer({ resource: PODS, selector: { [LABELS.modelDeployment]: name.name } }, options);
  const tell = () => {
    if (signal.aborted || !objects.hasSynced || !pods.hasSynced) return;
    const object = objects.get(objectKey(name));
    watcher.changed(object && { object, pods: byRevision(pods.list()), nowMs: clock.now() });
  };
  for (const informer of [objects, pods]) {
    informer.onChange(tell);
    informer.start(signal);
  }
  // Not waited for: where one of them may not be listed, that never comes.
  void Promise.all([objects.synced, pods.synced]).then(tell);
  await askUntil(signal, client, name, watcher, clock);
}

async function askUntil(
  signal: AbortSignal,
  client: ApiClient,
  name: ObjectName,
  watcher: RolloutWatcher,
  clock: Clock,
): Promise<void> {
  let before: string | undefined;
  for (await sleep(clock, ASK_EVERY_MS, signal); !signal.aborted; await sleep(clock, ASK_EVERY_MS, signal)) {
    const problem = await problemOf(readRollout(client, name));
    if (problem !== before && !signal.aborted) watcher.lost?.(problem);
    before = problem;
  }
}

/** A ModelDeployment that is gone is told by the watch. */
const problemOf = (reading: Promise<unknown>): Promise<string | undefined> =>
  reading.then(
    () => undefined,
    (error: unknown) => (error instanceof CommandError ? undefined : sentenceOf(error)),
  );
