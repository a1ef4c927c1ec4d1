import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Tensor } from '../tensor.ts';
import { NUMBER_BUCKETS, numberBucket, ZERO_BUCKET } from './number-buckets.ts';
import { PredictionCounter } from './prediction-counter.ts';

const text = (...values: readonly string[]) => values.map((value) => Buffer.from(value));

function counted(...outputs: readonly Tensor[]) {
  const counter = new PredictionCounter();
  for (const output of outputs) counter.count([output]);
  return counter.snapshot();
}

const output = (datatype: Tensor['datatype'], shape: readonly number[], data: Tensor['data']): Tensor => ({
  name: 'y',
  datatype,
  shape,
  data,
});

describe('labels', () => {
  test.each<[string, Tensor, Record<string, number>]>([
    ['integers', output('INT64', [4], BigInt64Array.of(1n, 0n, 1n, -7n)), { 0: 1, 1: 2, '-7': 1 }],
    ['large integers', output('INT32', [3, 1], Int32Array.of(70_000, 255, 256)), { 70000: 1, 255: 1, 256: 1 }],
    ['booleans', output('BOOL', [3], Uint8Array.of(1, 0, 1)), { 0: 1, 1: 2 }],
    ['text', output('BYTES', [3], text('churn', 'stay', 'churn')), { churn: 2, stay: 1 }],
    ['vectors, by the largest', output('FP32', [2, 3], Float32Array.of(0.1, 0.7, 0.2, 0.5, 0.3, 0.2)), { 1: 1, 0: 1 }],
    ['vectors with what is no number', output('FP64', [1, 2], Float64Array.of(Number.NaN, 1)), { NaN: 1 }],
  ])('%s are counted by label, row by row', (_, tensor, counts) => {
    expect(counted(tensor)).toEqual({ y: { kind: 'Label', counts, other: 0 } });
  });

  test('labels beyond a number are counted together', () => {
    const values = Array.from({ length: 1_000 }, (_, index) => `label-${index}`);
    const { y } = counted(output('BYTES', [1_000], text(...values)));
    expect(Object.keys(y?.counts ?? {})).toHaveLength(256);
    expect(y?.other).toBe(744);
  });

  test('a label keeps its count apart from that of its length in text', () => {
    expect(counted(output('BYTES', [1], text('x'.repeat(1_000))))).toEqual({
      y: { kind: 'Label', counts: { ['x'.repeat(128)]: 1 }, other: 0 },
    });
  });
});

describe('numbers', () => {
  test('numbers of [rows] and [rows, 1] are counted by bucket, and what is no number apart', () => {
    const first = output('FP32', [3], Float32Array.of(0.5, 0.5, Number.NaN));
    const second = output('FP32', [1, 1], Float32Array.of(-2));
    expect(counted(first, second)).toEqual({
      y: { kind: 'Number', counts: { [numberBucket(0.5)]: 2, [numberBucket(-2)]: 1, NaN: 1 }, other: 0 },
    });
  });

  test('16-bit floats are read as numbers', () => {
    expect(counted(output('FP16', [1], Uint16Array.of(0x3800)))).toMatchObject({
      y: { counts: { [numberBucket(0.5)]: 1 } },
    });
  });

  test('buckets keep the order of numbers, and one is no wider than an eighth of its values', () => {
    const number = fc.double({ noNaN: true });
    fc.assert(
      fc.property(number, number, (a, b) => {
        const [one, other] = [numberBucket(a), numberBucket(b)];
        expect(one).toBeGreaterThanOrEqual(0);
        expect(one).toBeLessThan(NUMBER_BUCKETS);
        if (a < b) expect(one).toBeLessThanOrEqual(other);
        const isInside =
          Math.abs(a) >= 2 ** -20 && Math.abs(b) < 2 ** 30 && Math.abs(b) >= 2 ** -20 && Math.abs(a) < 2 ** 30;
        if (one === other && isInside)
          expect(Math.abs(a - b)).toBeLessThanOrEqual(Math.min(Math.abs(a), Math.abs(b)) / 8);
      }),
    );
    expect([0, -0, 1e-9].map(numberBucket)).toEqual([ZERO_BUCKET, ZERO_BUCKET, ZERO_BUCKET]);
    expect([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY].map(numberBucket)).toEqual([0, NUMBER_BUCKETS - 1]);
  });
});

test('outputs of other shapes, and more outputs than are counted, are left out', () => {
  expect(counted(output('FP32', [1, 2, 2], new Float32Array(4)))).toEqual({});
  const many = Array.from({ length: 40 }, (_, index) => ({
    ...output('INT32', [1], Int32Array.of(1)),
    name: `y${index}`,
  }));
  expect(Object.keys(counted(...many))).toHaveLength(16);
});
