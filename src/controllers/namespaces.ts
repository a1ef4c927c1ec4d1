/**
 * For controllers that keep something once a namespace. The runtime knows objects and not namespaces, so one
 * ModelDeployment stands for its namespace: the first by name.
 */
import type { CacheReader } from '../runtime/reconcile-context.ts';
import { type KubeObject, type ObjectKey, type OwnerReference, objectKey } from '../runtime/types.ts';
import { MODEL_DEPLOYMENTS, type ModelDeployment } from './kinds.ts';

/** The key of the one that stands for the namespace; none where it has no ModelDeployment. */
export function representativeOf(cache: CacheReader, namespace: string): readonly ObjectKey[] {
  const names = cache.list(MODEL_DEPLOYMENTS, namespace).map(({ metadata }) => metadata.name);
  const first = names.reduce<string | undefined>(
    (least, name) => (least === undefined || name < least ? name : least),
    undefined,
  );
  return first === undefined ? [] : [objectKey({ namespace, name: first })];
}

/** Maps an object that `concerns` its namespace to the one that stands for it. */
export function toRepresentative(
  concerns: (object: KubeObject) => boolean = () => true,
): (object: KubeObject, cache: CacheReader) => readonly ObjectKey[] {
  return (object, cache) => (concerns(object) ? representativeOf(cache, object.metadata.namespace ?? '') : []);
}

/** Owned by each without being controlled by any: the garbage collector keeps it until the last of them is gone. */
export function sharedReference({ apiVersion, kind, metadata }: ModelDeployment): OwnerReference {
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '' };
}
