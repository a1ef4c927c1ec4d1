import { createHash } from 'node:crypto';
import type { Logger } from 'winston';
import type { ApiClient, Manifest } from './api-client.ts';
import { ApiError } from './api-error.ts';
import { ownsAll } from './field-ownership.ts';
import { TerminalError, WaitingError } from './outcome.ts';
import {
  apiVersionOf,
  controllerOf,
  type KubeObject,
  keyOf,
  type ObjectMeta,
  type Resource,
  resourceName,
} from './types.ts';

/** The fields that the operator wants of an object, and no others. `apiVersion` and `kind` come from the resource. */
export interface DesiredObject {
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** An object of the desired name exists and is controlled by something else, or by nothing. */
export class OwnershipError extends TerminalError {
  readonly object: string;

  constructor(object: string, owner: string) {
    super(`${object} already exists and belongs to ${owner}; delete or rename one of the two`);
    this.object = object;
  }
}

/** Keeps objects in the cache up to what writes answer. */
export interface LiveObjects<T extends KubeObject> {
  get(key: string): T | undefined;
  /** @param isPartial only a part of the object was answered: the rest of it may be older than its version */
  observe(object: T, options?: { readonly isPartial?: boolean }): T;
}

/** How long until an object that is going away is looked at again, beside the event of its deletion. */
const TERMINATING_RETRY_MS = 5_000;

/** No object has it: what is applied with it is created, and is a conflict with whatever exists of that name. */
const NONE_EXISTS = '1';

/**
 * Server-side apply that asks the API server nothing when the live object is as desired. That is so when it was last
 * applied from the same manifest (its hash is an annotation on the object, so a restarted operator knows) and nobody
 * has taken a field since (see `ownsAll`).
 */
export class Applier {
  readonly #client: ApiClient;
  readonly #hashAnnotation: string;
  /**
   * Objects, by uid, of which the server keeps less than was applied: a field it does not know or that a feature gate
   * turns off. They are as desired as they can be; applying them again for ever would change nothing.
   */
  readonly #incomplete = new Map<string, { readonly hash: string; readonly fields: string }>();

  constructor(client: ApiClient, hashAnnotation: string) {
    this.#client = client;
    this.#hashAnnotation = hashAnnotation;
  }

