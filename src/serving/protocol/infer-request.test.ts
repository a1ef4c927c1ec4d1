import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InferenceError } from '../inference-error.ts';
import { readInferRequest } from './infer-request.ts';
import { ModelSignature } from './model-signature.ts';

const signature = new ModelSignature(
  [
    { name: 'x', datatype: 'FP32', shape: [-1, 2] },
    { name: 'n', datatype: 'INT64', shape: [-1] },
  ],
  [
    { name: 'y', datatype: 'FP32', shape: [-1, 2] },
    { name: 'z', datatype: 'INT64', shape: [-1] },
  ],
);
const x = { name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] };
const n = { name: 'n', shape: [1], datatype: 'INT64', data: [7] };

const read = (request: unknown, binary: Uint8Array = new Uint8Array(), jsonLength?: number) => {
  const json = Buffer.from(typeof request === 'string' ? request : JSON.stringify(request));
  return readInferRequest(signature, Buffer.concat([json, binary]), binary.length > 0 ? json.length : jsonLength);
};

test('a request is read in the order of the model, whatever its own', () => {
  const { id, inputs, outputNames, binaryOutputs } = read({ id: 'a', inputs: [n, x] });
  expect({ id, outputNames, binaryOutputs }).toEqual({
    id: 'a',
    outputNames: ['y', 'z'],
    binaryOutputs: [],
  });
  expect(inputs.map(({ name }) => name)).toEqual(['x', 'n']);
  expect(inputs[1]?.data).toEqual(BigInt64Array.of(7n));
});

test('null stands for a field that is left out', () => {
  const nothing = { parameters: null, id: null, outputs: null };
  expect(read({ inputs: [{ ...x, parameters: null }, n], ...nothing })).toEqual(read({ inputs: [x, n] }));
  const binary = { ...x, data: null, parameters: { binary_data_size: 8, classification: null } };
  const { inputs } = read({ inputs: [binary, n], parameters: { binary_data_output: null } }, new Uint8Array(8));
  expect(inputs[0]?.data).toEqual(Float32Array.of(0, 0));
  const asked = [{ name: 'y', parameters: { binary_data: null } }];
  expect(read({ inputs: [x, n], outputs: asked })).toEqual(read({ inputs: [x, n], outputs: [{ name: 'y' }] }));
});

test.each([
  ['n', /^input "n": value Infinity at index 0 is out of range for INT64$/],
  ['x', /^input "x": value Infinity at index 0 is out of range for FP32$/],
])('a million digits for %s are out of range, cost nothing to read and are not echoed', (name, message) => {
  const given = name === 'n' ? [x, { ...n, data: [0] }] : [{ ...x, data: [0, 0] }, n];
  const text = JSON.stringify({ inputs: given }).replace('[0', `[${'9'.repeat(1_000_000)}`);
  expect(() => read(text)).toThrow(message);
});

test('a long integer for a float is checked against its range beside exact integers as it is alone', () => {
  const literal = (digits: string) =>
    JSON.stringify({ inputs: [x, n] }).replace('"data":[1,2]', `"data":[${digits},2]`);
  expect(read(literal('9007199254740993')).inputs[0]?.data).toEqual(Float32Array.of(9007199254740992, 2));
  const halves = new ModelSignature(
    [
      { name: 'x', datatype: 'FP16', shape: [1] },
      { name: 'n', datatype: 'INT64', shape: [1] },
    ],
    [],
  );
  const half = JSON.stringify({ inputs: [{ name: 'x', shape: [1], datatype: 'FP16', data: [0] }, n] });
  const body = Buffer.from(half.replace('[0]', '[9007199254740993]'));
  expect(() => readInferRequest(halves, body, undefined)).toThrow(/out of range for FP16/);
});

test('the message about a shape or a name is short, however long they are', () => {
  const shape = new Array(60_000).fill(1);
  expect(() => read({ inputs: [{ ...x, shape }, n] })).toThrow(
    'input "x" takes shape [-1, 2], not [1, 1, 1, 1, 1, 1, 1, 1, … (60000 dimensions)]',
  );
});

