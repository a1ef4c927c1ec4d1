/** What is true of a ModelVersion: which aliases stand for it, and what serves it. Pure. */
import { MAX_SERVED_BY, type ModelVersionStatus } from '../../api/v1alpha1/model-version.ts';
import type { ConditionUpdate } from '../../runtime/conditions.ts';
import type { Model, ModelDeployment, ModelVersion } from '../kinds.ts';

export interface ModelVersionReport {
  readonly fields: Omit<ModelVersionStatus, 'conditions'>;
  readonly conditions: readonly ConditionUpdate[];
}

/**
 * @param siblings all ModelVersions of the same Model, this one among them
 * @param deployments ModelDeployments that refer to the Model
 */
export function report(
  version: ModelVersion,
  model: Model | undefined,
  siblings: readonly ModelVersion[],
  deployments: readonly ModelDeployment[],
): ModelVersionReport {
  const aliases = Object.entries(model?.spec.aliases ?? {})
    .filter(([, target]) => target === version.spec.version)
    .map(([alias]) => alias)
    .sort();
  const servedBy = deployments
    .filter((deployment) => serves(deployment, version.spec.version))
    .map(({ kind, metadata }) => ({ kind, name: metadata.name }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .slice(0, MAX_SERVED_BY);
  return { fields: { aliases, servedBy }, conditions: [meant(version, siblings)] };
}

function serves({ status }: ModelDeployment, version: string): boolean {
  return [status?.stable, status?.canary].some((revision) => revision?.version === version && revision.ready > 0);
}

/** Of two objects that claim one version the first made is meant. */
function meant(version: ModelVersion, siblings: readonly ModelVersion[]): ConditionUpdate {
  const age = ({ metadata }: ModelVersion) => `${metadata.creationTimestamp ?? ''}/${metadata.name}`;
  const first = siblings
    .filter(({ spec }) => spec.version === version.spec.version)
    .sort((a, b) => (age(a) < age(b) ? -1 : 1))[0];
  if (first === undefined || first.metadata.name === version.metadata.name) {
    return {
      type: 'Accepted',
      status: 'True',
      reason: 'Accepted',
      message: 'references to the version mean this object',
    };
  }
  const { model, version: number } = version.spec;
  const message = `ModelVersion ${first.metadata.name} was version ${number} of ${model} before; delete one of the two`;
  return { type: 'Accepted', status: 'False', reason: 'DuplicateVersion', message };
}
