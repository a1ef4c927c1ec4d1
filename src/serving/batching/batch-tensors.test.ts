import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Tensor } from '../tensor.ts';
import { stack, unstack } from './batch-tensors.ts';

const request = fc.integer({ min: 1, max: 4 }).chain((rows) =>
  fc
    .record({
      floats: fc.array(fc.float({ noNaN: true }), { minLength: rows * 3, maxLength: rows * 3 }),
      texts: fc.array(fc.string(), { minLength: rows, maxLength: rows }),
      longs: fc.array(fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }), { minLength: rows, maxLength: rows }),
    })
    .map(({ floats, texts, longs }): readonly Tensor[] => [
      { name: 'f', datatype: 'FP32', shape: [rows, 3], data: Float32Array.from(floats) },
      { name: 't', datatype: 'BYTES', shape: [rows], data: texts.map((text) => Buffer.from(text)) },
      { name: 'l', datatype: 'INT64', shape: [rows, 1], data: BigInt64Array.from(longs) },
    ]),
);

test('requests come apart as they went together', () => {
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 6 }), (requests) => {
      const rowCounts = requests.map(([first]) => first?.shape[0] ?? 0);
      expect(unstack(stack(requests), rowCounts)).toEqual(requests);
    }),
  );
});

test('outputs that do not have a row for each row cannot be taken apart', () => {
  const mean: Tensor = { name: 'mean', datatype: 'FP32', shape: [1], data: Float32Array.of(1) };
  expect(unstack([mean], [1, 1])).toBeUndefined();
  expect(unstack([mean], [2])).toEqual([[mean]]);
});