test('integers of 64 bits arrive with every digit', () => {
  const text = JSON.stringify({ inputs: [x, n] }).replace('[7]', '[9007199254740993]');
  expect(read(text).inputs[1]?.data).toEqual(BigInt64Array.of(9007199254740993n));
});

test('outputs are answered as asked: which, in what order, in which form', () => {
  const request = {
    inputs: [x, n],
    parameters: { binary_data_output: true },
    outputs: [{ name: 'z', parameters: { binary_data: false } }, { name: 'y' }],
  };
  expect(read(request)).toMatchObject({ outputNames: ['z', 'y'], binaryOutputs: [false, true] });
});

describe('binary tensors', () => {
  const binary = (size: number) => ({
    name: 'x',
    shape: [1, 2],
    datatype: 'FP32',
    parameters: { binary_data_size: size },
  });
  const bytes = new Uint8Array(Float32Array.of(3, Number.NaN).buffer);

  test('follow the JSON in the order of the inputs; values that are not finite pass', () => {
    const request = read({ inputs: [n, binary(8)] }, bytes);
    expect(request.inputs[0]?.data).toEqual(Float32Array.of(3, Number.NaN));
  });

  test.each([
    ['a size beyond the body', [binary(12), n], bytes, /binary_data_size is 12 but only 8 bytes are left/],
    [
      'a size that does not fit the shape',
      [binary(4), n],
      bytes,
      /4 bytes of binary data, but FP32 of shape \[1, 2\] needs 8/,
    ],
    ['bytes that nothing claims', [x, n], bytes, /8 bytes of binary data belong to no input/],
    ['data beside the size', [{ ...binary(8), data: [1, 2] }, n], bytes, /both data and binary_data_size/],
    ['a negative size', [binary(-1), n], bytes, /binary_data_size must be a number of bytes, not -1/],
    [
      'a size that is no number',
      [{ ...binary(8), parameters: { binary_data_size: '8' } }, n],
      bytes,
      /not the string "8"/,
    ],
  ])('%s is refused', (_, inputs, after, message) => {
    expect(() => read({ inputs }, after)).toThrow(message);
  });

  test('a JSON length beyond the body is refused', () => {
    expect(() => read({ inputs: [x, n] }, undefined, 10_000)).toThrow(
      /Inference-Header-Content-Length is 10000 but the body has/,
    );
  });
});

const broken: readonly (readonly [string, unknown, RegExp])[] = [
  ['no JSON', '{"inputs": [', /not JSON/],
  ['an empty body', '', /not JSON/],
  ['an array', [], /must be a JSON object, not an array of 0/],
  ['no inputs', {}, /inputs must be an array, but is missing/],
  ['an input that is no object', { inputs: [1] }, /inputs\[0\] must be an object, not 1/],
  ['an input without name', { inputs: [{ ...x, name: undefined }] }, /inputs\[0\].name must be a string/],
  [
    'an unknown input',
    { inputs: [x, n, { ...x, name: 'w' }] },
    /unknown input "w": the model takes "x" \(FP32 \[-1, 2\]\), "n"/,
  ],
  ['an input twice', { inputs: [x, x] }, /input "x" is given twice/],
  ['a missing input', { inputs: [x] }, /input "n" is missing/],
  ['another datatype', { inputs: [{ ...x, datatype: 'FP64' }, n] }, /input "x" is FP32, not FP64/],
  ['an unknown datatype', { inputs: [{ ...x, datatype: 'float' }, n] }, /unknown datatype "float"/],
  ['no datatype', { inputs: [{ ...x, datatype: undefined }, n] }, /datatype must be a string, not missing/],
  ['another number of dimensions', { inputs: [{ ...x, shape: [2] }, n] }, /takes shape \[-1, 2\], not \[2\]/],
  ['another size of a dimension', { inputs: [{ ...x, shape: [1, 3] }, n] }, /takes shape \[-1, 2\], not \[1, 3\]/],
  ['no shape', { inputs: [{ ...x, shape: undefined }, n] }, /shape must be an array/],
  [
    'a negative dimension',
    { inputs: [{ ...x, shape: [-1, 2] }, n] },
    /dimension 0 of shape must be a positive integer/,
  ],
  ['a fraction of a dimension', { inputs: [{ ...x, shape: [1.5, 2] }, n] }, /dimension 0/],
  ['a dimension of 0', { inputs: [{ ...x, shape: [0, 2], data: [] }, n] }, /dimension 0 of shape is 0/],
  ['a shape beyond memory', { inputs: [{ ...x, shape: [2 ** 40, 2] }, n] }, /more than 2147483647 elements/],
  ['no data', { inputs: [{ ...x, data: undefined }, n] }, /data must be an array, not missing/],
  ['an id that is no string', { id: 1, inputs: [x, n] }, /id must be a string, not 1/],
  ['an output twice', { inputs: [x, n], outputs: [{ name: 'y' }, { name: 'y' }] }, /asked for twice/],
  ['parameters that are no object', { parameters: 1, inputs: [x, n] }, /parameters of the request must be an object/],
  [
    'shared memory',
    { inputs: [{ ...x, parameters: { shared_memory_region: 'r' } }, n] },
    /shared_memory_region, which is not supported/,
  ],
];

