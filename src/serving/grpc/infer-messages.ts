import { InferenceError, invalid, quoted } from '../inference-error.ts';
import type { Question } from '../predictor.ts';
import { readBinaryData, writeBinaryData } from '../protocol/binary-tensor.ts';
import { MAX_CONTENTS_BYTES, MAX_TYPED_LONGS } from '../protocol/heap-limits.ts';
import { refuseUnsupported } from '../protocol/infer-request.ts';
import { checkShape, type ModelSignature } from '../protocol/model-signature.ts';
import type { Datatype, Tensor } from '../tensor.ts';
import { type EncodedTensor, type ModelInferRequest, readingMessage } from './infer-message-reader.ts';
import { type Contents, encodeModelInferResponse, fromBigInt, type OutputTensor } from './messages.ts';
import { hasContentsField, readContents } from './tensor-contents.ts';

/** A question that came by gRPC; it is answered in the representation it was asked in. */
export interface GrpcQuestion extends Question {
  readonly isRaw: boolean;
}

/** @throws InferenceError InvalidArgument, NotFound or TooLarge, naming the field. */
export function readGrpcQuestion(signature: ModelSignature, request: ModelInferRequest): GrpcQuestion {
  refuseUnsupported(() => 'the request', request.parameters);
  const raw = request.rawInputContents;
  const isRaw = raw.length > 0;
  if (isRaw && raw.length !== request.inputs.length) {
    throw invalid(`raw_input_contents has ${raw.length} entries for ${request.inputs.length} inputs`);
  }
  checkContentsSize(request.inputs);
  const inputs = signature.collect(request.inputs, (input, index) =>
    readInput(signature, input, isRaw ? raw[index] : undefined),
  );
  const asked = new Set<string>();
  const outputNames = request.outputs.map(({ name, parameters }) => {
    refuseUnsupported(() => `output ${quoted(name)}`, parameters);
    signature.outputIndex(name);
    if (asked.size === asked.add(name).size) throw invalid(`output ${quoted(name)} is asked for twice`);
    return name;
  });
  return {
    id: request.id === '' ? undefined : request.id,
    inputs,
    outputNames: outputNames.length === 0 ? signature.outputNames : outputNames,
    isRaw,
  };
}

function readInput(signature: ModelSignature, input: EncodedTensor, raw: Uint8Array | undefined): Tensor {
  const { name, contents } = input;
  refuseUnsupported(() => `input ${quoted(name)}`, input.parameters);
  const shape = checkShape(name, input.shape);
  const { datatype } = signature.checkInput(name, input.datatype, shape);
  if (raw !== undefined) {
    if ((contents?.length ?? 0) > 0)
      throw invalid(`input ${quoted(name)} has contents although raw_input_contents is used`);
    return { name, datatype, shape, data: readBinaryData(name, datatype, shape, raw) };
  }
  if (contents === undefined) throw invalid(`input ${quoted(name)} has no contents`);
  return { name, datatype, shape, data: readingMessage(() => readContents(name, datatype, shape, contents)) };
}

/** Memory that the values of typed fields take beside their message: in it a number may be a byte, and here eight. */
export function decodedBytes({ inputs, isRaw }: GrpcQuestion): number {
  let bytes = 0;
  if (isRaw) return bytes;
  for (const { data } of inputs) if (ArrayBuffer.isView(data)) bytes += data.byteLength;
  return bytes;
}

/** @throws InferenceError TooLarge. */
function checkContentsSize(inputs: readonly EncodedTensor[]): void {
  let sizeBytes = 0;
  for (const { contents } of inputs) sizeBytes += contents?.length ?? 0;
  if (sizeBytes <= MAX_CONTENTS_BYTES) return;
  throw new InferenceError(
    'TooLarge',
    `the contents of the inputs have ${sizeBytes} bytes; at most ${MAX_CONTENTS_BYTES} are taken: send large tensors by raw_input_contents`,
  );
}

/**
 * The answer as bytes: raw if the question was, or if an output is a 16-bit float.
 * @throws InferenceError TooLarge for more 64-bit integers than typed fields are written with.
 */
export function writeGrpcAnswer(
  model: { readonly name: string; readonly version: string | undefined },
  question: GrpcQuestion,
  outputs: readonly Tensor[],
): Buffer {
  const isRaw = question.isRaw || outputs.some(({ datatype }) => !hasContentsField(datatype));
  if (!isRaw) checkLongs(outputs);
  return encodeModelInferResponse({
    modelName: model.name,
    modelVersion: model.version,
    id: question.id,
    outputs: isRaw
      ? outputs.map(describeOutput)
      : outputs.map((tensor) => ({ ...describeOutput(tensor), contents: writeContents(tensor) })),
    ...(isRaw ? { rawOutputContents: outputs.map(writeBinaryData) } : {}),
  });
}

/** @throws InferenceError TooLarge. */
function checkLongs(outputs: readonly Tensor[]): void {
  let longs = 0;
  for (const { datatype, data } of outputs) if (datatype === 'INT64' || datatype === 'UINT64') longs += data.length;
  if (longs <= MAX_TYPED_LONGS) return;
  throw new InferenceError(
    'TooLarge',
    `the outputs have ${longs} integers of 64 bits; at most ${MAX_TYPED_LONGS} go into typed fields: ask by raw_input_contents to be answered raw`,
  );
}

function describeOutput({ name, datatype, shape }: Tensor): OutputTensor {
  return { name, datatype, shape };
}

/** The field that an output's values go into; none for 16-bit floats. */
const CONTENTS_FIELD: Readonly<Record<Datatype, keyof Contents | undefined>> = {
  BOOL: 'boolContents',
  UINT8: 'uintContents',
  UINT16: 'uintContents',
  UINT32: 'uintContents',
  UINT64: 'uint64Contents',
  INT8: 'intContents',
  INT16: 'intContents',
  INT32: 'intContents',
  INT64: 'int64Contents',
  FP16: undefined,
  BF16: undefined,
  FP32: 'fp32Contents',
  FP64: 'fp64Contents',
  BYTES: 'bytesContents',
};

function writeContents({ datatype, data }: Tensor): Contents {
  const field = CONTENTS_FIELD[datatype];
  if (field === undefined) throw new RangeError(`${datatype} has no contents field`);
  if (field === 'int64Contents' || field === 'uint64Contents') {
    return { [field]: Array.from(data as BigInt64Array, fromBigInt) };
  }
  return { [field]: data };
}
