import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { ModelExample } from '../api/serving-config.ts';
import { OnnxSession } from './models/onnx-session.ts';
import { writeBinaryData } from './protocol/binary-tensor.ts';
import { ModelSignature } from './protocol/model-signature.ts';
import type { SessionLike } from './session.ts';
import { DATATYPES, type Datatype, type Tensor } from './tensor.ts';
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

describe('a model of large tensors', () => {
  /** Each look at the clock takes 50 ms, so that a warm-up has a few runs. */
  const warmAFewTimes = (session: SessionLike, examples: readonly ModelExample[] = []) => {
    let nowMs = 0;
    const signature = new ModelSignature(session.inputs, session.outputs);
    return warmUp(session, signature, examples, () => (nowMs += 50));
  };
  const bytesOf = (tensors: readonly Tensor[] | undefined) => Buffer.concat((tensors ?? []).map(writeBinaryData));

  test.each<[string, Datatype, number[], unknown[] | undefined]>([
    ['an image of the usual size', 'FP32', [1, 3, 640, 640], undefined],
    ['an example of many exact integers', 'INT64', [1, 150_000], new Array(150_000).fill(2n ** 62n)],
    ['an example of one long string', 'BYTES', [1, 1], ['x'.repeat(17 << 20)]],
  ])('is warmed up where JSON has no room for %s', async (_, datatype, shape, data) => {
    const session = identitySession(datatype, shape);
    const examples = data === undefined ? [] : [{ inputs: [{ name: 'x', shape, data }] }];
    const inputs = await warmAFewTimes(session, examples);
    expect(session.runs.length).toBeGreaterThan(1);
    expect(session.runs.at(-1)).toMatchObject([{ name: 'x', datatype, shape }]);
    expect(bytesOf(session.runs.at(-1)).equals(bytesOf(inputs))).toBe(true);
  });

  test('is warmed up without the text of its answers, which the heap may not hold', async () => {
    const spec = { name: 'mask', datatype: 'INT32', shape: [1, 21, 512, 512] } as const;
    const join = (): never => {
      throw new Error('an answer was written as text');
    };
    const data = Object.assign(new Int32Array(21 * 512 * 512), { join });
    const session = new FakeSession({ outputs: [spec], run: async () => [{ ...spec, data }] });
    await expect(warmAFewTimes(session)).resolves.toBeDefined();
    expect(session.runs.length).toBeGreaterThan(1);
  });
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

test.each<[Datatype, number, number]>([
  ['FP32', 250_000.14, 250_000.12],
  ['FP16', 0.9995, 0.999],
  ['BF16', 3, 3.016],
  ['FP64', 1e9, 1e9 + 100],
])('an example of %s that is a last bit off passes: %d for %d', async (datatype, value, expected) => {
  const example = {
    inputs: [{ name: 'x', shape: [1, 1], data: [value] }],
    expect: [{ name: 'y', data: [expected] }],
  };
  await expect(warm(identitySession(datatype), [example])).resolves.toBeDefined();
  await expect(warm(identitySession(datatype), [{ ...example, tolerance: 0 }])).rejects.toMatchObject({
    reason: 'ExampleMismatch',
  });
  const wrong = { ...example, expect: [{ name: 'y', data: [expected * 1.1] }] };
  await expect(warm(identitySession(datatype), [wrong])).rejects.toMatchObject({ reason: 'ExampleMismatch' });
});

test.each<[string, ModelExample, RegExp]>([
  [
    'another value',
    { inputs: [x], expect: [{ name: 'y', data: [1, 2.5] }] },
    /example 0: output y\[1\] is 2, but 2.5 was expected \(tolerance 0.000125\)/,
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
