import type { TSchema } from 'typebox';
import Value from 'typebox/value';

/** Fields of a value that do not fit that a message names. */
const MAX_NAMED = 3;

/** What of a value does not fit its schema, naming the fields; undefined when all of it fits. */
export function schemaMismatch(schema: TSchema, value: unknown, whole: string): string | undefined {
  if (Value.Check(schema, value)) return undefined;
  const messages = Value.Errors(schema, value).map(({ instancePath, message, params }) => {
    const names = 'additionalProperties' in params ? ` (${String(params.additionalProperties)})` : '';
    return `${instancePath === '' ? whole : instancePath} ${message}${names}`;
  });
  return messages.slice(0, MAX_NAMED).join('; ');
}
