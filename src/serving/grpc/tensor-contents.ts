import protobuf from 'protobufjs';
import { invalid, quoted, shown } from '../inference-error.ts';
import { ELEMENT_TYPES, elementCount, type NumericDatatype, type TypedArray } from '../protocol/element-types.ts';
import { checkText } from '../protocol/json-tensor.ts';
import type { Datatype, TensorData } from '../tensor.ts';

interface ContentsField {
  readonly name: string;
  readonly number: number;
  /** 0: varint, 1: 8 bytes, 2: length and bytes, 5: 4 bytes. */
  readonly wireType: 0 | 1 | 2 | 5;
}

const field = (name: string, number: number, wireType: ContentsField['wireType']): ContentsField => ({
  name,
  number,
  wireType,
});
const FIELDS: readonly ContentsField[] = [
  field('bool_contents', 1, 0),
  field('int_contents', 2, 0),
  field('int64_contents', 3, 0),
  field('uint_contents', 4, 0),
  field('uint64_contents', 5, 0),
  field('fp32_contents', 6, 5),
  field('fp64_contents', 7, 1),
  field('bytes_contents', 8, 2),
];
const [BOOL, INT, INT64, UINT, UINT64, FP32, FP64, BYTES] = FIELDS;

/** Floats of 16 bits travel raw only. */
const FIELD_OF: Readonly<Record<Datatype, ContentsField | undefined>> = {
  BOOL,
  UINT8: UINT,
  UINT16: UINT,
  UINT32: UINT,
  UINT64,
  INT8: INT,
  INT16: INT,
  INT32: INT,
  INT64,
  FP16: undefined,
  BF16: undefined,
  FP32,
  FP64,
  BYTES,
};

/** Whether a datatype's values can travel in a typed field. */
export function hasContentsField(datatype: Datatype): boolean {
  return FIELD_OF[datatype] !== undefined;
}

/**
 * Reads the values of an encoded InferTensorContents straight into the tensor's array, and no more than the shape has:
 * as the objects of a general decoder they would take up to 86 times the bytes of the message.
 * @throws InferenceError InvalidArgument naming the field and the numbers.
 */
export function readContents(
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  contents: Uint8Array,
): TensorData {
  const expected = FIELD_OF[datatype];
  if (expected === undefined)
    throw invalid(`input ${quoted(name)}: ${datatype} has no contents field; use raw_input_contents`);
  const count = elementCount(shape);
  // A value is a byte at least: for a shape that claims more than there can be, nothing is set aside.
  const capacity = count <= contents.length ? count : 0;
  const values = datatype === 'BYTES' ? new StringValues(name, capacity) : numericValues(name, datatype, capacity);
  const reader = protobuf.Reader.create(contents);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const found = FIELDS[(tag >>> 3) - 1];
    const wireType = tag & 7;
    if (found === undefined) reader.skipType(wireType, 0, tag >>> 3);
    else if (found !== expected) {
      if (wireType !== 2 || found.wireType === 2 || reader.bytes().length > 0) {
        throw invalid(`input ${quoted(name)} is ${datatype}, whose values go into ${expected.name}, not ${found.name}`);
      }
    } else if (wireType === found.wireType) values.one(reader);
    else if (wireType === 2) values.packed(reader, reader.bytes());
    else throw invalid(`input ${quoted(name)}: ${found.name} has wire type ${wireType}, not ${found.wireType}`);
  }
  if (values.count !== count) {
    throw invalid(
      `input ${quoted(name)}: ${expected.name} has ${values.count} values but shape ${shown(shape)} needs ${count}`,
    );
  }
  return values.data;
}

/** Takes values as they are read: keeps those that have room and counts all. */
interface Values {
  readonly data: TensorData;
  readonly count: number;
  one(reader: protobuf.Reader): void;
  packed(reader: protobuf.Reader, bytes: Uint8Array): void;
}

class StringValues implements Values {
  readonly data: Uint8Array[] = [];
  count = 0;
  readonly #name: string;
  readonly #capacity: number;

