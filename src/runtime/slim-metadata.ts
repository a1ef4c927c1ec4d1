import type { ObjectMeta } from './types.ts';

const IDENTITY = ['name', 'namespace', 'uid', 'resourceVersion'] as const;

/** What a cache keeps of an object's metadata: which object it is and in what state it was seen, and `more` where it is there. */
export function slimMetadata(metadata: ObjectMeta, ...more: readonly (keyof ObjectMeta)[]): ObjectMeta {
  const kept: Partial<Record<keyof ObjectMeta, unknown>> = {};
  for (const key of [...IDENTITY, ...more]) if (metadata[key]) kept[key] = metadata[key];
  return kept as ObjectMeta;
}
