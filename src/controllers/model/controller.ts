import { setConditions } from '../../runtime/conditions.ts';
import { DONE } from '../../runtime/outcome.ts';
import type { ControllerDefinition } from '../../runtime/reconcile-context.ts';
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
import { report } from './status.ts';

/** Tells of each Model which versions there are. */
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
        conditions: [...setConditions(model.status?.conditions, conditions, at)],
      });
      return DONE;
    },
  };
}
