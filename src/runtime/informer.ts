import type { Logger } from 'winston';
import type { ApiClient, WatchEvent } from './api-client.ts';
import type { ApiError } from './api-error.ts';
import type { Clock } from './clock.ts';
import { compactOwnFields } from './field-ownership.ts';
import { describeError } from './outcome.ts';
import type { Watch } from './reconcile-context.ts';
import { Reflector } from './reflector.ts';
import { NAMESPACE_INDEX, OWNER_INDEX, Store } from './store.ts';
import {
  compareResourceVersions,
  type KubeObject,
  keyOf,
  matchesSelector,
  type ObjectKey,
  resourceName,
} from './types.ts';

/** Something happened to an object: it appeared (`new`), changed (both), or went away (`old`). */
export interface Change<T extends KubeObject> {
  readonly old?: T;
  readonly new?: T;
  /** Nothing new is known: the object was listed at the start, or everything is looked at again. */
  readonly routine: boolean;
}

export type ChangeHandler<T extends KubeObject> = (change: Change<T>) => void;

export interface InformerOptions {
  readonly client: ApiClient;
  /** `undefined` in it means all namespaces. */
  readonly namespaces: readonly (string | undefined)[];
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

/** One collection in one namespace scope: how far the informer has seen it. */
interface Scope {
  readonly namespace: string | undefined;
  /** The newest version seen; what is older has been told. */
  resourceVersion: string | undefined;
  synced: boolean;
  /** The server forbids to list it, as in a namespace that was deleted together with our rights in it. */
  forbidden: boolean;
  /** The server does not have the kind, or not for us: there are no objects. Only of an optional watch. */
  absent: boolean;
}

/**
 * A cache of one resource that follows the API server. It never goes back in time: an object that a write answered
 * (`observe`) is not replaced by an older one from the watch.
 */
export class Informer<T extends KubeObject> {
  readonly watch: Watch<T>;
  readonly #options: InformerOptions;
  readonly #store: Store<T>;
  readonly #scopes: readonly Scope[];
  /** Objects of which only a part was ever known at their version. */
  readonly #partial = new WeakSet<T>();
  readonly #handlers: ChangeHandler<T>[] = [];
  readonly #synced = Promise.withResolvers<void>();
  #reflectors: readonly Reflector<T>[] = [];
  #running: Promise<unknown> | undefined;

