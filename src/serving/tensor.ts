/** The Open Inference Protocol's tensor types. */
export const DATATYPES = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'BF16',
  'FP32',
  'FP64',
  'BYTES',
] as const;
export type Datatype = (typeof DATATYPES)[number];

/**
 * A tensor's values, row-major without padding. BOOL is one byte a value, FP16 and BF16 are their raw 16 bits, 64-bit
 * integers are BigInts, BYTES is one byte string a value.
 */
export type TensorData =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array
  | readonly Uint8Array[];

export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** What a model takes or gives; -1 stands for a dimension that is free. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}

/** A tensor with memory of its own, as small as its values: a view, as of a string in Node's pool, keeps its whole buffer. */
export function ownCopy(tensor: Tensor): Tensor {
  return { ...tensor, data: copied(tensor.data) };
}

function copied(data: TensorData): TensorData {
  return Array.isArray(data) ? data.map((value: Uint8Array) => Uint8Array.from(value)) : (data as Uint8Array).slice();
}
