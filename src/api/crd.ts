import type { TSchema } from 'typebox';
import type { Kind, PrinterColumn } from './kind.ts';

/** JSON, as the API server reads it. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/**
 * The CustomResourceDefinition of a kind.
 * @throws SchemaError where the schema cannot be said in a structural schema
 */
export function customResourceDefinition(kind: Kind): JsonObject {
  const { group, version, plural, singular, shortNames, categories } = kind;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural,
        singular,
        shortNames: [...shortNames],
        categories: [...categories],
      },
      scope: kind.namespaced ? 'Namespaced' : 'Cluster',
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: subresources(kind),
          additionalPrinterColumns: kind.printerColumns.map(printerColumn),
          schema: { openAPIV3Schema: rootSchema(kind) },
        },
      ],
    },
  };
}

/** A schema that Kubernetes has no words for; `path` is where. */
export class SchemaError extends Error {
  constructor(path: string, reason: string) {
    super(`${path}: ${reason}`);
    this.name = 'SchemaError';
  }
}

function subresources(kind: Kind): JsonObject {
  return {
    ...(kind.status === undefined ? {} : { status: {} }),
    ...(kind.scale === undefined ? {} : { scale: { ...kind.scale } }),
  };
}

function printerColumn({ name, type, jsonPath, description, priority }: PrinterColumn): JsonObject {
  return { name, type, jsonPath, description, ...(priority === undefined ? {} : { priority }) };
}

function rootSchema(kind: Kind): JsonObject {
  const spec = structuralSchema(kind.spec, `${kind.kind}.spec`);
  return {
    type: 'object',
    description: kind.description,
    ...('default' in spec ? {} : { required: ['spec'] }),
    properties: {
      apiVersion: { type: 'string', description: 'Version of the schema of this object.' },
      kind: { type: 'string', description: 'The kind of this object.' },
      metadata: { type: 'object' },
      spec,
      ...(kind.status === undefined ? {} : { status: structuralSchema(kind.status, `${kind.kind}.status`) }),
    },
    ...(kind.rules.length === 0 ? {} : { 'x-kubernetes-validations': kind.rules.map((rule) => ({ ...rule })) }),
  };
}

/** What a structural schema may say beside its type, properties and items. */
// biome-ignore format: a list of words
const KEYWORDS = [
  'description', 'type', 'format', 'default', 'enum', 'pattern', 'minLength', 'maxLength', 'minimum', 'maximum',
  'minItems', 'maxItems', 'minProperties', 'maxProperties', 'x-kubernetes-int-or-string',
  'x-kubernetes-preserve-unknown-fields', 'x-kubernetes-list-type', 'x-kubernetes-list-map-keys',
  'x-kubernetes-validations',
];

/** Words that have another form, and those that say what pruning does anyway. */
const TRANSLATED = ['properties', 'required', 'items', 'patternProperties', 'additionalProperties'];

/** A JSON Schema in the subset and dialect of Kubernetes; descriptions name scalar defaults. */
export function structuralSchema(source: TSchema, path: string): JsonObject {
  const schema = source as Readonly<Record<string, Json>>;
  for (const keyword of Object.keys(schema)) {
    if (!KEYWORDS.includes(keyword) && !TRANSLATED.includes(keyword)) {
      throw new SchemaError(path, `a structural schema has no "${keyword}"`);
    }
  }
  if (Object.keys(schema).length === 0) return { 'x-kubernetes-preserve-unknown-fields': true };
  const result: JsonObject = {};
  for (const keyword of KEYWORDS) {
    const value = schema[keyword];
    if (value !== undefined) result[keyword] = value;
  }
  if (schema.enum !== undefined) result.type = 'string';
  if (isScalar(schema.default)) result.description = `${schema.description} Default ${schema.default}.`;
  if (schema.patternProperties !== undefined) {
    result.additionalProperties = structuralSchema(onlyValue(schema.patternProperties, path), `${path}.*`);
  }
  if (schema.items !== undefined) result.items = structuralSchema(asObject(schema.items), `${path}[]`);
  if (schema.properties !== undefined) Object.assign(result, properties(schema, path));
  if (!('type' in result) && !('x-kubernetes-int-or-string' in result)) {
    throw new SchemaError(path, 'has no type');
  }
  return result;
}

/** What has a default is not required of a user, though every reader finds it. */
function properties(schema: Readonly<Record<string, Json>>, path: string): JsonObject {
  const translated = Object.entries(asObject(schema.properties ?? {})).map(
    ([name, property]) => [name, structuralSchema(asObject(property), `${path}.${name}`)] as const,
  );
  if (translated.length === 0) return {};
  const required = new Set(Array.isArray(schema.required) ? schema.required : []);
  const demanded = translated.filter(([name, property]) => required.has(name) && !('default' in property));
  return {
    ...(demanded.length === 0 ? {} : { required: demanded.map(([name]) => name) }),
    properties: Object.fromEntries(translated),
  };
}

function isScalar(value: Json | undefined): value is string | number | boolean {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

function onlyValue(patterns: Json, path: string): JsonObject {
  const values = Object.values(asObject(patterns));
  const [value] = values;
  if (values.length !== 1 || value === undefined) throw new SchemaError(path, 'a map must have one type of value');
  return asObject(value);
}

function asObject(value: Json): JsonObject {
  if (isObject(value)) return value;
  throw new TypeError(`expected a schema, got ${JSON.stringify(value)}`);
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