test.each(broken)('%s is refused by name', (_, request, message) => {
  expect(() => read(request)).toThrow(message);
  expect(() => read(request)).toThrow(InferenceError);
});

test('an unknown output is not found', () => {
  expect(() => read({ inputs: [x, n], outputs: [{ name: 'q' }] })).toThrow(
    expect.objectContaining({ code: 'NotFound' }),
  );
});

test('bytes that are not UTF-8 are refused', () => {
  expect(() => readInferRequest(signature, Buffer.from([0x22, 0xff, 0x22]), undefined)).toThrow(/not UTF-8/);
});

test('JSON nested a hundred thousand deep is refused, not a crash', () => {
  const deep = `{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":${'['.repeat(1e5)}1234567890123456789${']'.repeat(1e5)}}]}`;
  expect(() => read(deep)).toThrow(InferenceError);
});

test('whatever JSON comes, the answer is tensors that fit the model or a client error', () => {
  const field = fc.oneof(
    fc.constantFrom('x', 'n', 'FP32', 'INT64'),
    fc.integer(),
    fc.double(),
    fc.constant(null),
    fc.array(fc.integer({ min: -2, max: 3 }), { maxLength: 3 }),
  );
  const input = fc.record(
    {
      name: field,
      shape: field,
      datatype: field,
      data: fc.oneof(field, fc.array(field, { maxLength: 4 })),
      parameters: fc.oneof(field, fc.record({ binary_data_size: field })),
    },
    { requiredKeys: [] },
  );
  const request = fc.record(
    {
      id: field,
      inputs: fc.oneof(fc.array(fc.oneof(input, fc.constant(x), fc.constant(n)), { maxLength: 3 }), fc.jsonValue()),
      outputs: fc.jsonValue(),
      parameters: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(request, fc.uint8Array({ maxLength: 20 }), (value, binary) => {
      try {
        for (const { data, shape } of read(value, binary).inputs) {
          expect(data.length).toBe(shape.reduce((product, dimension) => product * dimension, 1));
        }
      } catch (error) {
        expect(error).toBeInstanceOf(InferenceError);
      }
    }),
    { numRuns: 500 },
  );
});

test('a body cut or changed at any place never fails otherwise than as a client error', () => {
  const body = Buffer.from(JSON.stringify({ id: 'a', inputs: [x, n], outputs: [{ name: 'y' }] }));
  fc.assert(
    fc.property(fc.nat(body.length), fc.nat(255), fc.boolean(), (at, byte, cut) => {
      const changed = Buffer.from(cut ? body.subarray(0, at) : body);
      if (!cut && at < changed.length) changed[at] = byte;
      try {
        readInferRequest(signature, changed, undefined);
      } catch (error) {
        expect(error).toBeInstanceOf(InferenceError);
      }
    }),
    { numRuns: 500 },
  );
});
