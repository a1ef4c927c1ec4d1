import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { SessionLike } from '../session.ts';
import type { Datatype, Tensor, TensorData } from '../tensor.ts';
import { node, onnxModel } from '../testing/onnx-model.ts';
import { AdaptiveSession } from './adaptive-session.ts';
import { modelBytes, modelPath, silent } from './load-fixture.ts';
import { OnnxSession, type SessionOptions } from './onnx-session.ts';
import { WorkerSession } from './worker-session.ts';

const opened: SessionLike[] = [];
afterEach(async () => {
  for (const session of opened.splice(0)) await session.close();
});

const kinds: Readonly<Record<string, (options: SessionOptions) => Promise<SessionLike>>> = {
  'in this thread': async (options) => new OnnxSession(options),
  'in a worker thread': (options) => WorkerSession.open(options),
  adaptive: async (options) =>
    new AdaptiveSession(new OnnxSession(options), {
      openWorker: () => WorkerSession.open(options),
      logger: silent,
      now: () => performance.now(),
    }),
};

describe.each(Object.entries(kinds))('a session %s', (_name, openSession) => {
  async function open(model: string, options: Partial<SessionOptions> = {}): Promise<SessionLike> {
    const session = await openSession({ path: modelPath(model), device: 'cpu', threads: 1, ...options });
    opened.push(session);
    return session;
  }

  const values: Readonly<Record<string, [Datatype, TensorData]>> = {
    bool: ['BOOL', Uint8Array.of(1, 0, 1, 1)],
    uint8: ['UINT8', Uint8Array.of(0, 1, 128, 255)],
    uint16: ['UINT16', Uint16Array.of(0, 1, 2, 65535)],
    uint32: ['UINT32', Uint32Array.of(0, 1, 2, 2 ** 32 - 1)],
    uint64: ['UINT64', BigUint64Array.of(0n, 1n, 2n ** 53n + 1n, 2n ** 64n - 1n)],
    int8: ['INT8', Int8Array.of(-128, -1, 0, 127)],
    int16: ['INT16', Int16Array.of(-32768, -1, 0, 32767)],
    int32: ['INT32', Int32Array.of(-(2 ** 31), -1, 0, 2 ** 31 - 1)],
    int64: ['INT64', BigInt64Array.of(-(2n ** 63n), -1n, 2n ** 53n + 1n, 2n ** 63n - 1n)],
    fp16: ['FP16', Uint16Array.of(0, 0x3c00, 0x7c00, 0x7e00)],
    fp32: ['FP32', Float32Array.of(0, -0, Number.NaN, Number.NEGATIVE_INFINITY)],
    fp64: ['FP64', Float64Array.of(1e-300, Number.MAX_VALUE, Number.NaN, Number.POSITIVE_INFINITY)],
    string: ['BYTES', ['', 'plain', 'Grüße 😀', '\ufeffbom'].map((text) => Buffer.from(text))],
  };

  it.each(Object.entries(values))('gives back %s values as they were given', async (file, [datatype, data]) => {
    const session = await open(`tiny/identity-${file}.onnx`);
    const spec = { datatype, shape: [-1, -1] };
    expect(session.inputs).toEqual([{ name: 'x', ...spec }]);
    expect(session.outputs).toEqual([{ name: 'y', ...spec }]);
    const [answer] = await session.run([{ name: 'x', datatype, shape: [2, 2], data }], ['y']);
    expect(answer).toMatchObject({ name: 'y', datatype, shape: [2, 2] });
    const plain = (tensor: TensorData | undefined) =>
      Array.from(tensor as Iterable<unknown>, (value) =>
        value instanceof Uint8Array ? Buffer.from(value).toString() : value,
      );
    expect(plain(answer?.data)).toEqual(plain(data));
  });

  it('answers real rows as Python does', async () => {
    const { rows, labels, expected } = JSON.parse(readFileSync(modelPath('breast-cancer.json'), 'utf8'));
    const session = await open('breast-cancer-v2.onnx');
    const x: Tensor = { name: 'x', datatype: 'FP32', shape: [rows.length, 30], data: Float32Array.from(rows.flat()) };
    const [probabilities, label] = await session.run([x], ['probabilities', 'label']);
    const answer = expected['breast-cancer-v2'];
    expect(Array.from(label?.data as BigInt64Array, Number)).toEqual(answer.label);
    const found = Array.from(probabilities?.data as Float32Array);
    for (const [index, value] of answer.probabilities.flat().entries()) expect(found[index]).toBeCloseTo(value, 5);
    expect(answer.label.filter((value: number, index: number) => value === labels[index]).length).toBeGreaterThan(60);
  });

  it('gives the outputs asked for, in that order', async () => {
    const session = await open('tiny/several-outputs.onnx');
    const x: Tensor = { name: 'x', datatype: 'FP32', shape: [1, 4], data: Float32Array.of(3, 1, 4, 2) };
    expect(await session.run([x], ['mean', 'indices'])).toEqual([
      { name: 'mean', datatype: 'FP32', shape: [1], data: Float32Array.of(2.5) },
      { name: 'indices', datatype: 'INT64', shape: [1, 2], data: BigInt64Array.of(2n, 0n) },
    ]);
  });

  it('takes and gives tensors named as the properties of every object', async () => {
    const pair = (name: string, value: number): Tensor => ({
      name,
      datatype: 'FP32',
      shape: [1, 2],
      data: Float32Array.of(value, value),
    });
    const names = await open('tiny/prototype-names.onnx');
    expect(await names.run([pair('__proto__', 1), pair('toString', 2)], ['valueOf'])).toEqual([pair('valueOf', -2)]);
    const output = await open('tiny/prototype-output.onnx');
    const both = await output.run([pair('x', 1)], ['y', '__proto__']);
    expect(both).toEqual([pair('y', 1), pair('__proto__', -1)]);
  });

  it('leaves its inputs to the caller, also when they are views of a larger buffer', async () => {
    const session = await open('tiny/two-inputs.onnx');
    const body = Float32Array.of(9, 1, 2, 3, 4, 9);
    const inputs: Tensor[] = [
      { name: 'a', datatype: 'FP32', shape: [1, 2], data: body.subarray(1, 3) },
      { name: 'b', datatype: 'FP32', shape: [1, 2], data: body.subarray(3, 5) },
    ];
    const [first] = await session.run(inputs, ['sum']);
    const [second] = await session.run(inputs, ['sum']);
    expect(first).toEqual({ name: 'sum', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(4, 6) });
    expect(second).toEqual(first);
    expect(body).toEqual(Float32Array.of(9, 1, 2, 3, 4, 9));
  });

  it('tells a fixed dimension from a free one', async () => {
    expect((await open('tiny/fixed-batch.onnx')).inputs).toEqual([{ name: 'x', datatype: 'FP32', shape: [4, 3] }]);
  });

  it.each(['Div', 'Mod'])('takes an integer %s by zero for the fault of the client', async (operator) => {
    const integers = { integers: [-1] };
    const bytes = onnxModel({
      nodes: [node(operator, ['a', 'b'], ['y'])],
      inputs: { a: integers, b: integers },
      outputs: { y: integers },
    });
    const session = await open('', { bytes });
    const one = (name: string, value: bigint): Tensor => ({
      name,
      datatype: 'INT64',
      shape: [1],
      data: BigInt64Array.of(value),
    });
    await expect(session.run([one('a', 1n), one('b', 0n)], ['y'])).rejects.toMatchObject({ code: 'InvalidArgument' });
    await expect(session.run([one('a', 4n), one('b', 3n)], ['y'])).resolves.toMatchObject([{ name: 'y' }]);
  });

  it('tells that the client has to change inputs which the engine refuses, and goes on', async () => {
    const session = await open('tiny/fixed-batch.onnx');
    const wrong: Tensor = { name: 'x', datatype: 'FP32', shape: [5, 3], data: new Float32Array(15) };
    await expect(session.run([wrong], ['y'])).rejects.toMatchObject({
      code: 'InvalidArgument',
      message: expect.stringMatching(/dimension/i),
    });
    const right: Tensor = { name: 'x', datatype: 'FP32', shape: [4, 3], data: new Float32Array(12).fill(1) };
    expect(await session.run([right], ['y'])).toMatchObject([{ data: new Float32Array(12).fill(-1) }]);
  });

  it.each([
    ['a zero byte', Buffer.from('a\0b')],
    ['bytes that are not UTF-8', Buffer.of(0xff, 0xfe)],
  ])('rejects a string with %s, which the engine would change', async (_what, value) => {
    const session = await open('tiny/identity-string.onnx');
    const run = session.run([{ name: 'x', datatype: 'BYTES', shape: [1, 1], data: [value] }], ['y']);
    await expect(run).rejects.toThrow(/x\[0\]/);
  });

  it('answers many runs at once, each with its own', async () => {
    const session = await open('tiny/identity-int64.onnx');
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        session.run([{ name: 'x', datatype: 'INT64', shape: [1, 1], data: BigInt64Array.of(BigInt(index)) }], ['y']),
      ),
    );
    expect(answers.map(([answer]) => answer?.data)).toEqual(
      Array.from({ length: 50 }, (_, index) => BigInt64Array.of(BigInt(index))),
    );
  });

  it('is closed only once a run that is in flight has been answered', async () => {
    const session = await open('tiny/fixed-batch.onnx');
    opened.splice(0);
    const x: Tensor = { name: 'x', datatype: 'FP32', shape: [4, 3], data: new Float32Array(12).fill(1) };
    const answer = session.run([x], ['y']);
    await session.close();
    expect(await answer).toMatchObject([{ data: new Float32Array(12).fill(-1) }]);
  });

  it.each([
    ['an opset of the future', 'tiny/wrong-opset.onnx', undefined, 'UnsupportedOpset'],
    ['a sequence for an output', 'tiny/sequence-output.onnx', undefined, 'InvalidModel'],
    ['a type the engine cannot take', 'tiny/identity-bf16.onnx', undefined, 'InvalidModel'],
    ['another format', 'README.md', undefined, 'InvalidModel'],
    ['no bytes at all', 'digits.onnx', async () => Buffer.of(), 'InvalidModel'],
    [
      'half of its bytes',
      'digits.onnx',
      async () => (await modelBytes('digits.onnx')).subarray(0, 6000),
      'InvalidModel',
    ],
    [
      'its last byte missing',
      'digits.onnx',
      async () => (await modelBytes('digits.onnx')).subarray(0, -1),
      'InvalidModel',
    ],
  ])('refuses a model with %s', async (_what, model, bytes, reason) => {
    const options = bytes === undefined ? {} : { bytes: await bytes() };
    await expect(open(model, options)).rejects.toMatchObject({ name: 'LoadFailure', reason });
  });

  it('whose weights are missing beside it is refused', async () => {
    const bytes = await modelBytes('tiny/external-weights/model.onnx');
    await expect(open('digits.onnx', { bytes })).rejects.toMatchObject({ name: 'LoadFailure' });
  });
});
