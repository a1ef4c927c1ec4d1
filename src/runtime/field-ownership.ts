import { LRUCache } from 'lru-cache';
import type { FieldSet, KubeObject, ManagedFieldsEntry, ObjectMeta } from './types.ts';

/** Objects of one shape share one field set, so that a thousand of them cost as much as one. */
const sharedFieldSets = new LRUCache<string, FieldSet>({ max: 512 });

/**
 * The same object without the `managedFields` of others, and with ours in a form that objects of one shape share.
 * Owner references are left out of it: their keys are uids, so that no two sets would be alike.
 */
export function compactOwnFields<T extends KubeObject>(object: T, manager: string): T {
  const { managedFields, ...metadata } = object.metadata;
  const own = managedFields?.find(
    (entry) => entry.manager === manager && entry.operation === 'Apply' && (entry.subresource ?? '') === '',
  );
  if (own?.fieldsV1 === undefined) return { ...object, metadata };
  const entry: ManagedFieldsEntry = { manager, operation: 'Apply', fieldsV1: shared(withoutOwners(own.fieldsV1)) };
  return { ...object, metadata: { ...metadata, managedFields: [entry] } };
}

function withoutOwners(fields: FieldSet): FieldSet {
  const metadata = fields['f:metadata'];
  if (metadata?.['f:ownerReferences'] === undefined) return fields;
  const { 'f:ownerReferences': _owners, ...rest } = metadata;
  return { ...fields, 'f:metadata': rest };
}

function shared(fields: FieldSet): FieldSet {
  const text = JSON.stringify(fields);
  const known = sharedFieldSets.get(text);
  if (known !== undefined) return known;
  sharedFieldSets.set(text, fields);
  return fields;
}

/** Metadata that server-side apply tracks by field. Names and versions are not, and owner references are compared by uid. */
const TRACKED_METADATA = ['labels', 'annotations', 'finalizers'] as const;

/**
 * Whether `manager` still owns every field of `desired` in `live`. Whoever changes the value of a field takes it away
 * from its other owners, so as long as the fields that were applied are owned, they have the values that were applied,
 * in whatever form the server keeps them: no quantity, duration or default needs to be understood here.
 */
export function ownsAll(desired: KubeObject, live: KubeObject, manager: string): boolean {
  const entry = live.metadata.managedFields?.find((candidate) => candidate.manager === manager);
  const fields = entry?.fieldsV1;
  if (fields === undefined) return false;
  const { apiVersion: _version, kind: _kind, metadata, ...content } = desired;
  const tracked: Partial<Record<(typeof TRACKED_METADATA)[number], unknown>> = {};
  for (const name of TRACKED_METADATA) if (metadata[name] !== undefined) tracked[name] = metadata[name];
  return (
    hasOwners(metadata, live.metadata) &&
    coversMap(content, fields) &&
    (Object.keys(tracked).length === 0 || covers(tracked, fields['f:metadata']))
  );
}

function hasOwners(desired: ObjectMeta, live: ObjectMeta): boolean {
  return (desired.ownerReferences ?? []).every((wanted) =>
    live.ownerReferences?.some((owner) => owner.uid === wanted.uid && owner.controller === wanted.controller),
  );
}

function covers(value: unknown, fields: FieldSet | undefined): boolean {
  if (fields === undefined) return false;
  // An empty set is a leaf: the whole value is owned as one.
  if (typeof value !== 'object' || value === null || isLeaf(fields)) return true;
  return Array.isArray(value) ? coversList(value, fields) : coversMap(value as Record<string, unknown>, fields);
}

function coversMap(value: Record<string, unknown>, fields: FieldSet): boolean {
  return Object.entries(value).every(
    ([name, child]) => child === undefined || child === null || covers(child, fields[`f:${name}`]),
  );
}

function coversList(items: readonly unknown[], fields: FieldSet): boolean {
  const paths = Object.entries(fields);
  return items.every((item) =>
    paths.some(([path, child]) => {
      if (path.startsWith('v:')) return path === `v:${JSON.stringify(item)}`;
      return path.startsWith('k:') && hasKey(item, path.slice(2)) && covers(item, child);
    }),
  );
}

const parsedKeys = new LRUCache<string, Readonly<Record<string, unknown>>>({ max: 2048 });

/** Whether a list item is the one of this key. A part of the key that the item leaves out was defaulted by the server. */
function hasKey(item: unknown, keyText: string): boolean {
  if (typeof item !== 'object' || item === null) return false;
  let key = parsedKeys.get(keyText);
  if (key === undefined) {
    key = JSON.parse(keyText) as Record<string, unknown>;
    parsedKeys.set(keyText, key);
  }
  const fields = item as Record<string, unknown>;
  const entries = Object.entries(key);
  return (
    entries.every(([name, value]) => fields[name] === undefined || fields[name] === value) &&
    entries.some(([name]) => fields[name] !== undefined)
  );
}

function isLeaf(fields: FieldSet): boolean {
  for (const path in fields) if (path !== '.') return false;
  return true;
}
