import { once } from 'node:events';
import { connect } from 'node:http2';
import {
  Client,
  credentials,
  type Metadata,
  Metadata as MetadataClass,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { afterEach, describe, expect, test } from 'vitest';
import type { Datatype, Tensor } from '../tensor.ts';
import { FakeSession, identitySession } from '../testing/fake-session.ts';
import { type ModelFixture, served } from '../testing/served.ts';
import { InferenceGrpcServer } from './inference-grpc-server.ts';
import { decodeModelInferResponse, encodeModelInferRequest, fromBigInt, toBigInt } from './messages.ts';
import { OPEN_INFERENCE_PROTO } from './open-inference-proto.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

const same = (bytes: Buffer): Buffer => bytes;
const { root } = protobuf.parse(OPEN_INFERENCE_PROTO, { keepCase: true });

async function start(...models: readonly ModelFixture[]) {
  const fixture = served(...models);
  const grpc = new InferenceGrpcServer({
    ...fixture,
    maxRequestBytes: 100_000,
    maxMessageBytes: 1_000_000,
    serverVersion: '1.2.3',
  });
  const port = await grpc.listen('127.0.0.1', 0);
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  ends.push(() => {
    client.close();
    grpc.kill();
  });
  const call = (method: string, bytes: Uint8Array, deadlineMs = 60_000, metadata: Metadata = new MetadataClass()) =>
    new Promise<Buffer>((resolve, reject) => {
      client.makeUnaryRequest(
        `/inference.GRPCInferenceService/${method}`,
        same,
        same,
        Buffer.from(bytes),
        metadata,
        { deadline: Date.now() + deadlineMs },
        (error: ServiceError | null, answer?: Buffer) => (answer === undefined ? reject(error) : resolve(answer)),
      );
    });
  const ask = async (method: string, request: Record<string, unknown> = {}): Promise<Record<string, unknown>> => {
    const bytes = root.lookupType(`inference.${method}Request`).encode(request).finish();
    const type = root.lookupType(`inference.${method}Response`);
    return type.toObject(type.decode(await call(method, bytes)), { longs: Number, defaults: true });
  };
  const infer = async (request: Parameters<typeof encodeModelInferRequest>[0]) =>
    decodeModelInferResponse(await call('ModelInfer', encodeModelInferRequest({ modelName: 'm', ...request })));
  return { ...fixture, grpc, port, call, ask, infer };
}

const raw = Buffer.from(Float32Array.of(1, Number.NaN).buffer);
const x = { name: 'x', datatype: 'FP32', shape: [1, 2] };
const identity = { session: new FakeSession() };

test('the server and its models describe themselves', async () => {
  const { ask, readiness } = await start({ ...identity, version: '7' });
  expect(await ask('ServerLive')).toEqual({ live: true });
  expect(await ask('ServerReady')).toEqual({ ready: true });
  expect(await ask('ModelReady', { name: 'm' })).toEqual({ ready: true });
  expect(await ask('ServerMetadata')).toEqual({
    name: 'fairlead',
    version: '1.2.3',
    extensions: ['binary_tensor_data'],
  });
  expect(await ask('ModelMetadata', { name: 'm', version: '7' })).toEqual({
    name: 'm',
    versions: ['7'],
    platform: 'onnx_onnxv1',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
  });
  readiness.phase = 'draining';
  expect(await ask('ServerReady')).toEqual({ ready: false });
});

test('a raw question gets a raw answer, bit for bit', async () => {
  const { infer } = await start({ ...identity, version: '7' });
  const answer = await infer({ id: 'a', inputs: [x], rawInputContents: [raw] });
  expect(answer).toMatchObject({ modelName: 'm', modelVersion: '7', id: 'a' });
  expect(answer.outputs[0]).toMatchObject({ name: 'y', datatype: 'FP32' });
  expect(answer.rawOutputContents?.[0]).toEqual(raw);
});

const cases: readonly (readonly [Datatype, string, readonly unknown[]])[] = [
  ['BOOL', 'boolContents', [true, false]],
  ['INT8', 'intContents', [-128, 127]],
  ['INT16', 'intContents', [-32_768, 32_767]],
  ['INT32', 'intContents', [-(2 ** 31), 2 ** 31 - 1]],
  ['UINT8', 'uintContents', [0, 255]],
  ['UINT16', 'uintContents', [0, 65_535]],
  ['UINT32', 'uintContents', [0, 2 ** 32 - 1]],
  ['FP32', 'fp32Contents', [0.5, Number.POSITIVE_INFINITY]],
  ['FP64', 'fp64Contents', [1e300, -0.1]],
];

test.each(cases)('%s values come and go in %s', async (datatype, field, values) => {
  const { infer } = await start({ session: identitySession(datatype) });
  const answer = await infer({ inputs: [{ ...x, datatype, contents: { [field]: values } }] });
  const contents: Record<string, unknown> = { ...answer.outputs[0]?.contents };
  expect(contents[field]).toEqual(values);
});

test('integers of 64 bits and byte strings are exact in contents', async () => {
  const longs = await start({ session: identitySession('INT64') });
  const int64Contents = [(1n << 63n) - 1n, -(1n << 63n)].map(fromBigInt);
  const long = await longs.infer({ inputs: [{ ...x, datatype: 'INT64', contents: { int64Contents } }] });
  expect(Array.from(long.outputs[0]?.contents?.int64Contents ?? [], toBigInt)).toEqual([
    (1n << 63n) - 1n,
    -(1n << 63n),
  ]);
  const texts = await start({ session: identitySession('BYTES') });
  const bytesContents = [Buffer.from(''), Buffer.from('é')];
  const text = await texts.infer({ inputs: [{ ...x, datatype: 'BYTES', contents: { bytesContents } }] });
  expect(Array.from(text.outputs[0]?.contents?.bytesContents ?? [])).toEqual(bytesContents);
});

test('outputs of 16-bit floats go raw, since no field holds them', async () => {
  const half: Tensor = { name: 'y', datatype: 'FP16', shape: [1, 1], data: Uint16Array.of(0x3c00) };
  const session = new FakeSession({
    outputs: [{ name: 'y', datatype: 'FP16', shape: [-1, 1] }],
    run: async () => [half],
  });
  const { infer } = await start({ session });
  const answer = await infer({ inputs: [{ ...x, contents: { fp32Contents: [1, 2] } }] });
  expect(answer.rawOutputContents?.[0]).toEqual(Buffer.from([0x00, 0x3c]));
});

test('contents that are empty beside raw ones are taken for left out', async () => {
  const { infer } = await start(identity);
  const raw = Buffer.from(Float32Array.of(1, 2).buffer);
  const answer = await infer({ inputs: [{ ...x, contents: {} }], rawInputContents: [raw] });
  expect(answer.rawOutputContents).toEqual([raw]);
});

describe('bad requests', () => {
  const contents = { fp32Contents: [1, 2] };
  test.each([
    [
      'an unknown model',
      { modelName: 'other', inputs: [{ ...x, contents }] },
      status.NOT_FOUND,
      /unknown model "other"/,
    ],
    ['an unknown version', { modelVersion: '9', inputs: [{ ...x, contents }] }, status.NOT_FOUND, /no version "9"/],
    [
      'an unknown output',
      { inputs: [{ ...x, contents }], outputs: [{ name: 'q' }] },
      status.NOT_FOUND,
      /unknown output "q"/,
    ],
    ['no input', {}, status.INVALID_ARGUMENT, /input "x" is missing/],
    [
      'another shape',
      { inputs: [{ ...x, shape: [2], contents }] },
      status.INVALID_ARGUMENT,
      /takes shape \[-1, 2\], not \[2\]/,
    ],
    ['a negative dimension', { inputs: [{ ...x, shape: [-1, 2], contents }] }, status.INVALID_ARGUMENT, /dimension 0/],
    ['no contents', { inputs: [x] }, status.INVALID_ARGUMENT, /input "x" has no contents/],
    [
      'too few contents',
      { inputs: [{ ...x, contents: { fp32Contents: [1] } }] },
      status.INVALID_ARGUMENT,
      /fp32_contents has 1 values but shape \[1, 2\] needs 2/,
    ],
    [
      'contents of another type',
      { inputs: [{ ...x, contents: { fp64Contents: [1, 2] } }] },
      status.INVALID_ARGUMENT,
      /go into fp32_contents, not fp64_contents/,
    ],
    [
      'contents beside raw',
      { inputs: [{ ...x, contents }], rawInputContents: [raw] },
      status.INVALID_ARGUMENT,
      /has contents although raw_input_contents/,
    ],
    [
      'raw cut short',
      { inputs: [x], rawInputContents: [raw.subarray(1)] },
      status.INVALID_ARGUMENT,
      /7 bytes of binary data, but FP32 of shape \[1, 2\] needs 8/,
    ],
    [
      'more raw than inputs',
      { inputs: [x], rawInputContents: [raw, raw] },
      status.INVALID_ARGUMENT,
      /2 entries for 1 inputs/,
    ],
    [
      'shared memory',
      { inputs: [{ ...x, contents, parameters: { shared_memory_region: { stringParam: 'r' } } }] },
      status.INVALID_ARGUMENT,
      /not supported/,
    ],
  ] as const)('%s', async (_, request, code, details) => {
    const { infer } = await start(identity);
    await expect(infer(request)).rejects.toMatchObject({ code, details: expect.stringMatching(details) });
  });

  test('a value out of range for a small integer', async () => {
    const { infer } = await start({ session: identitySession('UINT8') });
    await expect(
      infer({ inputs: [{ ...x, datatype: 'UINT8', contents: { uintContents: [1, 300] } }] }),
    ).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: 'input "x": value 300 at index 1 is out of range for UINT8',
    });
  });

  test('16-bit floats without raw contents', async () => {
    const { infer } = await start({ session: identitySession('FP16') });
    await expect(infer({ inputs: [{ ...x, datatype: 'FP16', contents }] })).rejects.toMatchObject({
      details: expect.stringMatching(/use raw_input_contents/),
    });
  });

  test('whatever stands in a request, what is said of it fits into trailers', async () => {
    const names = Array.from({ length: 200 }, (_, index) => `${index} ${'é'.repeat(50)}`);
    const inputs = names.map((name) => ({ name, datatype: 'FP32', shape: [1] }) as const);
    const { infer } = await start({ session: new FakeSession({ inputs }) });
    const refused = { code: status.INVALID_ARGUMENT, details: expect.stringMatching(/^unknown input "q".{700,790}…$/) };
    await expect(infer({ inputs: [{ ...x, name: 'q' }] })).rejects.toMatchObject(refused);
    const { infer: again } = await start(identity);
    await expect(again({ inputs: [{ ...x, shape: new Array(40_000).fill(1) }] })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringMatching(/\(40000 dimensions\)/),
    });
  });

  test('a message above the limit', async () => {
    const { call } = await start(identity);
    await expect(call('ModelInfer', Buffer.alloc(200_000))).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });

  test('whatever bytes come, the answer is a prediction or a client error', async () => {
    const { call } = await start(identity);
    const good = encodeModelInferRequest({ modelName: 'm', id: 'a', inputs: [x], rawInputContents: [raw] });
    const mutated = fc.tuple(fc.nat(good.length - 1), fc.nat(255), fc.boolean()).map(([at, byte, cut]) => {
      const bytes = Buffer.from(cut ? good.subarray(0, at) : good);
      if (!cut) bytes[at] = byte;
      return bytes;
    });
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutated, fc.uint8Array({ maxLength: 60 })), async (bytes) => {
        const code = await call('ModelInfer', bytes).then(
          () => status.OK,
          (error: ServiceError) => error.code,
        );
        expect([status.OK, status.INVALID_ARGUMENT, status.NOT_FOUND]).toContain(code);
      }),
      { numRuns: 150 },
    );
  });
});

