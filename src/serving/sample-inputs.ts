import { valueAt } from './compare-tensors.ts';
import { ELEMENT_TYPES, elementCount } from './protocol/element-types.ts';
import { toBfloat16, toFloat16 } from './protocol/half-float.ts';
import type { Datatype, Tensor, TensorData, TensorSpec } from './tensor.ts';

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

/** Inputs of the same shapes as `tensors` whose integers and truth values are all `value`; others stay as they are. */
export function withIntegers(tensors: readonly Tensor[], value: 0 | 1): readonly Tensor[] {
  return tensors.map((tensor) => {
    if (tensor.datatype === 'BYTES') return tensor;
    const { array, kind } = ELEMENT_TYPES[tensor.datatype];
    if (kind === 'float' || kind === 'half') return tensor;
    if (kind === 'bigint')
      return { ...tensor, data: (new array(tensor.data.length) as BigInt64Array).fill(BigInt(value)) };
    return { ...tensor, data: (new array(tensor.data.length) as Int32Array).fill(value) };
  });
}

/** Inputs of the same shapes as `tensors` with other values. */
export function sampleLike(tensors: readonly Tensor[], seed: number): readonly Tensor[] {
  return sampleInputs(tensors, seed);
}

/** How far outside the range of a tensor's values its outliers lie. */
const OUTLIER_FACTOR = 1000;
/** What an outlier may be without overflowing, of the datatypes that have outliers. */
const OUTLIER_LIMITS: Readonly<Partial<Record<Datatype, readonly [min: number, max: number]>>> = {
  UINT8: [0, 255],
  UINT16: [0, 65_535],
  INT8: [-128, 127],
  INT16: [-32_768, 32_767],
  FP16: [-65_504, 65_504],
  BF16: [-3e38, 3e38],
  FP32: [-3e38, 3e38],
  FP64: [-1e308, 1e308],
};

/** Integers that are mostly indices and lengths, beyond whose range some of an engine's operators read foreign memory. */
const INDEX_LIMITS: typeof OUTLIER_LIMITS = {
  UINT32: [0, 2 ** 32 - 1],
  UINT64: [0, Number.MAX_SAFE_INTEGER],
  INT32: [-(2 ** 31), 2 ** 31 - 1],
  INT64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
};

/**
 * Inputs of the same shapes as `tensors` whose numbers lie far outside the range of theirs: a thousand times greater, of
 * alternating sign from `sign` on. Integers of 32 and 64 bits only where they are `areMeasures`, whatever their value.
 */
export function outliersLike(tensors: readonly Tensor[], sign: 1 | -1, areMeasures: boolean): readonly Tensor[] {
  return tensors.map((tensor) => {
    const limits = OUTLIER_LIMITS[tensor.datatype] ?? (areMeasures ? INDEX_LIMITS[tensor.datatype] : undefined);
    return limits === undefined ? tensor : { ...tensor, data: outliers(tensor, sign, limits) };
  });
}

function outliers(tensor: Tensor, sign: 1 | -1, [min, max]: readonly [number, number]): TensorData {
  const data = tensor.data as Float32Array | BigInt64Array;
  let greatest = 1;
  for (let index = 0; index < data.length; index++) {
    const magnitude = Math.abs(Number(valueAt(tensor, index)));
    if (Number.isFinite(magnitude)) greatest = Math.max(greatest, magnitude);
  }
  const outlier = (index: number): number => {
    const wanted = (index % 2 === 0 ? sign : -sign) * greatest * OUTLIER_FACTOR;
    return Math.max(min, Math.min(max, wanted));
  };
  if (data instanceof BigInt64Array || data instanceof BigUint64Array)
    return data.map((_, index) => BigInt(outlier(index)));
  return data.map((_, index) => {
    const value = outlier(index);
    if (tensor.datatype === 'FP16') return toFloat16(value);
    return tensor.datatype === 'BF16' ? toBfloat16(value) : Math.trunc(value);
  });
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
