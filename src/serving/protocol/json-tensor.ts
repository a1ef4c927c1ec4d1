import { isUtf8 } from 'node:buffer';
import { InferenceError, invalid, quoted, shown } from '../inference-error.ts';
import type { Datatype, Tensor, TensorData } from '../tensor.ts';
import { ELEMENT_TYPES, type ElementType, elementCount } from './element-types.ts';
import { fromBfloat16, fromFloat16, toBfloat16, toFloat16 } from './half-float.ts';
import { MAX_JSON_ANSWER_CHARS } from './heap-limits.ts';

/**
 * Tensor values in JSON. Integers are exact in both directions. A float that is not finite is written and read as
 * protobuf's JSON mapping does: the strings "NaN", "Infinity" and "-Infinity"; JSON has no numbers for them.
 */
const NON_FINITE: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
};

/**
 * Reads the `data` of a tensor: a flat array, or arrays nested as `shape` says.
 * @throws InferenceError InvalidArgument naming the tensor, the index and the value that does not fit.
 */
export function readJsonData(name: string, datatype: Datatype, shape: readonly number[], data: unknown): TensorData {
  if (!Array.isArray(data)) throw invalid(`input ${quoted(name)}: data must be an array, not ${describe(data)}`);
  const count = elementCount(shape);
  const values: unknown[] = Array.isArray(data[0]) ? flatten(name, shape, data) : data;
  if (values.length !== count) {
    throw invalid(`input ${quoted(name)}: data has ${values.length} values but shape ${shown(shape)} needs ${count}`);
  }
  if (datatype === 'BYTES') return values.map((value, index) => readText(name, index, value));
  const type = ELEMENT_TYPES[datatype];
  switch (type.kind) {
    case 'float':
      return readFloats(name, datatype, values, type);
    case 'half':
      return readHalves(name, datatype, values);
    case 'integer':
      return readIntegers(name, datatype, values, type);
    case 'bigint':
      return readBigIntegers(name, datatype, values, type);
    case 'boolean':
      return readBooleans(name, values);
  }
}

function flatten(name: string, shape: readonly number[], data: readonly unknown[]): unknown[] {
  const values: unknown[] = [];
  const visit = (level: unknown, depth: number): void => {
    const expected = shape[depth];
    if (expected === undefined) {
      values.push(level);
      return;
    }
    if (!Array.isArray(level)) {
      throw invalid(
        `input ${quoted(name)}: data is nested ${depth} deep at ${describe(level)}, but shape ${shown(shape)} has ${shape.length} dimensions`,
      );
    }
    if (level.length !== expected) {
      throw invalid(
        `input ${quoted(name)}: an array at depth ${depth + 1} of data has ${level.length} entries, but shape ${shown(shape)} needs ${expected}`,
      );
    }
    for (const entry of level) visit(entry, depth + 1);
  };
  visit(data, 0);
  return values;
}

function readFloats(name: string, datatype: Datatype, values: readonly unknown[], type: ElementType): TensorData {
  const out = new type.array(values.length) as Float32Array | Float64Array;
  for (let index = 0; index < values.length; index++) {
    const value = asDouble(values[index]);
    if (typeof value === 'number') {
      out[index] = value;
      // Subtracting an infinity from itself is NaN: the cheapest test that the stored value is finite.
      const stored = out[index] ?? 0;
      if (stored - stored !== 0) throw outOfRange(name, index, value, datatype);
    } else {
      out[index] = readSpecialFloat(name, index, value, datatype);
    }
  }
  return out;
}

