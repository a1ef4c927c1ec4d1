import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { systemClock } from '../batching/batcher.ts';
import { readModelInferRequest } from '../grpc/infer-message-reader.ts';
import { type GrpcQuestion, readGrpcQuestion, writeGrpcAnswer } from '../grpc/infer-messages.ts';
import { InferenceHttpServer } from '../http/inference-http-server.ts';
import { toInferenceError } from '../inference-error.ts';
import { readBinaryData } from '../protocol/binary-tensor.ts';
import {
  MAX_CONTENTS_BYTES,
  MAX_EXACT_JSON_BYTES,
  MAX_JSON_ANSWER_CHARS,
  MAX_JSON_BYTES,
  MAX_STRINGS,
  MAX_TYPED_LONGS,
} from '../protocol/heap-limits.ts';
import { readInferRequest } from '../protocol/infer-request.ts';
import { InferResponseWriter } from '../protocol/infer-response.ts';
import { ModelSignature } from '../protocol/model-signature.ts';
import { writeRows } from '../protocol/rows.ts';
import type { Tensor, TensorData } from '../tensor.ts';
import { FakeSession } from './fake-session.ts';
import { served } from './served.ts';

/**
 * Reads requests and writes answers made to fill the heap, in a process of its own because a full heap ends it, and prints
 * as JSON how each was answered. The sizes are those that the default limit on a request lets through.
 */
const SIZE_BYTES = 60 * 2 ** 20;

const ids = new ModelSignature([{ name: 'x', datatype: 'INT64', shape: [-1] }], []);
const texts = new ModelSignature([{ name: 'x', datatype: 'BYTES', shape: [-1] }], []);

/** `unit` again and again, up to `sizeBytes`, between `head` and `tail`. */
function json(unit: string, sizeBytes: number, head = '{"inputs":[', tail = '{}]}'): Buffer {
  const room = sizeBytes - head.length - tail.length;
  return Buffer.concat([
    Buffer.from(head),
    Buffer.alloc(Math.floor(room / unit.length) * unit.length, unit),
    Buffer.from(tail),
  ]);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(Math.floor(value / 128))];
}

/** A field of wire type 2. */
function field(number: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...varint(content.length)]), content]);
}

/** A request for input `x`, which has one element, with `contents`. */
function message(datatype: string, contents: Uint8Array): Buffer {
  const input = [field(1, Buffer.from('x')), field(2, Buffer.from(datatype)), field(3, Buffer.of(1))];
  return field(5, Buffer.concat([...input, field(5, contents)]));
}

const grpc = (signature: ModelSignature, bytes: Buffer) => readGrpcQuestion(signature, readModelInferRequest(bytes));

const tensor = (datatype: Tensor['datatype'], data: TensorData): Tensor => ({
  name: 'y',
  datatype,
  shape: [data.length],
  data,
});
/** Values that are as long in JSON as any. */
const floats = (count: number): Tensor => tensor('FP32', new Float32Array(count).fill(-0.000_001_234_567_8));
const longs = (count: number): Tensor => tensor('INT64', new BigInt64Array(count).fill(-9_007_199_254_740_993n));
const rows = (count: number) => ({ inputs: [], rowCount: count, single: false });

/** As a front end does: what is sent lies outside of the heap. */
const sent = (json: string): Buffer => Buffer.from(json, 'utf8');
const writeJson = (output: Tensor) =>
  sent(new InferResponseWriter('m', undefined, [output]).write(undefined, [output], []).json);
const typed: GrpcQuestion = { id: undefined, inputs: [], outputNames: [], isRaw: false };
const writeTyped = (output: Tensor) => writeGrpcAnswer({ name: 'm', version: undefined }, typed, [output]);

/** Asks a model that does not answer eight times for as many empty strings as there may be, and fails as the first refusal. */
async function askForStrings(): Promise<void> {
  const session = new FakeSession({ inputs: texts.inputs, run: () => new Promise(() => undefined) });
  const predictor = served({ session }).models.find('m', undefined);
  const head = Buffer.from(
    `{"inputs":[{"name":"x","datatype":"BYTES","shape":[${MAX_STRINGS}],"parameters":{"binary_data_size":${4 * MAX_STRINGS}}}]}`,
  );
  const body = Buffer.concat([head, Buffer.alloc(4 * MAX_STRINGS)]);
  const ask = () =>
    predictor.serve(
      { onGone: undefined },
      () => readInferRequest(texts, body, head.length),
      () => undefined,
    );
  await Promise.race(Array.from({ length: 8 }, ask));
}

