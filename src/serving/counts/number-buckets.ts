/**
 * Buckets of numbers that need no knowledge of the model: the same in every process, so that counts of pods add up. Eight a
 * power of two from 2^-20 to 2^30 and their negatives, so that a bucket's width is at most an eighth of its values; one
 * for what is nearer to 0; what is further away is in the outermost ones. A larger index means larger numbers.
 */
const BUCKETS_AN_OCTAVE = 8;
const MIN_EXPONENT = -20;
const MAX_EXPONENT = 30;
const POSITIVE = (MAX_EXPONENT - MIN_EXPONENT) * BUCKETS_AN_OCTAVE;

export const NUMBER_BUCKETS = 2 * POSITIVE + 1;
/** Of what is nearer to 0 than 2^-20. */
export const ZERO_BUCKET = POSITIVE;

const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);
/** Which half of a double's 64 bits holds its exponent: the machine's byte order decides. */
const high = ((): 0 | 1 => {
  float[0] = 1;
  return words[1] === 0 ? 0 : 1;
})();
/** Of a double's upper 32 bits: 11 bits of exponent and the first 3 of the fraction, which number the eighths of an octave. */
const EXPONENT_BIAS = 1023;
const FIRST = (EXPONENT_BIAS + MIN_EXPONENT) * BUCKETS_AN_OCTAVE;

/** The bucket of a number that is not NaN. */
export function numberBucket(value: number): number {
  float[0] = value;
  const place = (((words[high] ?? 0) & 0x7fffffff) >>> 17) - FIRST;
  if (place < 0) return ZERO_BUCKET;
  const distance = 1 + Math.min(place, POSITIVE - 1);
  return value > 0 ? ZERO_BUCKET + distance : ZERO_BUCKET - distance;
}
