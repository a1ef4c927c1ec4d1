import type { ApiClient, Scale } from './api-client.ts';
import type { KubeObject, Resource } from './types.ts';

/** An object with a scale subresource whose count is where it is for the kinds of Kubernetes itself. */
export type Scalable = KubeObject & { readonly spec?: { readonly replicas?: number } };

/**
 * Sets the number of replicas by the scale subresource, as an autoscaler does. Answers the object as it then is, as far
 * as the answer tells.
 */
export async function scale<T extends Scalable>(
  client: ApiClient,
  resource: Resource<T>,
  object: T,
  replicas: number,
): Promise<T> {
  return scaled(object, await client.updateScale(resource, object.metadata, replicas));
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