/** Beside inputs of exact integers, long integers for a float arrive exact as well. */
function asDouble(value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

function readSpecialFloat(name: string, index: number, value: unknown, datatype: Datatype): number {
  const special = typeof value === 'string' && Object.hasOwn(NON_FINITE, value) ? NON_FINITE[value] : undefined;
  if (special === undefined) throw wrongType(name, index, value, `a number for ${datatype}`);
  return special;
}

function readHalves(name: string, datatype: Datatype, values: readonly unknown[]): TensorData {
  const [to, from] = datatype === 'FP16' ? [toFloat16, fromFloat16] : [toBfloat16, fromBfloat16];
  const out = new Uint16Array(values.length);
  values.forEach((given, index) => {
    const value = asDouble(given);
    if (typeof value === 'number') {
      const stored = to(value);
      if (!Number.isFinite(from(stored))) throw outOfRange(name, index, value, datatype);
      out[index] = stored;
    } else {
      out[index] = to(readSpecialFloat(name, index, value, datatype));
    }
  });
  return out;
}

function readIntegers(name: string, datatype: Datatype, values: readonly unknown[], type: ElementType): TensorData {
  const out = new type.array(values.length) as Int32Array;
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (typeof value === 'bigint') throw outOfRange(name, index, value, datatype);
    if (typeof value !== 'number') throw wrongType(name, index, value, `an integer for ${datatype}`);
    if (!Number.isInteger(value)) throw wrongType(name, index, value, `an integer for ${datatype}`);
    if (value < type.min || value > type.max) throw outOfRange(name, index, value, datatype);
    out[index] = value;
  }
  return out;
}

function readBigIntegers(name: string, datatype: Datatype, values: readonly unknown[], type: ElementType): TensorData {
  const out = new type.array(values.length) as BigInt64Array;
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (typeof value !== 'number' && typeof value !== 'bigint') {
      throw wrongType(name, index, value, `an integer for ${datatype}`);
    }
    // Infinity is what a literal of too many digits or too large an exponent reads as.
    if (typeof value === 'number' && Math.abs(value) >= 2 ** 64) throw outOfRange(name, index, value, datatype);
    if (typeof value === 'number' && !Number.isSafeInteger(value)) {
      throw Number.isInteger(value)
        ? invalid(
            `input ${quoted(name)}: value ${value} at index ${index} has lost digits; write it as a plain integer, without fraction or exponent`,
          )
        : wrongType(name, index, value, `an integer for ${datatype}`);
    }
    if (value < type.min || value > type.max) throw outOfRange(name, index, value, datatype);
    out[index] = BigInt(value);
  }
  return out;
}

function readBooleans(name: string, values: readonly unknown[]): TensorData {
  const out = new Uint8Array(values.length);
  values.forEach((value, index) => {
    if (typeof value !== 'boolean') throw wrongType(name, index, value, 'true or false for BOOL');
    out[index] = value ? 1 : 0;
  });
  return out;
}

function readText(name: string, index: number, value: unknown): Uint8Array {
  if (typeof value !== 'string') throw wrongType(name, index, value, 'a string for BYTES');
  if (!value.isWellFormed()) throw invalid(`input ${quoted(name)}: the string at index ${index} is not valid Unicode`);
  return checkText(name, index, Buffer.from(value, 'utf8'));
}

/**
 * A BYTES element as engines can take it: ONNX strings are UTF-8 and end at a zero byte, so that anything else would be
 * changed on its way.
 * @throws InferenceError InvalidArgument.
 */
export function checkText(name: string, index: number, bytes: Uint8Array): Uint8Array {
  if (bytes.includes(0)) throw invalid(`input ${quoted(name)}: the string at index ${index} holds a zero byte`);
  if (!isUtf8(bytes)) throw invalid(`input ${quoted(name)}: the string at index ${index} is not UTF-8`);
  return bytes;
}

function outOfRange(name: string, index: number, value: number | bigint, datatype: Datatype): InferenceError {
  return invalid(`input ${quoted(name)}: value ${value} at index ${index} is out of range for ${datatype}`);
}

function wrongType(name: string, index: number, value: unknown, expected: string): InferenceError {
  return invalid(`input ${quoted(name)}: data at index ${index} must be ${expected}, not ${describe(value)}`);
}

/** A JSON value as it may stand in a message. */
export function describe(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'string') return `the string ${quoted(value)}`;
  return String(value);
}

/**
 * A tensor's values as the text between the brackets of a flat JSON array.
 * @throws InferenceError InvalidArgument when a byte string is not UTF-8: JSON cannot carry it, binary output can.
 */
