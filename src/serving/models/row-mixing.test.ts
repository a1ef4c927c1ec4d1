import { expect, it } from 'vitest';
import { modelBytes, modelPath } from './load-fixture.ts';
import { operatorsOf } from './onnx-operators.ts';
import { rowMixing } from './row-mixing.ts';

it.each([
  ['in order', 'tiny/several-outputs.onnx', ['Constant', 'TopK', 'ReduceMean']],
  ['beside weights', 'digits.onnx', ['Scaler', 'MatMul', 'Softmax', 'ArgMax']],
  ['in branches and functions', 'tiny/quantised-in-branch.onnx', ['If', 'Quantise', 'DynamicQuantizeLinear']],
])('finds operators %s, in a file as in memory', async (_where, name, expected) => {
  const path = modelPath(name);
  const found = operatorsOf({ path });
  expect([...found]).toEqual(expect.arrayContaining(expected));
  expect(operatorsOf({ path, bytes: await modelBytes(name) })).toEqual(found);
});

it('tells the operator by which rows mix', () => {
  expect(rowMixing({ path: modelPath('tiny/dynamic-quantised.onnx') })).toMatch(/DynamicQuantizeLinear/);
  expect(rowMixing({ path: modelPath('digits.onnx') })).toBeUndefined();
});

it('takes a model whose operators it cannot read for one whose rows mix', async () => {
  expect(rowMixing({ path: modelPath('README.md') })).toMatch(/cannot be read/);
  const whole = await modelBytes('digits.onnx');
  for (const keptBytes of [1, 100, whole.length - 1]) {
    expect(rowMixing({ path: '', bytes: whole.subarray(0, keptBytes) })).toMatch(/cannot be read/);
  }
});
