import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InferenceError } from '../inference-error.ts';
import { DATATYPES, type Datatype, type Tensor, type TensorData } from '../tensor.ts';
import { readBinaryData, writeBinaryData } from './binary-tensor.ts';
import { ELEMENT_TYPES } from './element-types.ts';
import { parseJson } from './json-parse.ts';
import { jsonChars, readJsonData, writeJsonValues } from './json-tensor.ts';

/** Values of a datatype as a tensor holds them; of 16-bit floats every pattern, of NaNs only the usual one. */
function values(datatype: Datatype): fc.Arbitrary<TensorData> {
  const make = <T>(element: fc.Arbitrary<T>, from: (all: T[]) => TensorData) =>
    fc.array(element, { minLength: 1, maxLength: 30 }).map(from);
  switch (datatype) {
    case 'BYTES':
      return make(
        fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
        (all) => all.map((text) => Buffer.from(text)),
      );
    case 'BOOL':
      return make(fc.integer({ min: 0, max: 1 }), (all) => Uint8Array.from(all));
    case 'FP32':
      return make(fc.float(), (all) => Float32Array.from(all));
    case 'FP64':
      return make(fc.double(), (all) => Float64Array.from(all));
    case 'FP16':
      return make(
        fc.integer({ min: 0, max: 0xffff }).filter((bits) => (bits & 0x7c00) !== 0x7c00 || bits === 0x7e00),
        (all) => Uint16Array.from(all),
      );
    case 'BF16':
      return make(
        fc.integer({ min: 0, max: 0xffff }).filter((bits) => (bits & 0x7f80) !== 0x7f80 || bits === 0x7f80),
        (all) => Uint16Array.from(all),
      );
    case 'INT64':
      return make(fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }), (all) => BigInt64Array.from(all));
    case 'UINT64':
      return make(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (all) => BigUint64Array.from(all));
    default: {
      const { array, min, max } = ELEMENT_TYPES[datatype];
      return make(fc.integer({ min: Number(min), max: Number(max) }), (all) => {
        const out = new array(all.length) as Int32Array;
        out.set(all);
        return out;
      });
    }
  }
}

/** The values as they compare after JSON, whose writer gives minus zero as zero. */
function plain(datatype: Datatype, data: TensorData): unknown {
  const isHalf = datatype === 'FP16' || datatype === 'BF16';
  return Array.from(data as ArrayLike<unknown>, (value) => (value === 0 || (isHalf && value === 0x8000) ? 0 : value));
}

const tensor = (datatype: Datatype, data: TensorData): Tensor => ({ name: 'x', datatype, shape: [data.length], data });

describe.each(DATATYPES.map((datatype) => ({ datatype })))('$datatype', ({ datatype }) => {
  test('every value survives JSON, and what is written is JSON', () => {
    fc.assert(
      fc.property(values(datatype), (data) => {
        const text = `[${writeJsonValues(tensor(datatype, data))}]`;
        expect(() => JSON.parse(text)).not.toThrow();
        const read = readJsonData('x', datatype, [data.length], parseJson(Buffer.from(text), true));
        expect(plain(datatype, read)).toEqual(plain(datatype, data));
        expect(`[${writeJsonValues(tensor(datatype, read))}]`).toBe(text);
      }),
    );
  });

  test('every value survives bytes, wherever in a buffer they lie', () => {
    fc.assert(
      fc.property(values(datatype), fc.integer({ min: 0, max: 9 }), (data, offset) => {
        const bytes = writeBinaryData(tensor(datatype, data));
        const moved = Buffer.alloc(bytes.length + offset);
        moved.set(bytes, offset);
        const read = readBinaryData('x', datatype, [data.length], moved.subarray(offset));
        expect(Array.from(read as ArrayLike<unknown>, String)).toEqual(Array.from(data as ArrayLike<unknown>, String));
      }),
    );
  });

  test('bytes of any other length are refused, never read past', () => {
    fc.assert(
      fc.property(values(datatype), fc.uint8Array({ minLength: 1, maxLength: 3 }), (data, more) => {
        const bytes = writeBinaryData(tensor(datatype, data));
        for (const wrong of [Buffer.concat([bytes, more]), bytes.subarray(0, bytes.length - 1)]) {
          expect(() => readBinaryData('x', datatype, [data.length], wrong)).toThrow(InferenceError);
        }
      }),
    );
  });
});

