import Value from 'typebox/value';
import type { Kind, ObjectOf } from './kind.ts';

/** An object as a user may write it: what the schema has a default for may be left out. */
export interface Manifest {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec?: object;
}

/**
 * A manifest as the API server returns it: with the schema's defaults filled in. For what has not been at an API
 * server, such as tests and previews; it fills in, and does not validate.
 */
export function withDefaults<K extends Kind>(kind: K, manifest: Manifest): ObjectOf<K> {
  const object = structuredClone(manifest);
  const spec = Value.Default(kind.spec, object.spec);
  return { ...object, apiVersion: `${kind.group}/${kind.version}`, kind: kind.kind, spec } as ObjectOf<K>;
}
