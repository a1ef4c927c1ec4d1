import { Environment, EvaluationError } from '@marcbachmann/cel-js';
import type { TSchema } from 'typebox';
import type { ValidationRule } from '../../api/schema.ts';

/** What the API server checks of a value beside its types: the CEL rules of its schema, and that the items of lists differ. */

/** With what Kubernetes adds to CEL, as far as rules about rollouts use it. */
const environment = new Environment()
  .registerVariable('self', 'dyn')
  .registerFunction('string.replace(string, string): string', (text: string, from: string, to: string) =>
    text.replaceAll(from, to),
  )
  .registerFunction('list.isSorted(): bool', (items: readonly (bigint | number | string)[]) =>
    items.every((item, index) => index === 0 || (items[index - 1] ?? item) <= item),
  );

/** The parts of a schema that lead to others, and what Kubernetes adds. */
interface RuledSchema extends TSchema {
  readonly properties?: Readonly<Record<string, RuledSchema>>;
  readonly items?: RuledSchema;
  readonly 'x-kubernetes-validations'?: readonly ValidationRule[];
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
}

/** As CEL has it. All numbers of these schemas are integers, which are others to CEL than those of JavaScript. */
function asCel(value: unknown): unknown {
  if (typeof value === 'number') return BigInt(value);
  if (Array.isArray(value)) return value.map(asCel);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([field, inner]) => [field, asCel(inner)]));
}

function holds({ rule }: ValidationRule, value: unknown): boolean {
  try {
    return environment.evaluate(rule, { self: asCel(value) }) === true;
  } catch (error) {
    // As with the API server: a rule that cannot be evaluated over a value does not hold for it.
    if (error instanceof EvaluationError) return false;
    throw error;
  }
}

/** Two items of a list that are told apart by what they have alike. */
function duplicateIn(schema: RuledSchema, items: readonly unknown[], path: string): string | undefined {
  const type = schema['x-kubernetes-list-type'];
  if (type !== 'map' && type !== 'set') return undefined;
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const keyOf = (item: unknown): string =>
    JSON.stringify(type === 'set' ? item : keys.map((key) => (item as Readonly<Record<string, unknown>>)[key]));
  const index = items.findIndex((item, at) => items.findIndex((other) => keyOf(other) === keyOf(item)) < at);
  return index < 0
    ? undefined
    : `${path}[${index}]: there is another one with the same ${keys.join(' and ') || 'value'}`;
}

/**
 * The first rule that a value breaks, which is of the schema's types and has its defaults: the field, and what is allowed.
 * @param path of the value, for the message
 */
export function brokenRule(schema: RuledSchema, value: unknown, path: string): string | undefined {
  const own = schema['x-kubernetes-validations']?.find((rule) => !holds(rule, value));
  if (own !== undefined) return `${path}${own.fieldPath ?? ''}: ${own.message}`;
  if (Array.isArray(value)) {
    const { items } = schema;
    const within = value.map((item, index) => items && brokenRule(items, item, `${path}[${index}]`));
    return duplicateIn(schema, value, path) ?? within.find((problem) => problem !== undefined);
  }
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [field, inner] of Object.entries(value)) {
    const its = schema.properties?.[field];
    const problem = its && brokenRule(its, inner, `${path}.${field}`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
