import { setConditions } from '../../runtime/conditions.ts';
import { DONE } from '../../runtime/outcome.ts';
import type { ControllerDefinition, ReconcileContext } from '../../runtime/reconcile-context.ts';
import { keyOf } from '../../runtime/types.ts';
import {
  BY_MODEL,
  MODEL_VERSIONS,
  MODELS,
  type Model,
  mapped,
  modelKeyOf,
  watchModels,
  watchModelVersions,
} from '../kinds.ts';
import { isRecorded, type Recorded, recordMoves } from './history.ts';
import { report } from './status.ts';

/** Tells of each Model which versions there are, and who moved its aliases. */
export function modelController({ workers }: { readonly workers: number }): ControllerDefinition<Model> {
  return {
    name: 'model',
    primary: watchModels,
    owns: [],
    watches: [mapped(watchModelVersions, (version) => [modelKeyOf(version) ?? ''].filter((key) => key !== ''))],
    workers,
    reconcile: async (model, context) => {
      if (model.metadata.deletionTimestamp !== undefined) return DONE;
      const { fields, conditions } = report(model, context.cache.byIndex(MODEL_VERSIONS, BY_MODEL, keyOf(model)));
      const at = { generation: model.metadata.generation, nowMs: context.now() };
      await context.writeStatus(MODELS, model, {
        ...fields,
        ...(await historyOf(model, context)),
        conditions: [...setConditions(model.status?.conditions, conditions, at)],
      });
      return DONE;
    },
  };
}

/** Caches keep no account of who wrote what: the few Models whose aliases moved are read anew. */
async function historyOf(model: Model, { client, now, signal }: ReconcileContext): Promise<Recorded> {
  const { aliases, history } = model.status ?? {};
  if (isRecorded(model)) return { ...(aliases && { aliases }), ...(history && { history }) };
  const { managedFields } = (await client.get(MODELS, model.metadata, signal)).metadata;
  // Where the Model changed since, the status that is told of this version is refused, and it is looked at again.
  return recordMoves({ ...model, metadata: { ...model.metadata, ...(managedFields && { managedFields }) } }, now());
}
