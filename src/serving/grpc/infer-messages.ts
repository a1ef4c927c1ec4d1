import { invalid, quoted } from '../inference-error.ts';
import type { Question } from '../predictor.ts';
import { readBinaryData, writeBinaryData } from '../protocol/binary-tensor.ts';
import { ELEMENT_TYPES, elementCount } from '../protocol/element-types.ts';
import { refuseUnsupported } from '../protocol/infer-request.ts';
import { checkText } from '../protocol/json-tensor.ts';
import { checkShape, type ModelSignature } from '../protocol/model-signature.ts';
import type { Datatype, Tensor, TensorData } from '../tensor.ts';
import {
  type Contents,
  encodeModelInferResponse,
  fromBigInt,
  type InputTensor,
  type Int64,
  type ModelInferRequest,
  type OutputTensor,
  toBigInt,
} from './messages.ts';

/** A question that came by gRPC; it is answered in the representation it was asked in. */
export interface GrpcQuestion extends Question {
  readonly isRaw: boolean;
}

/** The field that holds a datatype's values; none for 16-bit floats, which travel raw only. */
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

/** @throws InferenceError InvalidArgument or NotFound, naming the field. */
export function readGrpcQuestion(signature: ModelSignature, request: ModelInferRequest): GrpcQuestion {
  refuseUnsupported(() => 'the request', request.parameters);
  const raw = request.rawInputContents;
  const isRaw = raw.length > 0;
  if (isRaw && raw.length !== request.inputs.length) {
    throw invalid(`raw_input_contents has ${raw.length} entries for ${request.inputs.length} inputs`);
  }
  const tensors = request.inputs.map((input, index) => readInput(signature, input, isRaw ? raw[index] : undefined));
  const outputNames = request.outputs.map(({ name, parameters }, index, all) => {
    refuseUnsupported(() => `output ${quoted(name)}`, parameters);
    signature.outputIndex(name);
    if (all.findIndex((other) => other.name === name) < index)
      throw invalid(`output ${quoted(name)} is asked for twice`);
    return name;
  });
  return {
    id: request.id === '' ? undefined : request.id,
    inputs: signature.order(tensors),
    outputNames: outputNames.length === 0 ? signature.outputNames : outputNames,
    isRaw,
  };
}

function readInput(signature: ModelSignature, input: InputTensor, raw: Uint8Array | undefined): Tensor {
  const { name, contents } = input;
  refuseUnsupported(() => `input ${quoted(name)}`, input.parameters);
  const shape = checkShape(name, input.shape.map(toSafeNumber));
  const { datatype } = signature.checkInput(name, input.datatype, shape);
  const hasContents = contents !== undefined && contents !== null;
  if (raw !== undefined) {
    if (hasContents) throw invalid(`input ${quoted(name)} has contents although raw_input_contents is used`);
    return { name, datatype, shape, data: readBinaryData(name, datatype, shape, raw) };
  }
  if (!hasContents) throw invalid(`input ${quoted(name)} has no contents`);
  return { name, datatype, shape, data: readContents(name, datatype, shape, contents) };
}

function toSafeNumber({ low, high }: Int64): number {
  return high * 4_294_967_296 + (low >>> 0);
}

function readContents(name: string, datatype: Datatype, shape: readonly number[], contents: Contents): TensorData {
  const field = CONTENTS_FIELD[datatype];
  if (field === undefined)
    throw invalid(`input ${quoted(name)}: ${datatype} has no contents field; use raw_input_contents`);
  for (const other of Object.values(CONTENTS_FIELD)) {
    if (other !== undefined && other !== field && (contents[other]?.length ?? 0) > 0) {
      throw invalid(
        `input ${quoted(name)} is ${datatype}, whose values go into ${snakeCase(field)}, not ${snakeCase(other)}`,
      );
    }
  }
  const values = contents[field] ?? [];
  const count = elementCount(shape);
  if (values.length !== count) {
    throw invalid(
      `input ${quoted(name)}: ${snakeCase(field)} has ${values.length} values but shape [${shape.join(', ')}] needs ${count}`,
    );
  }
  if (datatype === 'BYTES') {
    return Array.from(values as ArrayLike<Uint8Array>, (bytes, index) => checkText(name, index, bytes));
  }
  const { array, kind, min, max } = ELEMENT_TYPES[datatype];
  if (kind === 'bigint') {
    const out = new array(count) as BigInt64Array;
    for (let index = 0; index < count; index++)
      out[index] = toBigInt((values as ArrayLike<Int64>)[index] ?? { low: 0, high: 0 });
    return out;
  }
  const out = new array(count) as Float32Array;
  for (let index = 0; index < count; index++) {
    const value = Number(values[index]);
    if (kind === 'integer' && (value < min || value > max)) {
      throw invalid(`input ${quoted(name)}: value ${value} at index ${index} is out of range for ${datatype}`);
    }
    out[index] = value;
  }
  return out;
}

function snakeCase(field: string): string {
  return field.replace('Contents', '_contents');
}

/** The answer as bytes: raw if the question was, or if an output is a 16-bit float. */
export function writeGrpcAnswer(
  model: { readonly name: string; readonly version: string | undefined },
  question: GrpcQuestion,
  outputs: readonly Tensor[],
): Buffer {
  const isRaw = question.isRaw || outputs.some(({ datatype }) => CONTENTS_FIELD[datatype] === undefined);
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

function describeOutput({ name, datatype, shape }: Tensor): OutputTensor {
  return { name, datatype, shape };
}

function writeContents({ datatype, data }: Tensor): Contents {
  const field = CONTENTS_FIELD[datatype];
  if (field === undefined) throw new RangeError(`${datatype} has no contents field`);
  if (field === 'boolContents') return { boolContents: Array.from(data as Uint8Array, (value) => value !== 0) };
  if (field === 'int64Contents' || field === 'uint64Contents') {
    return { [field]: Array.from(data as BigInt64Array, fromBigInt) };
  }
  return { [field]: data };
}
