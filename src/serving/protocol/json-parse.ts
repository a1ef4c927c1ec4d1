import { isUtf8 } from 'node:buffer';
import { InferenceError, invalid } from '../inference-error.ts';
import { MAX_EXACT_JSON_BYTES, MAX_JSON_BYTES } from './heap-limits.ts';

/** Sixteen digits that are no fraction may not survive as a double. */
const LONG_INTEGER = /(?<![.0-9])[0-9]{16}/;
/** What 64 bits hold, signed or not; a longer one is out of every range, and a double says so well enough. */
const INTEGER_OF_64_BITS = /^-?[0-9]{1,20}$/;

type ReviverWithSource = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;

/** `JSON.parse` with the source text of each primitive (ECMAScript 2026), which TypeScript's library does not know yet. */
const parseWithSource = JSON.parse as (text: string, reviver: ReviverWithSource) => unknown;

const exactIntegers: ReviverWithSource = (_key, value, { source = '' }) =>
  typeof value === 'number' && !Number.isSafeInteger(value) && INTEGER_OF_64_BITS.test(source) ? BigInt(source) : value;

/**
 * Parses a JSON body. With `exact`, integers of at most 20 digits beyond 2^53 come back as BigInts with every digit
 * kept; the slower way is only taken where a long integer really stands in the text.
 * @throws InferenceError InvalidArgument when the bytes are not UTF-8 or not JSON, TooLarge when there are more of them
 * than the heap can take.
 */
export function parseJson(body: Buffer, exact: boolean): unknown {
  if (body.length > MAX_JSON_BYTES) {
    throw tooLarge(`the JSON has ${body.length} bytes; at most ${MAX_JSON_BYTES} are taken`);
  }
  if (!isUtf8(body)) throw invalid('the body is not UTF-8');
  const text = body.toString('utf8');
  const isExact = exact && LONG_INTEGER.test(text);
  if (isExact && body.length > MAX_EXACT_JSON_BYTES) {
    throw tooLarge(
      `the JSON has ${body.length} bytes and holds integers of 16 digits or more; at most ${MAX_EXACT_JSON_BYTES} of such JSON are taken`,
    );
  }
  try {
    return isExact ? parseWithSource(text, exactIntegers) : JSON.parse(text);
  } catch (error) {
    throw invalid(`the body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function tooLarge(message: string): InferenceError {
  return new InferenceError('TooLarge', `${message}: send large tensors as binary data`);
}
