import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { ModelExample } from '../api/serving-config.ts';
import { OnnxSession } from './models/onnx-session.ts';
import { ModelSignature } from './protocol/model-signature.ts';
import { whyNotBatchable } from './row-independence.ts';
import { sampleInputs, sampleLike } from './sample-inputs.ts';
import type { SessionLike } from './session.ts';
import { DATATYPES } from './tensor.ts';
import { FakeSession, identitySession } from './testing/fake-session.ts';
import { warmUp } from './warm-up.ts';

const modelFile = (name: string): string => fileURLToPath(new URL(`../../e2e/models/${name}.onnx`, import.meta.url));
const onnx = (name: string) => new OnnxSession({ path: modelFile(name), device: 'cpu', threads: 1 });
const warm = (session: SessionLike, examples: readonly ModelExample[] = []) =>
  warmUp(session, new ModelSignature(session.inputs, session.outputs), examples, () => performance.now());

const x = { name: 'x', shape: [1, 2], data: [1, 2] };

test.each(DATATYPES.map((datatype) => ({ datatype })))(
  'a model of $datatype is warmed up without examples',
  async ({ datatype }) => {
    const [input] = await warm(identitySession(datatype));
    expect(input).toMatchObject({ datatype, shape: [1, 1] });
  },
);

test.each([
  'breast-cancer-v1',
  'breast-cancer-v2',
  'digits',
  'tiny/two-inputs',
  'tiny/several-outputs',
  'tiny/fixed-batch',
  'tiny/identity-string',
])('the real model %s is warmed up without examples', async (name) => {
  const session = onnx(name);
  expect((await warm(session)).map(({ name: input }) => input)).toEqual(session.inputs.map(({ name: input }) => input));
});

test('a model that refuses small sizes is tried with larger ones', async () => {
  const session = new FakeSession({
    inputs: [{ name: 'image', datatype: 'FP32', shape: [-1, 3, -1, -1] }],
    run: async (inputs) =>
      (inputs[0]?.shape[2] ?? 0) < 32 ? Promise.reject(new Error('kernel larger than image')) : inputs,
  });
  expect((await warm(session))[0]?.shape).toEqual([1, 3, 32, 32]);
});

test('a model that refuses every made-up input asks for an example', async () => {
  const session = new FakeSession({ run: async () => Promise.reject(new Error('bad index')) });
  await expect(warm(session)).rejects.toMatchObject({
    reason: 'LoadFailed',
    message: expect.stringMatching(/give an example.*bad index/),
  });
});

test('examples that give what they expect, within their tolerance, pass', async () => {
  const expected = (value: number, tolerance?: number) => [
    { inputs: [x], expect: [{ name: 'y', data: [1, value] }], ...(tolerance === undefined ? {} : { tolerance }) },
  ];
  await expect(warm(new FakeSession(), expected(2))).resolves.toMatchObject([{ data: Float32Array.of(1, 2) }]);
  await expect(warm(new FakeSession(), expected(2.05, 0.1))).resolves.toBeDefined();
});

test.each<[string, ModelExample, RegExp]>([
  [
    'another value',
    { inputs: [x], expect: [{ name: 'y', data: [1, 2.5] }] },
    /example 0: output y\[1\] is 2, but 2.5 was expected \(tolerance 0.0001\)/,
  ],
  [
    'an unknown output',
    { inputs: [x], expect: [{ name: 'q', data: [1] }] },
    /does not fit the model: unknown output "q"/,
  ],
  [
    'another number of values',
    { inputs: [x], expect: [{ name: 'y', data: [1] }] },
    /data has 1 values but shape \[1, 2\] needs 2/,
  ],
  [
    'an input that does not fit',
    { inputs: [{ ...x, shape: [1, 3] }] },
    /example 0 does not fit the model: input "x" takes shape/,
  ],
])('an example with %s fails the load', async (_, example, message) => {
  await expect(warm(new FakeSession(), [example])).rejects.toMatchObject({
    reason: 'ExampleMismatch',
    message: expect.stringMatching(message),
  });
});

test('an example that the engine refuses fails the load', async () => {
  const session = new FakeSession({ run: async () => Promise.reject(new Error('bad index')) });
  await expect(warm(session, [{ inputs: [x] }])).rejects.toMatchObject({
    reason: 'ExampleMismatch',
    message: 'example 0 is refused by the model: bad index',
  });
});

describe('whether requests may share a run', () => {
  const ask = (session: SessionLike) => {
    const sample = sampleInputs(session.inputs, 1);
    return whyNotBatchable(session, sample, sampleLike(sample, 2));
  };

  test.each([
    'breast-cancer-v1',
    'breast-cancer-v2',
    'digits',
    'tiny/two-inputs',
    'tiny/several-outputs',
    'tiny/wide-mlp',
    'tiny/identity-fp16',
  ])('the rows of %s do not depend on each other', async (name) => {
    expect(await ask(onnx(name))).toBeUndefined();
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
});