/** A model that answers once it is let, with a queue for one request, and its first request running. */
async function startBusy() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const session = new FakeSession({ run: async (inputs) => promise.then(() => inputs) });
  const { call, metrics } = await start({ session, batching: { maxBatchSize: 1, maxDelayMs: 0, maxQueueSize: 1 } });
  const request = encodeModelInferRequest({ modelName: 'm', inputs: [x], rawInputContents: [raw] });
  const ask = (deadlineMs?: number) => call('ModelInfer', request, deadlineMs);
  const first = ask();
  await expect.poll(() => session.runs.length).toBe(1);
  const depth = () => metrics.registry.getSingleMetricAsString('model_queue_depth');
  return { session, ask, first, depth, resolve };
}

test('a full queue is RESOURCE_EXHAUSTED', async () => {
  const { ask, first, depth, resolve } = await startBusy();
  const second = ask();
  await expect.poll(depth).toContain('} 1');
  await expect(ask()).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  resolve();
  await Promise.all([first, second]);
});

test('numbers of a byte each count with the eight that they become, until they are answered', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const run: FakeSession['run'] = async ([input]) =>
    promise.then(() => (input === undefined ? [] : [{ ...input, name: 'y' }]));
  const session = new FakeSession({ inputs: [{ name: 'x', datatype: 'INT64', shape: [-1, -1] }], run });
  const { infer } = await start({ session, batching: { maxBatchSize: 1, maxDelayMs: 0, maxQueueSize: 100 } });
  const int64Contents = new Array(50_000).fill(1n);
  const ask = () =>
    infer({ inputs: [{ name: 'x', datatype: 'INT64', shape: [1, 50_000], contents: { int64Contents } }] });
  const taken = [ask(), ask()];
  await expect(ask()).rejects.toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
    details: 'messages of other requests fill 800000 of 1000000 bytes',
  });
  resolve();
  await Promise.all(taken);
  expect(await ask()).toMatchObject({ modelName: 'm' });
});

