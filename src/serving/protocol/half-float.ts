/**
 * 16-bit floats as JavaScript numbers and back. FP16 is IEEE 754 binary16; BF16 is the upper half of a binary32.
 * Rounding is to nearest, ties to even; a number too large for the format becomes infinite.
 */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

function float32Bits(value: number): number {
  float[0] = value;
  return bits[0] ?? 0;
}

function fromFloat32Bits(pattern: number): number {
  bits[0] = pattern;
  return float[0] ?? 0;
}

export function fromBfloat16(pattern: number): number {
  return fromFloat32Bits((pattern << 16) >>> 0);
}

export function toBfloat16(value: number): number {
  const pattern = float32Bits(value);
  if (Number.isNaN(value)) return ((pattern >>> 16) | 0x40) & 0xffff;
  return ((pattern + 0x7fff + ((pattern >>> 16) & 1)) >>> 16) & 0xffff;
}

export function fromFloat16(pattern: number): number {
  const sign = pattern & 0x8000 ? -1 : 1;
  const exponent = (pattern >>> 10) & 0x1f;
  const fraction = pattern & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

export function toFloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 65_520) return sign | 0x7c00;
  const exponent = magnitude < 2 ** -14 ? -14 : Math.floor(Math.log2(magnitude));
  const unit = 2 ** (exponent - 10);
  const significand = roundHalfToEven(magnitude / unit);
  // A significand that rounded up to the next power of two carries into the exponent by plain addition.
  if (exponent === -14 && significand < 1024) return sign | significand;
  return sign | (((exponent + 14) << 10) + significand);
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
