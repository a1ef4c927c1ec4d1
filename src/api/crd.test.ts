import { load } from 'js-yaml';
import Type, { type TSchema } from 'typebox';
import { describe, expect, test } from 'vitest';
import { customResourceDefinition, type JsonObject, SchemaError, structuralSchema } from './crd.ts';
import { generatedFiles, sourceFiles } from './generated-files.ts';
import type { Kind } from './kind.ts';
import { KINDS } from './kinds.ts';
import { fields } from './reference.ts';
import { cel } from './schema.ts';

const files = generatedFiles(new Map(sourceFiles.map((path) => [path, ''])));
const generated = (kind: Kind) => load(files.get(`crds/${kind.group}_${kind.plural}.yaml`) ?? '') as JsonObject;
const schemaOf = (definition: JsonObject) =>
  (definition as { spec: { versions: [{ schema: { openAPIV3Schema: JsonObject } }] } }).spec.versions[0].schema
    .openAPIV3Schema;

describe.each(KINDS.map((kind) => [kind.kind, kind] as const))('the definition of %s', (_name, kind) => {
  const schema = schemaOf(generated(kind));
  const all = fields(schema, kind.kind).filter(({ path }) => path !== `${kind.kind}.metadata`);

  test('survives being written as YAML', () => {
    expect(generated(kind)).toEqual(customResourceDefinition(kind));
  });

  test('describes every field', () => {
    const silent = all.filter(({ schema }) => typeof schema.description !== 'string' || schema.description.length < 3);
    expect(silent.map(({ path }) => path)).toEqual([]);
  });

  test('bounds every text, list and map of the spec, so that CEL costs can be estimated', () => {
    const unbounded = all
      .filter(({ path }) => path.startsWith(`${kind.kind}.spec.`))
      .filter(
        ({ schema }) =>
          (schema.type === 'string' && schema.enum === undefined && schema.maxLength === undefined) ||
          (schema.type === 'array' && schema.maxItems === undefined) ||
          ('additionalProperties' in schema && schema.maxProperties === undefined),
      );
    expect(unbounded.map(({ path }) => path)).toEqual([]);
  });

  test('prints only columns whose fields exist', () => {
    const known = new Set(all.map(({ path }) => path.slice(kind.kind.length)));
    const columns = kind.printerColumns.map(({ jsonPath }) => jsonPath.replace(/\[\?.*?\]/, '[]'));
    const open = ['.metadata.creationTimestamp', '.spec.aliases.champion'];
    expect(columns.filter((path) => !known.has(path) && !open.includes(path))).toEqual([]);
  });

  test('gives every CEL rule a message', () => {
    const rules = all.flatMap(({ schema }) => (schema['x-kubernetes-validations'] ?? []) as { message?: string }[]);
    expect(rules.filter(({ message }) => message === undefined || message === '')).toEqual([]);
  });
});

describe('a structural schema', () => {
  const required = { description: 'x', maxLength: 3 };
  const cases: [title: string, source: TSchema, result: JsonObject][] = [
    [
      'does not require what has a default',
      Type.Object({
        a: Type.String(required),
        b: Type.String({ ...required, default: 'y' }),
        c: Type.Optional(Type.String(required)),
      }),
      {
        type: 'object',
        required: ['a'],
        properties: {
          a: { type: 'string', ...required },
          b: { type: 'string', ...required, default: 'y', description: 'x Default y.' },
          c: { type: 'string', ...required },
        },
      },
    ],
    [
      'says a record as additionalProperties',
      Type.Record(Type.String(), Type.Integer({ minimum: 1 }), { maxProperties: 2 }),
      { type: 'object', maxProperties: 2, additionalProperties: { type: 'integer', minimum: 1 } },
    ],
    ['gives an enumeration its type', Type.Enum(['A', 'B']), { type: 'string', enum: ['A', 'B'] }],
    [
      'keeps any value as it is',
      Type.Array(Type.Unknown()),
      { type: 'array', items: { 'x-kubernetes-preserve-unknown-fields': true } },
    ],
    [
      'leaves closed objects to pruning',
      Type.Object({ a: Type.Boolean() }, { additionalProperties: false }),
      { type: 'object', required: ['a'], properties: { a: { type: 'boolean' } } },
    ],
    [
      'carries CEL rules',
      Type.Object({}, cel({ rule: 'true', message: 'm' })),
      { type: 'object', 'x-kubernetes-validations': [{ rule: 'true', message: 'm' }] },
    ],
  ];
  test.each(cases)('%s', (_title, source, result) => {
    expect(structuralSchema(source, 'x')).toEqual(result);
  });

  test.each([
    ['a union', Type.Union([Type.String(), Type.Integer()])],
    ['a constant', Type.Literal('A')],
    ['a tuple', Type.Tuple([Type.String(), Type.String()])],
  ])('refuses %s, which Kubernetes has no words for', (_title, source) => {
    expect(() => structuralSchema(source, 'x')).toThrow(SchemaError);
  });
});
