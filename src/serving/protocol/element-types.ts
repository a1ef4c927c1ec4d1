import type { Datatype, TensorData } from '../tensor.ts';

export type TypedArray = Exclude<TensorData, readonly Uint8Array[]>;
export type NumericDatatype = Exclude<Datatype, 'BYTES'>;

interface TypedArrayConstructorLike {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): TypedArray;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): TypedArray;
}

/**
 * How a datatype's JSON values are read: `float` as numbers that may be non-finite, `half` as numbers packed into 16
 * bits, `integer` within `min` and `max`, `bigint` as exact 64-bit integers, `boolean` as true and false.
 */
export type ElementKind = 'boolean' | 'integer' | 'bigint' | 'half' | 'float';

export interface ElementType {
  readonly kind: ElementKind;
  readonly array: TypedArrayConstructorLike;
  readonly sizeBytes: number;
  /** Smallest and largest value; unused for floats and booleans. */
  readonly min: number | bigint;
  readonly max: number | bigint;
}

const integer = (array: TypedArrayConstructorLike, min: number, max: number): ElementType => ({
  kind: 'integer',
  array,
  sizeBytes: array.BYTES_PER_ELEMENT,
  min,
  max,
});
const other = (kind: ElementKind, array: TypedArrayConstructorLike): ElementType => ({
  kind,
  array,
  sizeBytes: array.BYTES_PER_ELEMENT,
  min: 0,
  max: 0,
});

/** Every datatype but BYTES, whose elements have no fixed size. */
export const ELEMENT_TYPES: Readonly<Record<NumericDatatype, ElementType>> = {
  BOOL: other('boolean', Uint8Array),
  UINT8: integer(Uint8Array, 0, 255),
  UINT16: integer(Uint16Array, 0, 65_535),
  UINT32: integer(Uint32Array, 0, 4_294_967_295),
  UINT64: { kind: 'bigint', array: BigUint64Array, sizeBytes: 8, min: 0n, max: (1n << 64n) - 1n },
  INT8: integer(Int8Array, -128, 127),
  INT16: integer(Int16Array, -32_768, 32_767),
  INT32: integer(Int32Array, -2_147_483_648, 2_147_483_647),
  INT64: { kind: 'bigint', array: BigInt64Array, sizeBytes: 8, min: -(1n << 63n), max: (1n << 63n) - 1n },
  FP16: other('half', Uint16Array),
  BF16: other('half', Uint16Array),
  FP32: other('float', Float32Array),
  FP64: other('float', Float64Array),
};

/** The number of elements of a shape; a scalar's shape is empty and has one. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const dimension of shape) count *= dimension;
  return count;
}
