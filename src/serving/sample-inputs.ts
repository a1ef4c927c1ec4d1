import { ELEMENT_TYPES, elementCount } from './protocol/element-types.ts';
import { toBfloat16, toFloat16 } from './protocol/half-float.ts';
import type { Tensor, TensorData, TensorSpec } from './tensor.ts';

/**
 * Inputs made from a signature alone: numbers between 0 and 1 for floats, 0 and 1 for integers (safe as indices), short
 * strings for bytes. Different `seed`s give different values. Free dimensions have the size `freeSize`, the first one 1.
 */
export function sampleInputs(specs: readonly TensorSpec[], seed: number, freeSize = 1): readonly Tensor[] {
  return specs.map((spec, index) => {
    const shape = spec.shape.map((dimension, axis) => (dimension !== -1 ? dimension : axis === 0 ? 1 : freeSize));
    return { ...spec, shape, data: sampleData(spec, elementCount(shape), seed + index * 17) };
  });
}

/** Inputs of the same shapes as `tensors` with other values. */
export function sampleLike(tensors: readonly Tensor[], seed: number): readonly Tensor[] {
  return sampleInputs(tensors, seed);
}

function sampleData({ datatype }: TensorSpec, count: number, seed: number): TensorData {
  const unit = (index: number): number => fraction(Math.sin(seed * 12.9898 + index * 78.233) * 43_758.5453);
  if (datatype === 'BYTES') return Array.from({ length: count }, (_, index) => Buffer.from(`s${(seed + index) % 3}`));
  const { array, kind } = ELEMENT_TYPES[datatype];
  if (kind === 'bigint') {
    const out = new array(count) as BigInt64Array;
    return out.map((_, index) => BigInt(Math.round(unit(index))));
  }
  const out = new array(count) as Float32Array;
  const value = (index: number): number => {
    if (kind === 'float') return unit(index);
    if (kind === 'half') return datatype === 'FP16' ? toFloat16(unit(index)) : toBfloat16(unit(index));
    return Math.round(unit(index));
  };
  return out.map((_, index) => value(index));
}

function fraction(value: number): number {
  return value - Math.floor(value);
}