/** Asks by REST for answers of half of the JSON that there may be each: one alone, whose run goes on until all others wait for the next. */
async function askInBatch(): Promise<void> {
  const asked = 30;
  const width = Math.floor(MAX_JSON_ANSWER_CHARS / 52);
  const run: FakeSession['run'] = async ([input]) => {
    const rows = input?.shape[0] ?? 0;
    while (rows === 1 && predictor.inFlight < asked) await setImmediate();
    return [{ ...floats(rows * width), shape: [rows, width] }];
  };
  const outputs = [{ name: 'y', datatype: 'FP32', shape: [-1, width] }] as const;
  const fixture = served({ session: new FakeSession({ outputs, run }) });
  const predictor = fixture.models.find('m', undefined);
  const { server } = new InferenceHttpServer({
    ...fixture,
    maxRequestBytes: 1_000,
    maxBodyBytes: 2 ** 30,
    serverVersion: '1.2.3',
    clock: systemClock,
    random: Math.random,
    onRefused: () => undefined,
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v2/models/m/infer`;
  const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] });
  const ask = async () => {
    const answer = await fetch(url, { method: 'POST', body });
    await answer.body?.cancel();
    return answer.status;
  };
  const statuses = await Promise.all(Array.from({ length: asked }, ask));
  server.close();
  if (statuses.some((status) => status !== 200)) throw new Error(`answered ${statuses.join()}`);
}

const attempts: Readonly<Record<string, () => unknown>> = {
  'objects in JSON': () => readInferRequest(ids, json('{},', SIZE_BYTES), undefined),
  'as many objects as JSON may hold': () => readInferRequest(ids, json('{},', MAX_JSON_BYTES), undefined),
  'objects beside a long integer': () =>
    readInferRequest(ids, json('{},', MAX_EXACT_JSON_BYTES, '{"inputs":[', '9007199254740993]}'), undefined),
  'more of them': () =>
    readInferRequest(ids, json('{},', MAX_JSON_BYTES, '{"inputs":[', '9007199254740993]}'), undefined),
  'values of gRPC': () => grpc(ids, message('INT64', field(3, Buffer.alloc(SIZE_BYTES, 1)))),
  'as many values of gRPC as a larger heap takes': () =>
    grpc(ids, message('INT64', field(3, Buffer.alloc(2 ** 24 - 6, 1)))),
  'as many values of gRPC as there may be': () =>
    grpc(ids, message('INT64', field(3, Buffer.alloc(MAX_CONTENTS_BYTES - 6, 1)))),
  'empty strings of gRPC': () => grpc(texts, message('BYTES', Buffer.alloc(MAX_CONTENTS_BYTES - 6, Buffer.of(66, 0)))),
  'empty inputs': () => grpc(ids, Buffer.alloc(SIZE_BYTES, Buffer.of(42, 0))),
  'empty raw contents': () => grpc(ids, Buffer.alloc(SIZE_BYTES, Buffer.of(58, 0))),
  'empty parameters': () => grpc(ids, Buffer.alloc(SIZE_BYTES, Buffer.of(34, 0))),
  dimensions: () => grpc(ids, field(5, field(3, Buffer.alloc(SIZE_BYTES, 1)))),
  'empty strings in binary': () => readBinaryData('x', 'BYTES', [1], Buffer.alloc(SIZE_BYTES)),
  'strings of requests that wait': askForStrings,
  'an answer of many floats in JSON': () => writeJson(floats(15_000_000)),
  'as many floats in JSON as there may be': () => writeJson(floats(Math.floor(MAX_JSON_ANSWER_CHARS / 26))),
  'as much text in JSON as there may be': () =>
    writeJson(tensor('BYTES', [Buffer.alloc(Math.floor(MAX_JSON_ANSWER_CHARS / 12) - 4, 1), Buffer.from('日')])),
  'long answers in JSON to one batch': askInBatch,
  'many rows in JSON': () => sent(writeRows('{', rows(4_000_000), [floats(4_000_000)])),
  'as many rows in JSON as there may be': () => {
    const count = Math.floor(MAX_JSON_ANSWER_CHARS / 33);
    sent(writeRows('{', rows(count), [floats(count)]));
  },
  'an answer of many integers in typed fields': () => writeTyped(longs(16_000_000)),
  'as many integers in typed fields as there may be': () => writeTyped(longs(MAX_TYPED_LONGS)),
  'a shape of many strings': () => texts.checkInput('x', 'BYTES', [SIZE_BYTES / 4]),
};

const answers: Record<string, string> = {};
for (const [name, attempt] of Object.entries(attempts)) {
  try {
    await attempt();
    answers[name] = 'taken';
  } catch (error) {
    answers[name] = toInferenceError(error).code;
  }
}
process.stdout.write(JSON.stringify(answers));
