import protobuf from 'protobufjs';
import { InferenceError, invalid, quoted } from '../inference-error.ts';

/** A ModelInferRequest as far as it is read before its model is known: values are still the bytes they came in. */
export interface ModelInferRequest {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
  /** By name; the values of parameters are not looked at. */
  readonly parameters: Parameters;
  readonly inputs: readonly EncodedTensor[];
  readonly outputs: readonly RequestedOutput[];
  readonly rawInputContents: readonly Uint8Array[];
}

/** What a ModelInferResponse says was predicted: values are still the bytes they came in. */
export interface PredictedOutputs {
  readonly outputs: readonly EncodedTensor[];
  readonly rawOutputContents: readonly Uint8Array[];
}

/** An input of a request, or an output of a response: in both messages their fields have the same numbers. */
export interface EncodedTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly parameters: Parameters;
  /** An InferTensorContents, still encoded. */
  readonly contents: Uint8Array | undefined;
}

export interface RequestedOutput {
  readonly name: string;
  readonly parameters: Parameters;
}

type Parameters = Readonly<Record<string, true>>;

/**
 * Inputs, outputs, dimensions, parameters and raw contents of one message together. A part may be two bytes long and
 * takes a hundred times that, so that a message within its limit could otherwise fill the heap.
 */
const MAX_PARTS = 50_000;

const NO_PARAMETERS: Parameters = {};

/**
 * Reads a ModelInferRequest.
 * @throws InferenceError InvalidArgument when the bytes are no such message, TooLarge when it has too many parts.
 */
export function readModelInferRequest(bytes: Uint8Array): ModelInferRequest {
  return readingMessage(() => new MessageReader(bytes).request());
}

/**
 * Reads a ModelInferResponse as far as two of them are compared.
 * @throws InferenceError InvalidArgument when the bytes are no such message, TooLarge when it has too many parts.
 */
export function readPredictedOutputs(bytes: Uint8Array): PredictedOutputs {
  return readingMessage(() => new MessageReader(bytes).response());
}

/** Runs a reader. @throws InferenceError InvalidArgument for what it throws, which bytes out of shape cause. */
export function readingMessage<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof InferenceError) throw error;
    throw invalid(`the message cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Tags are field numbers and wire types as they stand before each field: `number << 3 | type`. */
class MessageReader {
  readonly #reader: protobuf.Reader;
  #parts = 0;

  constructor(bytes: Uint8Array) {
    this.#reader = protobuf.Reader.create(bytes);
  }

  request(): ModelInferRequest {
    const reader = this.#reader;
    let modelName = '';
    let modelVersion = '';
    let id = '';
    let parameters = NO_PARAMETERS;
    const inputs: EncodedTensor[] = [];
    const outputs: RequestedOutput[] = [];
    const rawInputContents: Uint8Array[] = [];
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === 10) modelName = reader.string();
      else if (tag === 18) modelVersion = reader.string();
      else if (tag === 26) id = reader.string();
      else if (tag === 34) parameters = this.#parameter(parameters);
      else if (tag === 42) inputs.push(this.#tensor());
      else if (tag === 50) outputs.push(this.#output());
      else if (tag === 58) rawInputContents.push(this.#part().bytes());
      else skip(reader, tag);
    }
    return { modelName, modelVersion, id, parameters, inputs, outputs, rawInputContents };
  }

  response(): PredictedOutputs {
    const reader = this.#reader;
    const outputs: EncodedTensor[] = [];
    const rawOutputContents: Uint8Array[] = [];
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === 42) outputs.push(this.#tensor());
      else if (tag === 50) rawOutputContents.push(this.#part().bytes());
      else skip(reader, tag);
    }
    return { outputs, rawOutputContents };
  }

  #tensor(): EncodedTensor {
    const reader = this.#part();
    const end = endOfMessage(reader);
    let name = '';
    let datatype = '';
    const shape: number[] = [];
    let parameters = NO_PARAMETERS;
    let contents: Uint8Array | undefined;
    while (reader.pos < end) {
      const tag = reader.uint32();
      if (tag === 10) name = reader.string();
      else if (tag === 18) datatype = reader.string();
      else if (tag === 24) shape.push(this.#dimension());
      else if (tag === 26) {
        const endOfShape = endOfMessage(reader);
        while (reader.pos < endOfShape) shape.push(this.#dimension());
        checkEnd(reader, endOfShape);
      } else if (tag === 34) parameters = this.#parameter(parameters);
      else if (tag === 42) {
        if (contents !== undefined) throw invalid(`tensor ${quoted(name)} has its contents in several pieces`);
        contents = reader.bytes();
      } else skip(reader, tag);
    }
    checkEnd(reader, end);
    return { name, datatype, shape, parameters, contents };
  }

  #output(): RequestedOutput {
    const reader = this.#part();
    const end = endOfMessage(reader);
    let name = '';
    let parameters = NO_PARAMETERS;
    while (reader.pos < end) {
      const tag = reader.uint32();
      if (tag === 10) name = reader.string();
      else if (tag === 18) parameters = this.#parameter(parameters);
      else skip(reader, tag);
    }
    checkEnd(reader, end);
    return { name, parameters };
  }

  #dimension(): number {
    const { low, high } = this.#part().int64();
    return high * 4_294_967_296 + (low >>> 0);
  }

  #parameter(known: Parameters): Parameters {
    const reader = this.#part();
    const end = endOfMessage(reader);
    const parameters: Record<string, true> = known === NO_PARAMETERS ? Object.create(null) : known;
    let name = '';
    while (reader.pos < end) {
      const tag = reader.uint32();
      if (tag === 10) name = reader.string();
      else skip(reader, tag);
    }
    checkEnd(reader, end);
    parameters[name] = true;
    return parameters;
  }

  /** Counts one part more. */
  #part(): protobuf.Reader {
    if (++this.#parts > MAX_PARTS) {
      throw new InferenceError(
        'TooLarge',
        `the message has more than ${MAX_PARTS} inputs, outputs, dimensions and parameters`,
      );
    }
    return this.#reader;
  }
}

function endOfMessage(reader: protobuf.Reader): number {
  const length = reader.uint32();
  const end = reader.pos + length;
  if (end > reader.len) throw new RangeError(`a part of ${length} bytes is cut off at byte ${reader.len}`);
  return end;
}

function checkEnd(reader: protobuf.Reader, end: number): void {
  if (reader.pos !== end)
    throw new RangeError(`a part that ends at byte ${end} holds a field up to byte ${reader.pos}`);
}

function skip(reader: protobuf.Reader, tag: number): void {
  reader.skipType(tag & 7, 0, tag >>> 3);
}
