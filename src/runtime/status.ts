import type { ApiClient } from './api-client.ts';
import { mergePatch } from './merge-patch.ts';
import { type KubeObject, keyOf, type Resource } from './types.ts';

export type WithStatus = KubeObject & { readonly status?: unknown };

/**
 * Makes the status of `object` this one. Only the difference is sent, fenced by the resourceVersion that the
 * difference was taken from; nothing is sent when there is none. Answers the object as it then is.
 * @throws ApiError with `isConflict` when the object changed meanwhile.
 */
export async function writeStatus<T extends WithStatus>(
  client: ApiClient,
  resource: Resource<T>,
  object: T,
  status: T['status'],
): Promise<T> {
  const patch = mergePatch(object.status ?? {}, status ?? {});
  if (patch === undefined) return object;
  const { resourceVersion } = object.metadata;
  if (resourceVersion === undefined) {
    throw new Error(`the status of ${resource.kind} ${keyOf(object)} cannot be written: it has no resourceVersion`);
  }
  return await client.mergePatch(resource, object.metadata, { metadata: { resourceVersion }, status: patch }, 'status');
}