test.each([
  ['300 for UINT8', 'UINT8', 300, /300 at index 0 is out of range for UINT8/],
  ['-1 for UINT32', 'UINT32', -1, /-1 at index 0 is out of range for UINT32/],
  ['a fraction for INT32', 'INT32', 1.5, /must be an integer for INT32, not 1.5/],
  ['a string for INT32', 'INT32', '1', /must be an integer for INT32, not the string "1"/],
  ['a number beyond FP32', 'FP32', 1e39, /out of range for FP32/],
  ['a number beyond FP16', 'FP16', 70_000, /70000 at index 0 is out of range for FP16/],
  ['null for FP32', 'FP32', null, /must be a number for FP32, not null/],
  ['a boolean for FP32', 'FP32', true, /must be a number for FP32, not true/],
  ['an unknown word for FP32', 'FP32', 'nan', /not the string "nan"/],
  ['1 for BOOL', 'BOOL', 1, /must be true or false for BOOL, not 1/],
  ['a number for BYTES', 'BYTES', 1, /must be a string for BYTES, not 1/],
  ['a zero byte in BYTES', 'BYTES', 'a\0b', /string at index 0 holds a zero byte/],
  ['half a surrogate pair for BYTES', 'BYTES', '\ud800', /not valid Unicode/],
  ['2^63 for INT64', 'INT64', 1n << 63n, /out of range for INT64/],
  ['-1 for UINT64', 'UINT64', -1, /out of range for UINT64/],
  ['1e18 as a float for INT64', 'INT64', 1e18, /lost digits/],
  ['an array for FP32', 'FP32', [[1]], /shape \[1\] has 1 dimensions|array of 1/],
] as const)('%s is refused by name', (_, datatype, value, message) => {
  expect(() => readJsonData('x', datatype, [1], [value])).toThrow(message);
});

test.each([
  ['too few', [1, 2, 3], /3 values but shape \[2, 2\] needs 4/],
  ['too many', [1, 2, 3, 4, 5], /5 values but shape \[2, 2\] needs 4/],
  ['a short row', [[1, 2], [3]], /depth 2 of data has 1 entries.*needs 2/],
  ['a missing row', [[1, 2]], /depth 1 of data has 1 entries.*needs 2/],
  [
    'nested too deep',
    [
      [[1], [2]],
      [[3], [4]],
    ],
    /must be a number for FP32, not an array of 1/,
  ],
  ['no array', 7, /data must be an array, not 7/],
])('data of %s values is refused with the numbers', (_, data, message) => {
  expect(() => readJsonData('x', 'FP32', [2, 2], data)).toThrow(message);
});

test('nested data reads as flat data does', () => {
  const nested = readJsonData(
    'x',
    'INT32',
    [2, 3],
    [
      [1, 2, 3],
      [4, 5, 6],
    ],
  );
  expect(nested).toEqual(readJsonData('x', 'INT32', [2, 3], [1, 2, 3, 4, 5, 6]));
});

test('integers of 64 bits keep every digit when they are parsed exactly, and cost nothing when they are short', () => {
  const text = '[9223372036854775807,-9223372036854775808,1]';
  const read = readJsonData('x', 'INT64', [3], parseJson(Buffer.from(text), true));
  expect(read).toEqual(BigInt64Array.of(9223372036854775807n, -9223372036854775808n, 1n));
  expect(`[${writeJsonValues(tensor('INT64', read))}]`).toBe(text);
});

