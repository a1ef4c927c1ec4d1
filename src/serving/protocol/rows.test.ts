import { expect, test } from 'vitest';
import { ModelSignature } from './model-signature.ts';
import { readRows, writeRows } from './rows.ts';

const oneInput = new ModelSignature(
  [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
  [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
);
const columns = new ModelSignature(
  [
    { name: 'age', datatype: 'INT64', shape: [-1, 1] },
    { name: 'city', datatype: 'BYTES', shape: [-1] },
  ],
  [{ name: 'y', datatype: 'FP32', shape: [-1] }],
);
const read = (signature: ModelSignature, body: unknown) => readRows(signature, Buffer.from(JSON.stringify(body)));

test('rows of a model with one input are arrays, or objects that name it', () => {
  const expected = [{ name: 'x', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }];
  expect(
    read(oneInput, {
      instances: [
        [1, 2],
        [3, 4],
      ],
    }).inputs,
  ).toEqual(expected);
  expect(read(oneInput, { instances: [{ x: [1, 2] }, { x: [3, 4] }] }).inputs).toEqual(expected);
});

test('rows of a model with several inputs name their columns, bare or as arrays of one', () => {
  const { inputs, rowCount, single } = read(columns, {
    instances: [
      { age: 7, city: 'Ulm' },
      { city: 'Bonn', age: 8 },
    ],
  });
  expect({ rowCount, single }).toEqual({ rowCount: 2, single: false });
  expect(inputs).toEqual([
    { name: 'age', datatype: 'INT64', shape: [2, 1], data: BigInt64Array.of(7n, 8n) },
    { name: 'city', datatype: 'BYTES', shape: [2], data: [Buffer.from('Ulm'), Buffer.from('Bonn')] },
  ]);
  expect(read(columns, { instance: { age: [7], city: 'Ulm' } }).inputs[0]?.data).toEqual(BigInt64Array.of(7n));
});

test.each([
  ['neither form', oneInput, {}, /needs "instance" \(one row\) or "instances"/],
  ['both forms', oneInput, { instance: [1, 2], instances: [[1, 2]] }, /not both/],
  ['no rows', oneInput, { instances: [] }, /instances is empty/],
  [
    'a short row',
    oneInput,
    { instances: [[1, 2], [3]] },
    /instances\[1\]: input "x" takes 2 values a row, but this one is an array of 1/,
  ],
  ['a row of another width', oneInput, { instances: [[1, 2, 3]] }, /takes shape \[-1, 2\], not \[1, 3\]/],
  ['a row that is a number', oneInput, { instances: [1] }, /takes shape \[-1, 2\], not \[1\]/],
  ['an array for several inputs', columns, { instances: [[1, 'Ulm']] }, /instances\[0\] must be an object/],
  ['a missing column', columns, { instances: [{ age: 1 }] }, /instances\[0\] has no value for input "city"/],
  ['an unknown column', columns, { instances: [{ age: 1, city: 'a', zip: 1 }] }, /unknown input "zip"/],
  ['a column of another type', columns, { instances: [{ age: 'old', city: 'a' }] }, /must be an integer for INT64/],
  ['a name that every object has', columns, { instances: [{ toString: 1 }] }, /unknown input "toString"/],
])('%s is refused by name', (_, signature, body, message) => {
  expect(() => read(signature, body)).toThrow(message);
});

test('predictions are nested as the rest of the shape; several outputs become objects', () => {
  const rows = read(oneInput, {
    instances: [
      [1, 2],
      [3, 4],
    ],
  });
  const y = { name: 'y', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) } as const;
  const label = {
    name: 'label',
    datatype: 'INT64',
    shape: [2],
    data: BigInt64Array.of(9007199254740993n, 1n),
  } as const;
  const cube = { name: 'c', datatype: 'INT8', shape: [2, 2, 1], data: Int8Array.of(1, 2, 3, 4) } as const;
  expect(writeRows('{"m":1', rows, [y])).toBe('{"m":1,"predictions":[[1,2],[3,4]]}');
  expect(writeRows('{"m":1', rows, [label, cube])).toBe(
    '{"m":1,"predictions":[{"label":9007199254740993,"c":[[1],[2]]},{"label":1,"c":[[3],[4]]}]}',
  );
  expect(
    writeRows('{"m":1', { ...rows, rowCount: 1, single: true }, [{ ...y, shape: [1, 2], data: Float32Array.of(1, 2) }]),
  ).toBe('{"m":1,"prediction":[1,2]}');
});

test('however many rows there are, each is told in its place', () => {
  const rowCount = 3000;
  const y = { name: 'y', datatype: 'INT32', shape: [rowCount, 1, 2] } as const;
  const data = Int32Array.from({ length: rowCount * 2 }, (_, index) => index);
  const { predictions } = JSON.parse(writeRows('{"m":1', { inputs: [], rowCount, single: false }, [{ ...y, data }]));
  expect(predictions).toEqual(Array.from({ length: rowCount }, (_, index) => [[index * 2, index * 2 + 1]]));
});

test('an output without a row for each row of the request cannot be told by rows', () => {
  const rows = read(oneInput, {
    instances: [
      [1, 2],
      [3, 4],
    ],
  });
  expect(() =>
    writeRows('{"m":1', rows, [{ name: 'mean', datatype: 'FP32', shape: [2, 1], data: Float32Array.of(1, 2) }]),
  ).not.toThrow();
  expect(() =>
    writeRows('{"m":1', rows, [{ name: 'mean', datatype: 'FP32', shape: [1], data: Float32Array.of(1) }]),
  ).toThrow(/shape \[1\] for 2 rows.*use \/v2/);
});