  /**
   * A `metadata.resourceVersion` fences the write; Conflict when the object changed since.
   * @throws OwnershipError, WaitingError while the object of this name is being deleted, ApiError, ConnectionError.
   */
  async apply<T extends KubeObject>(
    resource: Resource<T>,
    desired: DesiredObject,
    cache: LiveObjects<T>,
    log: Logger,
  ): Promise<T> {
    const hash = manifestHash(desired);
    const manifest = this.#manifest(resource, desired, hash);
    const live = cache.get(keyOf(desired));
    const label = `${resourceName(resource)} ${keyOf(desired)}`;
    if (live !== undefined) {
      claim(label, desired, live, this.#client.fieldManager);
      if (this.isAsApplied(manifest, live, hash)) return live;
    }
    const written = await this.#write(resource, label, manifest, live === undefined, cache);
    log.debug(`applied ${label}`, { created: live === undefined });
    this.#rememberIncomplete(label, manifest, written, hash, log);
    return written;
  }

  /** Whether nothing needs to be written. */
  isAsApplied(manifest: Manifest, live: KubeObject, hash: string): boolean {
    if (live.metadata.annotations?.[this.#hashAnnotation] !== hash) return false;
    if (ownsAll(manifest, live, this.#client.fieldManager)) return true;
    const incomplete = this.#incomplete.get(live.metadata.uid ?? '');
    return incomplete?.hash === hash && incomplete.fields === ownFields(live);
  }

  async #write<T extends KubeObject>(
    resource: Resource<T>,
    label: string,
    manifest: Manifest,
    isNew: boolean,
    cache: LiveObjects<T>,
  ): Promise<T> {
    if (!isNew) return cache.observe(await this.#client.apply(resource, manifest, true));
    // What the cache does not know may still exist, as someone else's, and where no field differs nothing would conflict.
    const created = { ...manifest, metadata: { ...manifest.metadata, resourceVersion: NONE_EXISTS } };
    try {
      return cache.observe(await this.#client.apply(resource, created, true));
    } catch (error) {
      if (!(error instanceof ApiError) || !error.isConflict) throw error;
    }
    const live = await this.#client.get(resource, manifest.metadata);
    claim(label, manifest, live, this.#client.fieldManager);
    return cache.observe(await this.#client.apply(resource, manifest, true));
  }

  #manifest(resource: Resource, desired: DesiredObject, hash: string): Manifest {
    const annotations = { ...desired.metadata.annotations, [this.#hashAnnotation]: hash };
    return {
      ...desired,
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      metadata: { ...desired.metadata, annotations },
    };
  }

  #rememberIncomplete(label: string, manifest: Manifest, live: KubeObject, hash: string, log: Logger): void {
    const uid = live.metadata.uid ?? '';
    if (ownsAll(manifest, live, this.#client.fieldManager)) {
      this.#incomplete.delete(uid);
      return;
    }
    this.#incomplete.set(uid, { hash, fields: ownFields(live) });
    log.warn(`the API server does not keep all fields of ${label}; it may be too old to know them`);
  }

  /** The object is gone: nothing needs to be remembered of it. */
  forget(uid: string): void {
    this.#incomplete.delete(uid);
  }
}

/**
 * Returns when the live object is the one that is meant, or one of ours that its owner left behind.
 * @throws WaitingError when it goes, by itself or with an earlier owner of the same name; OwnershipError when it is foreign.
 */
export function claim(label: string, desired: DesiredObject, live: KubeObject, fieldManager: string): void {
  if (live.metadata.deletionTimestamp !== undefined) {
    throw new WaitingError(`${label} is still being deleted`, TERMINATING_RETRY_MS);
  }
  const wanted = controllerOf(desired);
  const actual = controllerOf(live);
  if (wanted === undefined) {
    // Shared by several owners, none of which controls it: then its making alone tells whose it is.
    const isShared = (desired.metadata.ownerReferences ?? []).length > 0;
    if (!isShared || (actual === undefined && isLeftBehind(desired, live, fieldManager))) return;
    throw new OwnershipError(label, actual === undefined ? 'nobody' : `${actual.kind} ${actual.name}`);
  }
  if (actual?.uid === wanted.uid) return;
  if (actual !== undefined && actual.kind === wanted.kind && actual.name === wanted.name) {
    const earlier = `an earlier ${actual.kind} ${actual.name} and is still to be deleted with it`;
    throw new WaitingError(`${label} belongs to ${earlier}`, TERMINATING_RETRY_MS);
  }
  if (actual === undefined && isLeftBehind(desired, live, fieldManager)) return;
  throw new OwnershipError(label, actual === undefined ? 'nobody' : `${actual.kind} ${actual.name}`);
}

/** Made by us for an owner of this name that was deleted without it (`--cascade=orphan`): both sides of its making tell. */
function isLeftBehind(desired: DesiredObject, live: KubeObject, fieldManager: string): boolean {
  const isOurs = live.metadata.managedFields?.some(
    ({ manager, operation, subresource = '' }) =>
      manager === fieldManager && operation === 'Apply' && subresource === '',
  );
  const labels = Object.entries(desired.metadata.labels ?? {});
  return isOurs === true && labels.length > 0 && labels.every(([key, value]) => live.metadata.labels?.[key] === value);
}

function ownFields(live: KubeObject): string {
  return JSON.stringify(live.metadata.managedFields?.[0]?.fieldsV1 ?? {});
}

/** A hash of what is wanted, the same for any order of keys and whatever version it was wanted of. */
export function manifestHash(desired: DesiredObject): string {
  const { resourceVersion: _fence, ...metadata } = desired.metadata;
  return createHash('sha256')
    .update(canonicalJson({ ...desired, metadata }))
    .digest('hex')
    .slice(0, 32);
}

/** JSON with sorted keys and without undefined members. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`);
  return `{${members.join(',')}}`;
}
