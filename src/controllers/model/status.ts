/** What is true of a Model: how many versions there are, the latest, and whether its aliases stand for any. Pure. */
import type { ModelStatus } from '../../api/v1alpha1/model.ts';
import type { ConditionUpdate } from '../../runtime/conditions.ts';
import type { Model, ModelVersion } from '../kinds.ts';

export interface ModelReport {
  readonly fields: Omit<ModelStatus, 'conditions'>;
  readonly conditions: readonly ConditionUpdate[];
}

export function report(model: Model, versions: readonly ModelVersion[]): ModelReport {
  const { generation } = model.metadata;
  const latest = latestOf(versions)?.spec.version;
  return {
    fields: {
      ...(generation !== undefined && { observedGeneration: generation }),
      ...(latest && { latest }),
      versions: new Set(versions.map(({ spec }) => spec.version)).size,
    },
    conditions: [aliasesResolved(model, versions)],
  };
}

/** Versions are often applied together, in the same second: then by what they are called, 9 before 10. */
const byNumber = new Intl.Collator('en', { numeric: true });

function latestOf(versions: readonly ModelVersion[]): ModelVersion | undefined {
  const madeAt = ({ metadata }: ModelVersion) => metadata.creationTimestamp ?? '';
  return versions.toSorted(
    (a, b) =>
      byNumber.compare(madeAt(b), madeAt(a)) ||
      byNumber.compare(b.spec.version, a.spec.version) ||
      byNumber.compare(b.metadata.name, a.metadata.name),
  )[0];
}

function aliasesResolved(model: Model, versions: readonly ModelVersion[]): ConditionUpdate {
  const known = new Set(versions.map(({ spec }) => spec.version));
  const missing = Object.entries(model.spec.aliases)
    .filter(([, version]) => !known.has(version))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  if (missing.length === 0) {
    const message = 'every alias stands for a version that exists';
    return { type: 'AliasesResolved', status: 'True', reason: 'Resolved', message };
  }
  const list = missing.map(([alias, version]) => `${alias} (${version})`).join(', ');
  const message = `aliases that stand for versions without a ModelVersion: ${list}`;
  return { type: 'AliasesResolved', status: 'False', reason: 'VersionNotFound', message };
}
