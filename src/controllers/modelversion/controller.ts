import { setConditions } from '../../runtime/conditions.ts';
import { DONE } from '../../runtime/outcome.ts';
import type { CacheReader, ControllerDefinition, MappedWatch } from '../../runtime/reconcile-context.ts';
import { keyOf } from '../../runtime/types.ts';
import {
  BY_MODEL,
  MODEL_DEPLOYMENTS,
  MODEL_VERSIONS,
  MODELS,
  type ModelVersion,
  mapped,
  modelKeyOf,
  watchModelDeployments,
  watchModels,
  watchModelVersions,
} from '../kinds.ts';
import { report } from './status.ts';

const versionsOf = (cache: CacheReader, modelKey: string) =>
  cache.byIndex(MODEL_VERSIONS, BY_MODEL, modelKey).map(keyOf);

/** Which of those that claim one version is meant changes when one of them comes or goes: its spec never does. */
const claimingTheSame: MappedWatch<ModelVersion>['map'] = (version, cache, other) => {
  if (other?.metadata.uid === version.metadata.uid) return [];
  const siblings = cache.byIndex(MODEL_VERSIONS, BY_MODEL, modelKeyOf(version) ?? '');
  return siblings.filter(({ spec }) => spec.version === version.spec.version).map(keyOf);
};

/** Tells of each ModelVersion which aliases stand for it and what serves it. */
export function modelVersionController({ workers }: { readonly workers: number }): ControllerDefinition<ModelVersion> {
  return {
    name: 'modelversion',
    primary: watchModelVersions,
    owns: [],
    watches: [
      mapped(watchModels, (model, cache) => versionsOf(cache, keyOf(model))),
      mapped(watchModelVersions, claimingTheSame),
      mapped(watchModelDeployments, (deployment, cache) => versionsOf(cache, modelKeyOf(deployment) ?? '')),
    ],
    workers,
    reconcile: async (version, { cache, ...context }) => {
      if (version.metadata.deletionTimestamp !== undefined) return DONE;
      const key = modelKeyOf(version) ?? '';
      const { fields, conditions } = report(
        version,
        cache.get(MODELS, key),
        cache.byIndex(MODEL_VERSIONS, BY_MODEL, key),
        cache.byIndex(MODEL_DEPLOYMENTS, BY_MODEL, key),
      );
      const at = { generation: version.metadata.generation, nowMs: context.now() };
      await context.writeStatus(MODEL_VERSIONS, version, {
        ...fields,
        conditions: [...setConditions(version.status?.conditions, conditions, at)],
      });
      return DONE;
    },
  };
}