export function writeJsonValues(tensor: Tensor): string {
  const { data } = tensor;
  if (data.length <= PIECE) return writePiece(tensor);
  return joinPieces(data.length, (start, end) => writePiece({ ...tensor, data: data.slice(start, end) }));
}

/**
 * Values, or rows, that are written at a time: beside the text itself each takes a hundred bytes of heap until its piece is
 * done, whether they are added up, which V8 keeps as a tree, or joined.
 */
const PIECE = 1024;

function joinPieces(count: number, write: (start: number, end: number) => string): string {
  const pieces: string[] = [];
  for (let start = 0; start < count; start += PIECE) pieces.push(write(start, Math.min(start + PIECE, count)));
  return pieces.join(',');
}

/** `count` texts with commas between them. */
export function joinTexts(count: number, write: (index: number) => string): string {
  return joinPieces(count, (start, end) =>
    Array.from({ length: end - start }, (_, index) => write(start + index)).join(','),
  );
}

/** Characters that a value takes at most with its comma, as `-0.0000012345678901234567,` does. */
const VALUE_CHARS: Readonly<Record<Exclude<Datatype, 'BYTES'>, number>> = {
  BOOL: 6,
  UINT8: 4,
  UINT16: 6,
  UINT32: 11,
  UINT64: 21,
  INT8: 5,
  INT16: 7,
  INT32: 12,
  INT64: 21,
  FP16: 26,
  BF16: 26,
  FP32: 26,
  FP64: 26,
};
/** A control character becomes an escape of six, and beside a character beyond Latin-1 each takes two bytes. */
const CHARS_PER_TEXT_BYTE = 12;

/** How long the text of `writeJsonValues` can be, before it is written. */
export function jsonChars({ datatype, data }: Tensor): number {
  if (datatype !== 'BYTES') return data.length * VALUE_CHARS[datatype];
  let chars = 0;
  for (const { length } of data as readonly Uint8Array[]) chars += 3 + CHARS_PER_TEXT_BYTE * length;
  return chars;
}

/** @throws InferenceError TooLarge for an answer in JSON that could fill the heap. */
export function checkJsonAnswer(chars: number): void {
  if (chars <= MAX_JSON_ANSWER_CHARS) return;
  throw new InferenceError(
    'TooLarge',
    `the answer may take ${chars} characters in JSON; at most ${MAX_JSON_ANSWER_CHARS} are written: ask /v2 for its outputs with "binary_data": true`,
  );
}

function writePiece(tensor: Tensor): string {
  const { data, datatype } = tensor;
  switch (datatype) {
    case 'FP32':
    case 'FP64':
      return writeFloats(data as Float32Array | Float64Array);
    case 'FP16':
      return writeFloats(Float32Array.from(data as Uint16Array, fromFloat16));
    case 'BF16':
      return writeFloats(Float32Array.from(data as Uint16Array, fromBfloat16));
    case 'BOOL':
      return Array.from(data as Uint8Array, (value) => value !== 0).join(',');
    case 'BYTES':
      return (data as readonly Uint8Array[]).map((bytes) => JSON.stringify(decodeText(tensor.name, bytes))).join(',');
    default:
      return (data as Int32Array).join(',');
  }
}

/** Up to so many floats are added up faster than they are joined. */
const MAX_ADDED_FLOATS = 64;

function writeFloats(values: Float32Array | Float64Array): string {
  if (values.length > MAX_ADDED_FLOATS) {
    const joined = values.join(',');
    return /[IN]/.test(joined) ? joined.replace(/-?Infinity|NaN/g, '"$&"') : joined;
  }
  let text = '';
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? 0;
    if (index > 0) text += ',';
    if (value - value === 0) text += value;
    else text += `"${value}"`;
  }
  return text;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A BYTES element as text. */
export function decodeText(name: string, bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new InferenceError(
      'InvalidArgument',
      `output ${quoted(name)} holds bytes that are not UTF-8, which JSON cannot carry: ask for it with "binary_data": true`,
    );
  }
}