test('long answers count until they are read', async () => {
  const outputs: readonly Tensor[] = [
    { name: 'y', datatype: 'FP32', shape: [1, 100_000], data: new Float32Array(100_000) },
  ];
  const { infer, port } = await start({ session: new FakeSession({ run: async () => outputs }) });
  const request = encodeModelInferRequest({ modelName: 'm', inputs: [x], rawInputContents: [raw] });
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(request.length, 1);
  const idle = connect(`http://127.0.0.1:${port}`);
  ends.push(() => idle.destroy());
  const headers = {
    ':method': 'POST',
    ':path': '/inference.GRPCInferenceService/ModelInfer',
    'content-type': 'application/grpc',
    te: 'trailers',
  };
  for (const _ of [1, 2]) {
    const unread = idle.request(headers);
    unread.end(Buffer.concat([prefix, request]));
    await once(unread, 'response');
  }
  const ask = () => infer({ inputs: [x], rawInputContents: [raw] });
  await expect(ask()).rejects.toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
    details: expect.stringMatching(/^messages of other requests fill 8000\d\d of 1000000 bytes$/),
  });
  idle.destroy();
  for (const _ of [1, 2, 3, 4]) {
    const code = () =>
      ask().then(
        () => status.OK,
        (error: ServiceError) => error.code,
      );
    await expect.poll(code).toBe(status.OK);
  }
});

test('a deadline takes a waiting request out of the queue', async () => {
  const { session, ask, first, depth, resolve } = await startBusy();
  await expect(ask(300)).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
  await expect.poll(depth).toContain('} 0');
  resolve();
  await first;
  expect(session.runs).toHaveLength(1);
});

test('a model that fails is INTERNAL', async () => {
  const { infer } = await start({
    session: new FakeSession({ run: async () => Promise.reject(new Error('out of cheese')) }),
  });
  await expect(infer({ inputs: [x], rawInputContents: [raw] })).rejects.toMatchObject({
    code: status.INTERNAL,
    details: 'the model failed: out of cheese',
  });
});

test('a stopping server answers the calls it has', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const session = new FakeSession({
    run: async (inputs) => promise.then(() => inputs.map((input) => ({ ...input, name: 'y' }))),
  });
  const { infer, grpc } = await start({ session });
  const answer = infer({ inputs: [x], rawInputContents: [raw] });
  await expect.poll(() => session.runs.length).toBe(1);
  const stopped = grpc.stop();
  resolve();
  expect((await answer).rawOutputContents?.[0]).toEqual(raw);
  await stopped;
});
