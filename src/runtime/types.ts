/** What every part of the runtime says about Kubernetes objects. Objects are the API server's JSON, never model classes. */

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** One manager's part of an object. The cache keeps only the operator's own entry. */
export interface ManagedFieldsEntry {
  readonly manager?: string;
  readonly operation?: string;
  readonly subresource?: string;
  /** When the manager last changed a field of its own, RFC 3339. */
  readonly time?: string;
  readonly fieldsV1?: FieldSet;
}

/** A set of field paths in the API server's own notation: `f:name`, `k:{"name":"x"}`, `v:"x"`, `.`. */
export interface FieldSet {
  readonly [path: string]: FieldSet;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
  readonly managedFields?: readonly ManagedFieldsEntry[];
}

/** Any object of the API. Objects that come from a cache are shared: they are never written to. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

declare const objectType: unique symbol;

/** Where a kind lives in the API. `T` is the type of its objects and exists for the compiler only. */
export interface Resource<T extends KubeObject = KubeObject> {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  readonly [objectType]?: T;
}

/** `namespace/name`, or `name` for an object without a namespace. */
export type ObjectKey = string;

export interface ObjectName {
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** Labels that an object must carry: with this value, or with any (`true`). */
export type LabelSelector = Readonly<Record<string, string | true>>;

export function defineResource<T extends KubeObject>(resource: Resource<T>): Resource<T> {
  return Object.freeze({ ...resource });
}

/** `apps/v1`, or `v1` for the core group. */
export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** `deployments.apps`: how kubectl and RBAC name a resource. */
export function resourceName(resource: Resource): string {
  return resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;
}

export function objectKey(name: ObjectName): ObjectKey {
  return name.namespace === undefined || name.namespace === '' ? name.name : `${name.namespace}/${name.name}`;
}

export function keyOf(object: { readonly metadata: ObjectMeta }): ObjectKey {
  return objectKey(object.metadata);
}

export function parseKey(key: ObjectKey): ObjectName {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** The owner that manages the object, of which there is at most one. */
export function controllerOf(object: { readonly metadata: ObjectMeta }): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true);
}

/**
 * The reference by which `owner` controls an object; the garbage collector deletes the object with it.
 * @throws Error when `owner` has no uid, that is when it does not come from the API server.
 */
export function controllerReference(owner: KubeObject): OwnerReference {
  if (owner.metadata.uid === undefined)
    throw new Error(`${owner.kind} ${keyOf(owner)} has no uid and cannot own objects`);
  return {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}

export function formatSelector(selector: LabelSelector): string {
  return Object.entries(selector)
    .map(([label, value]) => (value === true ? label : `${label}=${value}`))
    .sort()
    .join(',');
}

export function matchesSelector(selector: LabelSelector, object: { readonly metadata: ObjectMeta }): boolean {
  const labels = object.metadata.labels ?? {};
  return Object.entries(selector).every(([label, value]) =>
    value === true ? labels[label] !== undefined : labels[label] === value,
  );
}

/**
 * Orders two resource versions, which are decimal numbers of up to 64 bits that grow with every write to a cluster.
 * Negative when `a` is older. An absent version is older than any.
 */
export function compareResourceVersions(a: string | undefined, b: string | undefined): number {
  const left = a ?? '';
  const right = b ?? '';
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : left > right ? 1 : 0;
}
