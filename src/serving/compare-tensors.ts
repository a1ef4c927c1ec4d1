import { fromBfloat16, fromFloat16 } from './protocol/half-float.ts';
import type { Tensor } from './tensor.ts';

/**
 * The first index at which two tensors of one datatype differ: floats by more than `absolute + relative * |expected|`,
 * everything else at all. Undefined when they agree.
 */
export function differsAt(expected: Tensor, actual: Tensor, absolute: number, relative: number): number | undefined {
  const length = Math.max(expected.data.length, actual.data.length);
  for (let index = 0; index < length; index++) {
    const a = valueAt(expected, index);
    const b = valueAt(actual, index);
    const isSame =
      typeof a === 'number' && typeof b === 'number' && isFloat(expected)
        ? Object.is(a, b) || Math.abs(a - b) <= absolute + relative * Math.abs(a)
        : a === b;
    if (!isSame) return index;
  }
  return undefined;
}

function isFloat({ datatype }: Tensor): boolean {
  return datatype === 'FP32' || datatype === 'FP64' || datatype === 'FP16' || datatype === 'BF16';
}

/** One value as something that `===` compares; BYTES as Latin-1 text. */
export function valueAt({ data, datatype }: Tensor, index: number): number | bigint | string | undefined {
  const value = data[index];
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
  if (typeof value !== 'number') return value;
  if (datatype === 'FP16') return fromFloat16(value);
  return datatype === 'BF16' ? fromBfloat16(value) : value;
}
