import type { ApiClient } from './api-client.ts';
import { ApiError } from './api-error.ts';
import type { KubeObject, Resource } from './types.ts';

/** Adds the finalizer, fenced by the object's resourceVersion; no call when it is there or the object is going away. */
export async function addFinalizer<T extends KubeObject>(
  client: ApiClient,
  resource: Resource<T>,
  object: T,
  finalizer: string,
): Promise<T> {
  const present = object.metadata.finalizers ?? [];
  if (present.includes(finalizer) || object.metadata.deletionTimestamp !== undefined) return object;
  return await setFinalizers(client, resource, object, [...present, finalizer]);
}

/** Removes the finalizer, fenced by the object's resourceVersion; an object that is already gone is well gone. */
export async function removeFinalizer<T extends KubeObject>(
  client: ApiClient,
  resource: Resource<T>,
  object: T,
  finalizer: string,
): Promise<T> {
  const present = object.metadata.finalizers ?? [];
  if (!present.includes(finalizer)) return object;
  const rest = present.filter((name) => name !== finalizer);
  try {
    return await setFinalizers(client, resource, object, rest);
  } catch (error) {
    if (error instanceof ApiError && error.isNotFound) return object;
    throw error;
  }
}

async function setFinalizers<T extends KubeObject>(
  client: ApiClient,
  resource: Resource<T>,
  object: T,
  finalizers: readonly string[],
): Promise<T> {
  const { resourceVersion } = object.metadata;
  return await client.mergePatch(resource, object.metadata, { metadata: { resourceVersion, finalizers } });
}
