import { inferenceMethod } from '../../grpc/inference-method.ts';
import { PREFIX_BYTES } from './message-frames.ts';

/** The methods whose messages have the name of a model in field 1, and its version in field 2. */
const NAMING: ReadonlySet<string> = new Set(['ModelInfer', 'ModelMetadata', 'ModelReady'].map(inferenceMethod));

/**
 * Passes on the bytes of a call, piece by piece, so that they ask for the model by which the target goes; of those that
 * name no model, or go to whom the client asked, nothing is changed.
 */
export function renaming(path: unknown, modelName: string | undefined): (chunk: Buffer) => Buffer {
  if (modelName === undefined || !NAMING.has(String(path))) return (chunk) => chunk;
  const messages = new RenamedMessages(modelName);
  return (chunk) => messages.pass(chunk);
}

/**
 * Ends each message with the name and an empty version: of a field that comes twice the last value counts (protobuf's
 * encoding guide, "Last One Wins"), so that nothing of the message has to be read. The servers that have such a name take no
 * compressed messages, and say so of these as well.
 */
class RenamedMessages {
  readonly #fields: Buffer;
  /** The prefix of the next message, as far as it has come. */
  #prefix: Buffer = Buffer.alloc(0);
  /** Bytes of the present message that are still to come. */
  #missing = 0;

  constructor(modelName: string) {
    const name = Buffer.from(modelName, 'utf8');
    this.#fields = Buffer.concat([Buffer.of((1 << 3) | 2, ...varint(name.length)), name, Buffer.of((2 << 3) | 2, 0)]);
  }

  pass(chunk: Buffer): Buffer {
    const pieces: Buffer[] = [];
    for (let at = 0; at < chunk.length; ) {
      if (this.#missing === 0) {
        const end = Math.min(chunk.length, at + PREFIX_BYTES - this.#prefix.length);
        this.#prefix = Buffer.concat([this.#prefix, chunk.subarray(at, end)]);
        at = end;
        if (this.#prefix.length < PREFIX_BYTES) break;
        this.#missing = this.#prefix.readUInt32BE(1);
        this.#prefix.writeUInt32BE(this.#missing + this.#fields.length, 1);
        pieces.push(this.#prefix);
        this.#prefix = Buffer.alloc(0);
      } else {
        const end = Math.min(chunk.length, at + this.#missing);
        pieces.push(chunk.subarray(at, end));
        this.#missing -= end - at;
        at = end;
      }
      if (this.#missing === 0) pieces.push(this.#fields);
    }
    return Buffer.concat(pieces);
  }
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}
