import { isObject, type Json, type JsonObject, structuralSchema } from './crd.ts';
import type { Kind } from './kind.ts';
import type { ValidationRule } from './schema.ts';

/** Reference pages, one a kind, from the same value as its definition. */

/** The page of a kind, as Markdown. */
export function referencePage(kind: Kind): string {
  const spec = structuralSchema(kind.spec, 'spec');
  const status = kind.status === undefined ? undefined : structuralSchema(kind.status, 'status');
  const lines = [
    `# ${kind.kind}`,
    '',
    '<!-- Written by `npm run generate`. Change src/api/v1alpha1 instead. -->',
    '',
    kind.description,
    '',
    `\`apiVersion: ${kind.group}/${kind.version}\`, \`kind: ${kind.kind}\`, ${kind.namespaced ? 'namespaced' : 'cluster-wide'}. ` +
      `With kubectl: ${[kind.plural, kind.singular, ...kind.shortNames].map((name) => `\`${name}\``).join(', ')}.`,
    '',
    '## Spec',
    '',
    `${text(spec.description)}`,
    '',
    ...table(spec, 'spec'),
    '',
    '## Rules',
    '',
    'The API server refuses an object that breaks one of them.',
    '',
    ...rules(kind, spec),
    '',
    ...(status === undefined ? [] : ['## Status', '', text(status.description), '', ...table(status, 'status'), '']),
    '## `kubectl get`',
    '',
    '| column | what | from |',
    '|---|---|---|',
    ...kind.printerColumns.map(
      ({ name, description, jsonPath, priority }) =>
        `| ${name.toUpperCase()}${(priority ?? 0) > 0 ? ' (`-o wide`)' : ''} | ${description} | \`${jsonPath}\` |`,
    ),
    '',
  ];
  return lines.join('\n');
}

/** The page that names all kinds. */
export function referenceIndex(kinds: readonly Kind[]): string {
  const rows = kinds.map(
    (kind) => `| [${kind.kind}](${kind.singular}.md) | ${kind.shortNames.join(', ')} | ${kind.description} |`,
  );
  return [
    '# API reference',
    '',
    '<!-- Written by `npm run generate`. -->',
    '',
    '| kind | short | what |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

interface Field {
  readonly path: string;
  readonly schema: JsonObject;
  readonly required: boolean;
}

function table(schema: JsonObject, path: string): string[] {
  return [
    '| field | type | what |',
    '|---|---|---|',
    ...fields(schema, path).map(
      (field) =>
        `| \`${field.path}\` | ${typeName(field.schema)}${field.required ? ', required' : ''} | ${remarks(field.schema)} |`,
    ),
  ];
}

/** All fields below a schema, depth first, in the order of their declaration. */
export function fields(schema: JsonObject, path: string): Field[] {
  const required = new Set(Array.isArray(schema.required) ? schema.required : []);
  return Object.entries(children(schema.properties)).flatMap(([name, child]) => {
    const own = `${path}.${name}`;
    return [{ path: own, schema: child, required: required.has(name) }, ...nested(child, own)];
  });
}

function nested(schema: JsonObject, path: string): Field[] {
  if (isObject(schema.items)) return element(schema.items, `${path}[]`);
  if (isObject(schema.additionalProperties)) return element(schema.additionalProperties, `${path}.*`);
  return fields(schema, path);
}

/** The elements of a list or map, which are worth a row of their own only where they are objects or carry rules. */
function element(schema: JsonObject, path: string): Field[] {
  const own = 'x-kubernetes-validations' in schema ? [{ path, schema, required: false }] : [];
  return [...own, ...nested(schema, path)];
}

function typeName(schema: JsonObject): string {
  if (schema['x-kubernetes-int-or-string'] === true) return 'integer or string';
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => `\`${value}\``).join(' or ');
  if (isObject(schema.items)) return `list of ${typeName(schema.items)}`;
  if (isObject(schema.additionalProperties)) return `map of ${typeName(schema.additionalProperties)}`;
  return typeof schema.type === 'string' ? schema.type : 'any';
}

function remarks(schema: JsonObject): string {
  return text(schema.description).replaceAll('|', '\\|');
}

function rules(kind: Kind, spec: JsonObject): string[] {
  const located = [
    { path: 'the object', schema: { 'x-kubernetes-validations': kind.rules.map((rule) => ({ ...rule })) } },
    { path: 'spec', schema: spec },
    ...fields(spec, 'spec'),
  ];
  const lines = located.flatMap(({ path, schema }) =>
    rulesOf(schema).map((rule) => `- ${path === 'the object' ? path : `\`${path}\``}: ${rule.message}`),
  );
  return lines.length === 0 ? ['- none beyond the types above'] : lines;
}

function rulesOf(schema: JsonObject): readonly ValidationRule[] {
  return (schema['x-kubernetes-validations'] ?? []) as unknown as readonly ValidationRule[];
}

function children(value: Json | undefined): Record<string, JsonObject> {
  return isObject(value) ? (value as Record<string, JsonObject>) : {};
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
