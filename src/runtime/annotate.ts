import type { ApiClient } from './api-client.ts';
import { type KubeObject, keyOf, type Resource } from './types.ts';

/**
 * Sets annotations on an object beside those that are applied to it; `undefined` removes one. Fenced by the object's
 * resourceVersion, with no call when all is so already. Answers the object as it then is.
 * @throws ApiError with `isConflict` when the object changed meanwhile.
 */
export async function annotate<T extends KubeObject>(
  client: ApiClient,
  resource: Resource<T>,
  object: T,
  annotations: Readonly<Record<string, string | undefined>>,
): Promise<T> {
  const { resourceVersion, annotations: present = {} } = object.metadata;
  const changes = Object.entries(annotations).filter(([name, value]) => present[name] !== value);
  if (changes.length === 0) return object;
  if (resourceVersion === undefined) {
    throw new Error(`${resource.kind} ${keyOf(object)} cannot be annotated: it has no resourceVersion`);
  }
  const patch = Object.fromEntries(changes.map(([name, value]) => [name, value ?? null]));
  return await client.mergePatch(resource, object.metadata, { metadata: { resourceVersion, annotations: patch } });
}