  constructor(name: string, capacity: number) {
    this.#name = name;
    this.#capacity = capacity;
  }

  one(reader: protobuf.Reader): void {
    if (this.count < this.#capacity) this.data.push(checkText(this.#name, this.count, reader.bytes()));
    else reader.skipType(2);
    this.count++;
  }

  packed(): void {
    throw new RangeError('strings are never packed');
  }
}

function numericValues(name: string, datatype: NumericDatatype, capacity: number): Values {
  const { kind, array, sizeBytes } = ELEMENT_TYPES[datatype];
  const data = new array(capacity);
  if (kind === 'float') return new FixedValues(data, sizeBytes);
  return new VarintValues(data, kind === 'bigint' ? store64(data) : store32(name, datatype, data));
}

/** Floats lie in a message as they lie in memory. */
class FixedValues implements Values {
  readonly data: TypedArray;
  count = 0;
  readonly #bytes: Uint8Array;
  readonly #sizeBytes: number;

  constructor(data: TypedArray, sizeBytes: number) {
    this.data = data;
    this.#bytes = new Uint8Array(data.buffer);
    this.#sizeBytes = sizeBytes;
  }

  one(reader: protobuf.Reader): void {
    const start = reader.pos;
    reader.skip(this.#sizeBytes);
    this.#append(reader.buf.subarray(start, reader.pos));
  }

  packed(_reader: protobuf.Reader, bytes: Uint8Array): void {
    if (bytes.length % this.#sizeBytes !== 0) {
      throw new RangeError(`${bytes.length} bytes are no whole number of values of ${this.#sizeBytes}`);
    }
    this.#append(bytes);
  }

  #append(bytes: Uint8Array): void {
    const offset = this.count * this.#sizeBytes;
    if (offset + bytes.length <= this.#bytes.length) this.#bytes.set(bytes, offset);
    this.count += bytes.length / this.#sizeBytes;
  }
}

/** Keeps a value, given in two halves, at a place. */
type Store = (index: number, low: number, high: number) => void;

function store64(data: TypedArray): Store {
  const halves = new Int32Array(data.buffer);
  return (index, low, high) => {
    halves[index * 2] = low;
    halves[index * 2 + 1] = high;
  };
}

function store32(name: string, datatype: NumericDatatype, data: TypedArray): Store {
  const { kind, min, max } = ELEMENT_TYPES[datatype];
  if (kind === 'boolean') {
    return (index, low, high) => {
      data[index] = low === 0 && high === 0 ? 0 : 1;
    };
  }
  return (index, low) => {
    const value = FIELD_OF[datatype] === UINT ? low >>> 0 : low | 0;
    if (value < min || value > max) {
      throw invalid(`input ${quoted(name)}: value ${value} at index ${index} is out of range for ${datatype}`);
    }
    data[index] = value;
  };
}

class VarintValues implements Values {
  readonly data: TypedArray;
  count = 0;
  readonly #store: Store;

  constructor(data: TypedArray, store: Store) {
    this.data = data;
    this.#store = store;
  }

  one(reader: protobuf.Reader): void {
    const start = reader.pos;
    reader.skip();
    this.#varint(reader.buf, start, reader.pos);
  }

  packed(_reader: protobuf.Reader, bytes: Uint8Array): void {
    for (let position = 0; position < bytes.length; ) position = this.#varint(bytes, position, bytes.length);
  }

  /** Reads the varint at `position`; the result is where the next one starts. */
  #varint(bytes: Uint8Array, position: number, end: number): number {
    let low = 0;
    let high = 0;
    for (let index = 0; index < 10 && position + index < end; index++) {
      const byte = bytes[position + index] ?? 0;
      const bits = byte & 127;
      if (index < 4) low |= bits << (index * 7);
      else if (index === 4) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else high |= bits << (index * 7 - 32);
      if (byte < 128) {
        if (this.count < this.data.length) this.#store(this.count, low, high);
        this.count++;
        return position + index + 1;
      }
    }
    throw new RangeError('an integer is cut off, or longer than ten bytes');
  }
}
