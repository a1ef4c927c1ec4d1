import { readModelInferRequest } from '../grpc/infer-message-reader.ts';
import { readGrpcQuestion } from '../grpc/infer-messages.ts';
import { toInferenceError } from '../inference-error.ts';
import { readBinaryData } from '../protocol/binary-tensor.ts';
import { MAX_EXACT_JSON_BYTES, MAX_JSON_BYTES } from '../protocol/heap-limits.ts';
import { readInferRequest } from '../protocol/infer-request.ts';
import { ModelSignature } from '../protocol/model-signature.ts';

/**
 * Reads requests made to fill the heap, in a process of its own because a full heap ends it, and prints as JSON how each
 * was answered. The sizes are those that the default limit on a request lets through.
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

const attempts: Readonly<Record<string, () => unknown>> = {
  'objects in JSON': () => readInferRequest(ids, json('{},', SIZE_BYTES), undefined),
  'as many objects as JSON may hold': () => readInferRequest(ids, json('{},', MAX_JSON_BYTES), undefined),
  'objects beside a long integer': () =>
    readInferRequest(ids, json('{},', MAX_EXACT_JSON_BYTES, '{"inputs":[', '9007199254740993]}'), undefined),
  'more of them': () =>
    readInferRequest(ids, json('{},', MAX_JSON_BYTES, '{"inputs":[', '9007199254740993]}'), undefined),
  'values of gRPC': () => grpc(ids, message('INT64', field(3, Buffer.alloc(SIZE_BYTES, 1)))),
  'as many values of gRPC as there may be': () => grpc(ids, message('INT64', field(3, Buffer.alloc(2 ** 24 - 6, 1)))),
  'empty strings of gRPC': () => grpc(texts, message('BYTES', Buffer.alloc(2 ** 24 - 6, Buffer.of(66, 0)))),
  'empty inputs': () => grpc(ids, Buffer.alloc(SIZE_BYTES, Buffer.of(42, 0))),
  'empty raw contents': () => grpc(ids, Buffer.alloc(SIZE_BYTES, Buffer.of(58, 0))),
  'empty parameters': () => grpc(ids, Buffer.alloc(SIZE_BYTES, Buffer.of(34, 0))),
  dimensions: () => grpc(ids, field(5, field(3, Buffer.alloc(SIZE_BYTES, 1)))),
  'empty strings in binary': () => readBinaryData('x', 'BYTES', [1], Buffer.alloc(SIZE_BYTES)),
  'a shape of many strings': () => texts.checkInput('x', 'BYTES', [SIZE_BYTES / 4]),
};

const answers: Record<string, string> = {};
for (const [name, attempt] of Object.entries(attempts)) {
  try {
    attempt();
    answers[name] = 'taken';
  } catch (error) {
    answers[name] = toInferenceError(error).code;
  }
}
process.stdout.write(JSON.stringify(answers));
