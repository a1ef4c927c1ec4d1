import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { OnnxSession } from './models/onnx-session.ts';
import { whyNotBatchable } from './row-independence.ts';
import { outliersLike, sampleInputs } from './sample-inputs.ts';
import type { SessionLike } from './session.ts';
import type { Datatype, Tensor, TensorData } from './tensor.ts';
import { FakeSession, rowsOfTwo } from './testing/fake-session.ts';
import { node, onnxModel } from './testing/onnx-model.ts';

const modelFile = (name: string): string => fileURLToPath(new URL(`../../e2e/models/${name}.onnx`, import.meta.url));
const onnx = (name: string) => new OnnxSession({ path: modelFile(name), device: 'cpu', threads: 1 });
const ask = (session: SessionLike, isAsked = true) =>
  whyNotBatchable(session, sampleInputs(session.inputs, 1), isAsked);

test.each([
  'breast-cancer-v1',
  'breast-cancer-v2',
  'digits',
  'tiny/two-inputs',
  'tiny/several-outputs',
  'tiny/wide-mlp',
  'tiny/identity-fp16',
])('the rows of %s do not depend on each other', async (name) => {
  expect(await ask(onnx(name), false)).toBeUndefined();
});

const unproven = (operator: string) => `operator ${operator} may mix rows, and nobody asked for batching`;

test.each([
  ['tiny/batch-mean', 'ReduceMean'],
  ['tiny/batch-scale', 'ReduceMax'],
  ['breast-cancer-slow', 'Loop'],
])('the rows of %s meet only where a user asks for it: its graph proves nothing', async (name, operator) => {
  expect(await ask(onnx(name), false)).toBe(unproven(operator));
});

test('a loop that a user has answered for is batched once runs agree', async () => {
  expect(await ask(onnx('breast-cancer-slow'))).toBeUndefined();
});

test.each<[Datatype, number]>([
  ['INT64', 7],
  ['INT32', 6],
  ['BOOL', 9],
  ['UINT8', 2],
])('rows of %s that one row sets the scale of never meet', async (_, type) => {
  const bytes = onnxModel({
    inputs: { x: { type, shape: [-1, 2] } },
    outputs: { y: [-1, 2] },
    nodes: [
      node('Cast', ['x'], ['f'], { to: 1 }),
      node('ReduceMax', ['f'], ['m'], { keepdims: 1 }),
      node('Add', ['m', 'f'], ['y']),
    ],
  });
  const session = new OnnxSession({ path: '', bytes, device: 'cpu', threads: 1 });
  expect(await ask(session, false)).toBe(unproven('ReduceMax'));
  expect(await ask(session)).toBe('output y of a row depends on the rows beside it');
});

test('a sample of several rows that depend on each other is seen without a neighbour', async () => {
  const summed = new FakeSession({
    run: async ([input = rowsOfTwo(1)]) => {
      const values = input.data as Float32Array;
      const sum = values.reduce((total, value) => total + value, 0);
      return [{ ...input, name: 'y', data: new Float32Array(values.length).fill(sum) }];
    },
  });
  expect(await whyNotBatchable(summed, [rowsOfTwo(3)], true)).toBe('output y of a row depends on the rows beside it');
});

test('a fixed first dimension leaves no room', async () => {
  expect(await ask(onnx('tiny/fixed-batch'))).toBe('the first dimension of input x is not free');
});

test('a mean over the rows is seen, whatever its shape claims', async () => {
  expect(await ask(onnx('tiny/batch-mean'))).toBe('the outputs do not have one row for each row of input');
});

test('a model for which the first dimension is time is seen', async () => {
  const running = new FakeSession({
    run: async ([input]) => {
      let sum = 0;
      const data = Float32Array.from(input?.data as Float32Array, (value) => (sum += value));
      return [{ name: 'y', datatype: 'FP32', shape: input?.shape ?? [], data }];
    },
  });
  expect(await ask(running)).toBe('output y of a row depends on the rows beside it');
});

test('a model that refuses more than one row is seen', async () => {
  const session = new FakeSession({
    run: async (inputs) => ((inputs[0]?.shape[0] ?? 0) > 1 ? Promise.reject(new Error('one row only')) : inputs),
  });
  expect(await ask(session)).toBe('the engine refuses rows together: one row only');
});

describe('a model in which one row sets the scale of all', () => {
  const rows = (...data: number[]): Tensor => ({
    name: 'x',
    datatype: 'FP32',
    shape: [data.length / 4, 4],
    data: Float32Array.from(data),
  });
  const ordinary = [0.5, 0.5, 0.5, 0.5];
  const great = [4000, -4000, 4000, -4000];
  const labels = async (session: SessionLike, ...data: number[]) => {
    const [label] = await session.run([rows(...data)], ['label']);
    return Array.from(label?.data as BigInt64Array, Number);
  };

  test.each(['tiny/batch-scale', 'tiny/dynamic-quantised'])(
    '%s answers a row wrongly beside a great one',
    async (name) => {
      const session = onnx(name);
      expect(await labels(session, ...ordinary)).toEqual([1]);
      expect((await labels(session, ...ordinary, ...great))[0]).toBe(0);
    },
  );

  test('is seen beside rows far outside its range', async () => {
    expect(await ask(onnx('tiny/batch-scale'))).toBe('output label of a row depends on the rows beside it');
  });

  test.each(['tiny/dynamic-quantised', 'tiny/quantised-in-branch'])('is seen by the operators of %s', async (name) => {
    expect(await ask(onnx(name))).toBe('operator DynamicQuantizeLinear takes one scale from all rows together');
  });
});

test('a row of great values that the engine refuses also alone is no reason against sharing', async () => {
  const session = new FakeSession({
    run: async ([input]) => {
      const data = input?.data as Float32Array;
      if (data.some((value) => Math.abs(value) > 100)) throw new Error('out of range');
      return [{ name: 'y', datatype: 'FP32', shape: input?.shape ?? [], data }];
    },
  });
  expect(await ask(session)).toBeUndefined();
});

test.each<[Datatype, TensorData, unknown]>([
  ['FP32', Float32Array.of(0.5, -2), [2000, -2000]],
  ['FP64', Float64Array.of(1e307, 0), [1e308, -1e308]],
  ['FP16', Uint16Array.of(0x5640, 0), [0x7bff, 0xfbff]],
  ['UINT8', Uint8Array.of(1, 1), [255, 0]],
  ['INT16', Int16Array.of(3, -1), [3000, -3000]],
  ['INT64', BigInt64Array.of(1n, 2n), [1n, 2n]],
])('outliers of %s lie far outside, and within the datatype', (datatype, data, expected) => {
  const [outlier] = outliersLike([{ name: 'x', datatype, shape: [1, 2], data }], 1, false);
  expect(Array.from(outlier?.data as Iterable<unknown>)).toEqual(expected);
});

test('outliers of integers that are measures lie outside too', () => {
  const input = { name: 'x', datatype: 'INT64', shape: [1, 2], data: BigInt64Array.of(1n, 2n) } as const;
  expect(outliersLike([input], -1, true)[0]?.data).toEqual(BigInt64Array.of(-2000n, 2000n));
});
