/** Which bytes `spec.model` means: decided from the registry's objects and from what earlier revisions were pinned to. */

import { own } from '../../api/own.ts';
import { parseModelsUri, type RegistryAnswer } from '../../api/registry-answers.ts';
import type { ModelSource } from '../../api/v1alpha1/model-source.ts';
import { withoutSecrets } from '../../api/without-secrets.ts';
import { type Revision, sourceHash } from './revision.ts';
import type { ResolvedModel } from './types.ts';

export interface RegistryModel {
  readonly spec: { readonly aliases?: Readonly<Record<string, string>> };
}

export interface RegistryVersion {
  readonly metadata: { readonly name: string; readonly creationTimestamp?: string };
  readonly spec: { readonly model: string; readonly version: string; readonly uri: string; readonly sha256?: string };
}

export interface Registry {
  model(name: string): RegistryModel | undefined;
  versions(model: string): readonly RegistryVersion[];
  /** What an outside registry answered last for a `models:/` URI; undefined while it has not. */
  answer(uri: string): RegistryAnswer | undefined;
}

export type Resolution =
  | { readonly kind: 'resolved'; readonly model: ResolvedModel }
  /** Only a download tells the digest. */
  | { readonly kind: 'digest-unknown'; readonly uri: string; readonly version?: string }
  /** The outside registry has not answered yet. `pinned` as below. */
  | { readonly kind: 'unanswered'; readonly uri: string; readonly pinned?: ResolvedModel }
  /** The registry does not have it. `pinned`: what the same reference meant before, and goes on meaning. */
  | { readonly kind: 'missing'; readonly message: string; readonly pinned?: ResolvedModel };

/**
 * @param revisions newest first
 * @param current what it meant when status was last written: an alias may have gone back to an older revision
 */
export function resolveSource(
  source: ModelSource,
  registry: Registry,
  revisions: readonly Revision[],
  current: Partial<ResolvedModel> = {},
): Resolution {
  const written = sourceHash(source);
  const meant = revisions.filter((revision) => revision.source === written).flatMap(({ model }) => model ?? []);
  const pinned = (matches: (model: ResolvedModel) => boolean) => meant.find(matches);
  const last = meant.find((model) => isSame(model, current)) ?? meant[0];
  const outside = source.uri === undefined ? undefined : parseModelsUri(source.uri);
  if (source.uri !== undefined && outside !== undefined) {
    const answer = registry.answer(source.uri);
    const before = last && { pinned: last };
    if (answer === undefined) return { kind: 'unanswered', uri: source.uri, ...before };
    if (answer.kind === 'missing') return { kind: 'missing', message: answer.message, ...before };
    return located(answer, source.sha256, pinned);
  }
  if (source.uri !== undefined) {
    const { uri, sha256 } = source;
    if (sha256 !== undefined) return { kind: 'resolved', model: { uri, sha256 } };
    const known = pinned(() => true);
    return known === undefined ? { kind: 'digest-unknown', uri } : { kind: 'resolved', model: known };
  }
  const found = findVersion(source, registry);
  if (typeof found === 'string') return { kind: 'missing', message: found, ...(last && { pinned: last }) };
  return located(found.spec, found.spec.sha256, pinned);
}

/** A version whose place is known; its digest is the one given, or that of a revision which was pinned to it. */
function located(
  { uri, version }: { readonly uri: string; readonly version: string },
  sha256: string | undefined,
  pinned: (matches: (model: ResolvedModel) => boolean) => ResolvedModel | undefined,
): Resolution {
  if (sha256 !== undefined) return { kind: 'resolved', model: { uri, sha256, version } };
  const known = pinned((model) => model.uri === uri && model.version === version);
  return known === undefined ? { kind: 'digest-unknown', uri, version } : { kind: 'resolved', model: known };
}

/** Whether status, which shows no secrets, tells of this model. */
function isSame(model: ResolvedModel, { uri, sha256, version }: Partial<ResolvedModel>): boolean {
  return withoutSecrets(model.uri) === uri && model.sha256 === sha256 && model.version === version;
}

/** The endpoint at which pods read a model from `place`: a tracking server hands out only what it keeps itself. */
export function endpointFor({ uri, endpoint }: ModelSource, place: string): string | undefined {
  const isTrackingServer = uri !== undefined && parseModelsUri(uri) !== undefined;
  return isTrackingServer && !place.startsWith('mlflow-artifacts:') ? undefined : endpoint;
}

/** The ModelVersion that a reference means, or a sentence that says what is missing and what there is. */
function findVersion({ ref }: ModelSource, registry: Registry): RegistryVersion | string {
  if (ref === undefined) return 'neither uri nor ref is given';
  const wanted = ref.version ?? aliasTarget(ref.model, ref.alias ?? '', registry);
  if (typeof wanted === 'object') return wanted.message;
  const versions = registry.versions(ref.model);
  const matching = versions.filter(({ spec }) => spec.version === wanted);
  const by = ref.alias === undefined ? '' : `, which alias ${ref.alias} stands for,`;
  return (
    oldest(matching) ??
    `version ${wanted} of Model ${ref.model}${by} has no ModelVersion; there are ${listed(versions.map(({ spec }) => spec.version))}`
  );
}

function aliasTarget(name: string, alias: string, registry: Registry): string | { readonly message: string } {
  const model = registry.model(name);
  if (model === undefined) return { message: `Model ${name} does not exist in the namespace` };
  const aliases = model.spec.aliases ?? {};
  return (
    own(aliases, alias) ?? {
      message: `Model ${name} has no alias ${alias}; it has ${listed(Object.keys(aliases))}`,
    }
  );
}

/** Two objects may claim one version; the first made stays the one that is meant. */
function oldest(versions: readonly RegistryVersion[]): RegistryVersion | undefined {
  const age = ({ metadata }: RegistryVersion) => `${metadata.creationTimestamp ?? ''}/${metadata.name}`;
  return [...versions].sort((a, b) => (age(a) < age(b) ? -1 : 1))[0];
}

function listed(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  const shown = [...names].sort().slice(0, 10);
  return names.length > shown.length ? `${shown.join(', ')} and ${names.length - shown.length} more` : shown.join(', ');
}
