import type { ApiClient } from './api-client.ts';
import { ApiError } from './api-error.ts';
import type { CacheReader, ObjectIdentity } from './reconcile-context.ts';
import { type KubeObject, keyOf, type ObjectMeta, type Resource, resourceName } from './types.ts';

/** `deployments.apps/namespace/name`. */
export function identityOf(resource: Resource, object: { readonly metadata: ObjectMeta }): ObjectIdentity {
  return `${resourceName(resource)}/${keyOf(object)}`;
}

/**
 * Deletes the objects of these resources that `owner` controls and that are not in `keep`, by uid, so that an object
 * of the same name that came after is not hit. Answers how many it asked to delete.
 */
export async function prune(
  client: ApiClient,
  cache: CacheReader,
  owner: KubeObject,
  resources: readonly Resource[],
  keep: ReadonlySet<ObjectIdentity>,
): Promise<number> {
  const ownerUid = owner.metadata.uid;
  if (ownerUid === undefined) throw new Error(`${owner.kind} ${keyOf(owner)} has no uid and owns nothing`);
  const surplus = resources.flatMap((resource) =>
    cache
      .ownedBy(resource, ownerUid)
      .filter((object) => object.metadata.deletionTimestamp === undefined && !keep.has(identityOf(resource, object)))
      .map((object) => ({ resource, object })),
  );
  for (const { resource, object } of surplus) {
    try {
      await client.delete(resource, object.metadata, { uid: object.metadata.uid });
    } catch (error) {
      // Gone already, or gone and made again: either way that object is no more.
      if (!(error instanceof ApiError) || !(error.isNotFound || error.isConflict)) throw error;
    }
  }
  return surplus.length;
}
