import type { ApiClient, Scale } from './api-client.ts';
import type { LiveObjects } from './apply.ts';
import { compareResourceVersions, type KubeObject, keyOf, type Resource } from './types.ts';

/** An object with a scale subresource whose count is where it is for the kinds of Kubernetes itself. */
export type Scalable = KubeObject & { readonly spec?: { readonly replicas?: number } };

/**
 * Sets the number of replicas by the scale subresource, as an autoscaler does. Answers the object as it then is, as far
 * as the answer tells, and keeps the cache up to it.
 */
export async function scale<T extends Scalable>(
  client: Pick<ApiClient, 'updateScale'>,
  cache: LiveObjects<T>,
  resource: Resource<T>,
  object: T,
  replicas: number,
): Promise<T> {
  const answer = await client.updateScale(resource, object.metadata, replicas);
  // The watch may have told more meanwhile than was known of the object when it was read.
  const cached = cache.get(keyOf(object));
  const known = cached !== undefined && cached.metadata.uid === object.metadata.uid ? cached : object;
  if (compareResourceVersions(answer.metadata.resourceVersion, known.metadata.resourceVersion) <= 0) return known;
  return cache.observe(scaled(known, answer), { isPartial: true });
}

/** The object at the version of the scale. Its count is no longer what was applied, so that `spec.replicas` is not ours there. */
export function scaled<T extends Scalable>(object: T, { metadata, spec }: Scale): T {
  const { resourceVersion } = metadata;
  const managedFields = object.metadata.managedFields?.map((entry) => {
    const fields = entry.fieldsV1?.['f:spec'];
    if (fields?.['f:replicas'] === undefined) return entry;
    const { 'f:replicas': _taken, ...rest } = fields;
    return { ...entry, fieldsV1: { ...entry.fieldsV1, 'f:spec': rest } };
  });
  return {
    ...object,
    metadata: {
      ...object.metadata,
      ...(resourceVersion && { resourceVersion }),
      ...(managedFields && { managedFields }),
    },
    // JSON leaves a count of 0 out.
    spec: { ...object.spec, replicas: spec?.replicas ?? 0 },
  };
}
