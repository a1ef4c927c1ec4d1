import { isUtf8 } from 'node:buffer';
import { invalid } from '../inference-error.ts';

/** A number literal of this many digits may not survive as a double. */
const LONG_INTEGER = /[0-9]{16}/;
const INTEGER = /^-?[0-9]+$/;

type ReviverWithSource = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;

/** `JSON.parse` with the source text of each primitive (ECMAScript 2026), which TypeScript's library does not know yet. */
const parseWithSource = JSON.parse as (text: string, reviver: ReviverWithSource) => unknown;

const exactIntegers: ReviverWithSource = (_key, value, context) =>
  typeof value === 'number' && !Number.isSafeInteger(value) && INTEGER.test(context.source ?? '')
    ? BigInt(context.source ?? '')
    : value;

/**
 * Parses a JSON body. With `exact`, integers beyond 2^53 come back as BigInts with every digit kept; the slower way is
 * only taken where a long number really stands in the text.
 * @throws InferenceError InvalidArgument when the bytes are not UTF-8 or not JSON.
 */
export function parseJson(body: Buffer, exact: boolean): unknown {
  if (!isUtf8(body)) throw invalid('the body is not UTF-8');
  const text = body.toString('utf8');
  try {
    return exact && LONG_INTEGER.test(text) ? parseWithSource(text, exactIntegers) : JSON.parse(text);
  } catch (error) {
    throw invalid(`the body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}