  constructor(watch: Watch<T>, options: InformerOptions) {
    this.watch = watch;
    this.#options = options;
    this.#store = new Store<T>(watch.indexes);
    const namespaces = watch.resource.namespaced ? options.namespaces : [undefined];
    this.#scopes = namespaces.map((namespace) => ({
      namespace,
      resourceVersion: undefined,
      synced: false,
      forbidden: false,
      absent: false,
    }));
  }

  /**
   * Everything was listed once. One of several namespaces that is forbidden does not hold up the others; when all are,
   * it is our rights that are wrong.
   */
  get hasSynced(): boolean {
    const settled = (scope: Scope): boolean => scope.synced || (scope.forbidden && scope.namespace !== undefined);
    return this.#scopes.every(settled) && this.#scopes.some((scope) => scope.synced);
  }

  /** Collections that were not listed yet or may no longer be, of one namespace or of all. */
  unlisted(namespace?: string): readonly string[] {
    return this.#scopes
      .filter((scope) => namespace === undefined || scope.namespace === undefined || scope.namespace === namespace)
      .filter((scope) => !scope.synced || scope.forbidden)
      .map((scope) => `${this.#nameOf(scope)}${scope.forbidden ? ' (forbidden)' : ''}`);
  }

  /** Whether the API server has the kind, as far as it has been asked. */
  get isInstalled(): boolean {
    return this.#scopes.every((scope) => scope.synced && !scope.absent);
  }

  /** Asks again soon whether a kind that was not installed is now. */
  lookAgain(): void {
    for (const reflector of this.#reflectors) reflector.lookAgain();
  }

  /** Resolves when `hasSynced`. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  get size(): number {
    return this.#store.size;
  }

  onChange(handler: ChangeHandler<T>): void {
    this.#handlers.push(handler);
  }

  /** Follows the API server until `signal` aborts. */
  start(signal: AbortSignal): void {
    if (this.#running !== undefined)
      throw new Error(`the informer of ${resourceName(this.watch.resource)} already runs`);
    const { client, clock, random, logger } = this.#options;
    const { resource, selector, optional = false } = this.watch;
    this.#reflectors = this.#scopes.map((scope) => {
      const target = {
        listed: (object: T, version: string) => this.#listed(object, version, scope),
        listedAll: (keys: ReadonlySet<ObjectKey>, version: string) => this.#listedAll(scope, keys, version),
        watched: (event: WatchEvent<T>) => this.#watched(scope, event),
        forbidden: (error: ApiError) => this.#forbidden(scope, error),
        ...(optional && { absent: () => this.#absent(scope) }),
      };
      return new Reflector({ client, resource, selector, namespace: scope.namespace, clock, random, logger, target });
    });
    this.#running = Promise.all(this.#reflectors.map((reflector) => reflector.run(signal)));
  }

  /** Resolves when nothing of a stopped informer runs any more. */
  async stopped(): Promise<void> {
    await this.#running;
  }

  get(key: ObjectKey): T | undefined {
    return this.#store.get(key);
  }

  list(namespace?: string): readonly T[] {
    return namespace === undefined ? [...this.#store.values()] : this.#store.byIndex(NAMESPACE_INDEX, namespace);
  }

  ownedBy(uid: string): readonly T[] {
    return this.#store.byIndex(OWNER_INDEX, uid);
  }

  byIndex(index: string, value: string): readonly T[] {
    return this.#store.byIndex(index, value);
  }

  /**
   * Takes what a write answered into the cache at once, so that the next look does not see the time before it.
   * Answers the object as the cache keeps it.
   * @param isPartial only a part of the object was answered: the watch has news of it though its version is known
   */
  observe(object: T, { isPartial = false }: { readonly isPartial?: boolean } = {}): T {
    const compact = this.#compact(object);
    const scope = this.#scopeOf(object);
    // If the watch is past this version, it has told all of it, a deletion too: the object must not come back.
    const told = compareResourceVersions(object.metadata.resourceVersion, scope?.resourceVersion) <= 0;
    const selected = this.watch.selector === undefined || matchesSelector(this.watch.selector, object);
    if (scope !== undefined && !told && selected) this.#put(compact, false);
    if (isPartial) this.#partial.add(compact);
    return compact;
  }

  /** Tells the handlers about every object again. */
  resync(): void {
    for (const object of [...this.#store.values()]) this.#tell({ old: object, new: object, routine: true });
  }

  #scopeOf(object: T): Scope | undefined {
    return this.#scopes.find((scope) => scope.namespace === undefined || scope.namespace === object.metadata.namespace);
  }

  #listed(object: T, listVersion: string, scope: Scope): void {
    this.#put(this.#compact(object), !scope.synced, isRestored(listVersion, scope));
  }

  #listedAll(scope: Scope, keys: ReadonlySet<ObjectKey>, resourceVersion: string): void {
    const restored = isRestored(resourceVersion, scope);
    for (const object of this.list(scope.namespace)) {
      const newer = compareResourceVersions(object.metadata.resourceVersion, resourceVersion) > 0;
      if (!keys.has(keyOf(object)) && (restored || !newer)) this.#remove(object);
    }
    scope.resourceVersion = resourceVersion;
    if (scope.forbidden) this.#options.logger.info(`${this.#nameOf(scope)} can be listed again`);
    if (scope.absent) this.#options.logger.info(`${this.#nameOf(scope)} can be followed now`);
    scope.synced = true;
    scope.forbidden = false;
    scope.absent = false;
    if (this.hasSynced) this.#synced.resolve();
  }

  #forbidden(scope: Scope, error: ApiError): void {
    if (scope.forbidden) return;
    this.#options.logger.warn(
      `${this.#nameOf(scope)} may not be listed, nothing is done there until then: ${error.message}`,
    );
    scope.forbidden = true;
    if (this.hasSynced) this.#synced.resolve();
  }

  #absent(scope: Scope): void {
    for (const object of this.list(scope.namespace)) this.#remove(object);
    scope.resourceVersion = undefined;
    scope.synced = true;
    scope.forbidden = false;
    scope.absent = true;
    if (this.hasSynced) this.#synced.resolve();
  }

  #nameOf({ namespace }: Scope): string {
    const { plural } = this.watch.resource;
    return namespace === undefined ? plural : `${plural} in namespace ${namespace}`;
  }

  #watched(scope: Scope, { type, object }: WatchEvent<T>): void {
    scope.resourceVersion = object.metadata.resourceVersion;
    if (type === 'BOOKMARK') return;
    if (type !== 'DELETED') {
      this.#put(this.#compact(object), false);
      return;
    }
    const known = this.#store.get(keyOf(object));
    // Deleted and made again, and the new one is already known from the write that made it.
    if (
      known === undefined ||
      compareResourceVersions(known.metadata.resourceVersion, object.metadata.resourceVersion) > 0
    )
      return;
    this.#remove(this.#compact(object));
  }

  #put(object: T, routine: boolean, backInTime = false): void {
    const old = this.#store.get(keyOf(object));
    const order = compareResourceVersions(object.metadata.resourceVersion, old?.metadata.resourceVersion);
    // Whatever their uids: what is older was there before the one of this name that is known now.
    if (old !== undefined && order < 0 && !backInTime) return;
    this.#store.set(object);
    const isNews = order !== 0 || (old !== undefined && this.#partial.has(old));
    if (isNews) this.#tell(old === undefined ? { new: object, routine } : { old, new: object, routine });
  }

  #remove(object: T): void {
    this.#store.delete(keyOf(object));
    this.#tell({ old: object, routine: false });
  }

  #compact(object: T): T {
    const own = compactOwnFields(object, this.#options.client.fieldManager);
    return this.watch.transform === undefined ? own : this.watch.transform(own);
  }

  #tell(change: Change<T>): void {
    for (const handler of this.#handlers) {
      try {
        handler(change);
      } catch (error) {
        const object = change.new ?? change.old;
        this.#options.logger.error(
          `a handler failed on ${resourceName(this.watch.resource)}: ${describeError(error)}`,
          {
            object: object === undefined ? undefined : keyOf(object),
          },
        );
      }
    }
  }
}

/** A cluster restored from a backup goes back in time; then what is newer than its lists never happened. */
function isRestored(listVersion: string, scope: Scope): boolean {
  return compareResourceVersions(listVersion, scope.resourceVersion) < 0;
}
