import Type, { type TUnsafe } from 'typebox';

/**
 * What Kubernetes adds to JSON Schema, as options and types for TypeBox values. Every list, map and string of an API
 * has an upper bound, which is what lets the API server estimate the cost of CEL rules and accept them.
 */

/** A CEL rule that the API server checks on every write; `self` is the value that carries it. */
export interface ValidationRule {
  /** Must evaluate to true. `oldSelf` makes it a rule about the change. */
  readonly rule: string;
  /** What a person reads on refusal: names the field and what is allowed. */
  readonly message: string;
  /** CEL for a message with the numbers in it; `message` stands in where it fails. */
  readonly messageExpression?: string;
  /** Where the error points, relative to the value that carries the rule, such as `.maxReplicas`. */
  readonly fieldPath?: string;
}

/** Schema options that attach CEL rules. */
export function cel(...rules: readonly ValidationRule[]) {
  return { 'x-kubernetes-validations': rules };
}

/** Schema options of a list whose items are told apart by `key`: server-side apply merges it item by item. */
export function listMap(key: string) {
  return { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] };
}

/** Schema options of a list of scalars without order or duplicates. */
export const listSet = { 'x-kubernetes-list-type': 'set' };

/** A core Kubernetes type too deep to repeat: kept as written and checked when the pod is created. */
export function coreType<T extends object>(description: string): TUnsafe<T> {
  return Type.Unsafe<T>(Type.Object({}, { description, 'x-kubernetes-preserve-unknown-fields': true }));
}

/** An integer or a string, as in core types. `options` must hold `description`. */
export function intOrString(options: { readonly description: string } & Record<string, unknown>) {
  return Type.Unsafe<number | string>({ 'x-kubernetes-int-or-string': true, maxLength: 32, ...options });
}

/** A map from string to string of at most 64 entries. */
export function stringMap(options: { readonly description: string } & Record<string, unknown>) {
  return Type.Record(Type.String(), Type.String({ maxLength: 4096 }), { maxProperties: 64, ...options });
}

/** A bounded string. */
export function text(maxLength: number, options: { readonly description: string } & Record<string, unknown>) {
  return Type.String({ maxLength, ...options });
}
