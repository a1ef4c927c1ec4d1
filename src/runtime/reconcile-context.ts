import type { Logger } from 'winston';
import type { ApiClient } from './api-client.ts';
import type { DesiredObject } from './apply.ts';
import type { EventInput } from './events.ts';
import type { Result } from './outcome.ts';
import type { Scalable } from './scale.ts';
import type { KubeObject, LabelSelector, ObjectKey, Resource } from './types.ts';

/** What the shared informers know. Objects are shared and never written to; they may lag behind the API server. */
export interface CacheReader {
  /** @throws Error when no controller watches the resource. */
  get<T extends KubeObject>(resource: Resource<T>, key: ObjectKey): T | undefined;
  /** All objects, or those of one namespace. */
  list<T extends KubeObject>(resource: Resource<T>, namespace?: string): readonly T[];
  /** The objects whose controller reference names this uid. */
  ownedBy<T extends KubeObject>(resource: Resource<T>, ownerUid: string): readonly T[];
  /** By an index that the watch declares. */
  byIndex<T extends KubeObject>(resource: Resource<T>, index: string, value: string): readonly T[];
  /**
   * Whether the API server has the kind of an `optional` watch, and lets it be read. While it has not, being asked makes the cache look
   * again soon: whoever waits for the kind keeps asking, and where nobody does, nothing is polled.
   */
  isInstalled(resource: Resource): boolean;
}

/** What one reconcile may see and do. Everything that writes goes through here or through `client`. */
export interface ReconcileContext {
  readonly key: ObjectKey;
  /** Carries `controller`, `object` and `reconcileID` on every line. */
  readonly log: Logger;
  /** Aborts when the process stops or is no longer the leader. */
  readonly signal: AbortSignal;
  /** Refuses to write once this process is no longer the leader. */
  readonly client: ApiClient;
  readonly cache: CacheReader;
  /** Milliseconds since the Unix epoch, by the injected clock. */
  now(): number;
  /** Has this object looked at again: for what goes on outside of the reconcile, when it is done. May be called at any time. */
  wake(): void;
  /** Server-side apply, with no API call when the object already is as desired. Answers the live object. */
  apply<T extends KubeObject>(resource: Resource<T>, desired: DesiredObject): Promise<T>;
  /** Sets the count by the scale subresource. Answers the object as it then is. */
  scale<T extends Scalable>(resource: Resource<T>, object: T, replicas: number): Promise<T>;
  /** Sets annotations beside those that are applied, fenced by the object's resourceVersion; `undefined` removes one. */
  annotate<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    annotations: Readonly<Record<string, string | undefined>>,
  ): Promise<T>;
  /** Deletes the objects of these resources that `owner` controls and that are not in `keep`. Answers what it deleted. */
  prune(owner: KubeObject, resources: readonly Resource[], keep: ReadonlySet<ObjectIdentity>): Promise<number>;
  /** Makes the object's status this one, fenced by its resourceVersion, with no API call when it already is. */
  writeStatus<T extends KubeObject & { readonly status?: unknown }>(
    resource: Resource<T>,
    object: T,
    status: T['status'],
  ): Promise<T>;
  addFinalizer<T extends KubeObject>(resource: Resource<T>, object: T, finalizer: string): Promise<T>;
  removeFinalizer<T extends KubeObject>(resource: Resource<T>, object: T, finalizer: string): Promise<T>;
  /** Tells an Event about `regarding`; never waits, never throws. */
  event(regarding: KubeObject, event: EventInput): void;
}

/** `deployments.apps/namespace/name`: one object among those of several resources; see `identityOf`. */
export type ObjectIdentity = string;

/** The values by which an object is found. */
export type IndexFunction<T> = { of(object: T): readonly string[] }['of'];

/** What of a resource is cached. The runtime has one informer a resource, which its watchers share. */
export interface Watch<T extends KubeObject = KubeObject> {
  readonly resource: Resource<T>;
  /** Only objects with these labels are listed, watched and kept. */
  readonly selector?: LabelSelector;
  /**
   * The kind may not be installed, or not yet, or may not be read: then it is an empty collection. See
   * `CacheReader.isInstalled`.
   */
  readonly optional?: boolean;
  /** Keeps of each object what is needed, to save memory. `managedFields` of other managers never arrive here. */
  transform?(object: T): T;
  /** Named functions from an object to the values by which `byIndex` finds it. */
  readonly indexes?: Readonly<Record<string, IndexFunction<T>>>;
}

/** A watch whose objects say which primaries to look at again. */
export interface MappedWatch<T extends KubeObject = KubeObject> extends Watch<T> {
  /**
   * Is asked about an object both before and after a change. `other` is the object on the other side of the change;
   * undefined where there is none, and when everything is looked at again.
   */
  map(object: T, cache: CacheReader, other?: T): readonly ObjectKey[];
}

/** One controller: what it watches, and what it does about one object at a time. */
export interface ControllerDefinition<T extends KubeObject = KubeObject> {
  readonly name: string;
  readonly primary: Watch<T>;
  /** A change of an object here looks again at the primary that its controller reference names. */
  readonly owns: readonly Watch[];
  readonly watches: readonly MappedWatch[];
  /** How many objects are reconciled at once; one object never is twice. */
  readonly workers?: number;
  /** Brings the world to what `object` asks for. Throws TerminalError, WaitingError, PartialFailureError, or anything else to back off. */
  reconcile(object: T, context: ReconcileContext): Promise<Result>;
  /** The object no longer exists: what is remembered of it in memory can go. */
  forget?(key: ObjectKey): void;
}