test('a float that is not finite is a string in JSON, in both directions', () => {
  const data = Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1);
  expect(writeJsonValues(tensor('FP32', data))).toBe('"NaN","Infinity","-Infinity",1');
  expect(readJsonData('x', 'FP32', [4], ['NaN', 'Infinity', '-Infinity', 1])).toEqual(data);
});

test.each([64, 65, 1024, 1025, 3000])(
  '%i values are written as each of them alone, however many are written at a time',
  (count) => {
    const cycle = <T>(...of: readonly T[]) => Array.from({ length: count }, (_, index) => of[index % of.length] as T);
    const tensors = [
      tensor(
        'FP32',
        Float32Array.from(cycle(0.1, -0, Number.NaN, 1e-7, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY)),
      ),
      tensor('FP16', Uint16Array.from(cycle(0x3c00, 0x7e00, 0xfc00))),
      tensor('INT64', BigInt64Array.from(cycle(1n, -(1n << 63n)))),
      tensor('BOOL', Uint8Array.from(cycle(0, 1))),
      tensor('BYTES', cycle(Buffer.from('a,"b'), Buffer.from('é'))),
    ];
    for (const { datatype, data } of tensors) {
      const alone = Array.from(data as ArrayLike<unknown>, (_, index) =>
        writeJsonValues(tensor(datatype, data.slice(index, index + 1))),
      );
      expect(writeJsonValues(tensor(datatype, data))).toBe(alone.join(','));
    }
  },
);

const edges: readonly (readonly [Datatype, TensorData])[] = [
  ['BOOL', Uint8Array.of(0)],
  ['UINT8', Uint8Array.of(255)],
  ['UINT16', Uint16Array.of(65_535)],
  ['UINT32', Uint32Array.of(4_294_967_295)],
  ['UINT64', BigUint64Array.of((1n << 64n) - 1n)],
  ['INT8', Int8Array.of(-128)],
  ['INT16', Int16Array.of(-32_768)],
  ['INT32', Int32Array.of(-2_147_483_648)],
  ['INT64', BigInt64Array.of(-(1n << 63n))],
  ['FP16', Uint16Array.of(0x8001)],
  ['BF16', Uint16Array.of(0xb5a7)],
  ['FP32', Float32Array.of(-1.234_567_8e-6)],
  ['FP64', Float64Array.of(-1.234_567_890_123_456_7e-6)],
  ['BYTES', [Buffer.alloc(100, 1)]],
];
test.each(edges)('no value of %s takes more characters than are counted for it', (datatype, data) => {
  const text = writeJsonValues(tensor(datatype, data));
  expect(text.length + 1).toBeLessThanOrEqual(jsonChars(tensor(datatype, data)));
  fc.assert(
    fc.property(values(datatype), (any) => {
      expect(writeJsonValues(tensor(datatype, any)).length + 1).toBeLessThanOrEqual(jsonChars(tensor(datatype, any)));
    }),
  );
});

test('a byte of BOOL other than 0 and 1 is refused', () => {
  expect(() => readBinaryData('x', 'BOOL', [2], Uint8Array.of(1, 2))).toThrow(/byte 2 at index 1/);
});

test('bytes that an ONNX string cannot hold are refused', () => {
  expect(() => readBinaryData('x', 'BYTES', [1], Uint8Array.of(1, 0, 0, 0, 0xff))).toThrow(/index 0 is not UTF-8/);
});

test('bytes that are not text cannot be told in JSON, and the message says what can', () => {
  expect(() => writeJsonValues(tensor('BYTES', [Uint8Array.of(0xff)]))).toThrow(/binary_data/);
});

test('aligned bytes are viewed, not copied', () => {
  const bytes = new Uint8Array(16);
  expect((readBinaryData('x', 'FP32', [2, 2], bytes) as Float32Array).buffer).toBe(bytes.buffer);
});
