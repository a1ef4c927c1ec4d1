import { invalid, quoted } from '../inference-error.ts';
import type { Tensor } from '../tensor.ts';
import { readBinaryData } from './binary-tensor.ts';
import { parseJson } from './json-parse.ts';
import { describe, readJsonData } from './json-tensor.ts';
import { checkShape, type ModelSignature } from './model-signature.ts';

/** A checked inference request, whichever way it came. */
export interface InferRequest {
  readonly id: string | undefined;
  /** In the model's order. */
  readonly inputs: readonly Tensor[];
  /** Which outputs to answer with, in this order. */
  readonly outputNames: readonly string[];
  /** For each of `outputNames`, whether its values go as bytes after the JSON; what is missing does not. */
  readonly binaryOutputs: readonly boolean[];
}

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Reads a REST request. `jsonLength` is the header Inference-Header-Content-Length, where the client sent it: the
 * bytes after it are the binary tensors, in the order of the inputs that say `binary_data_size`.
 * A field that may be left out may be null instead, as some clients write what they do not have.
 * @throws InferenceError InvalidArgument or NotFound, naming the field.
 */
export function readInferRequest(
  signature: ModelSignature,
  body: Buffer,
  jsonLength: number | undefined,
): InferRequest {
  if (jsonLength !== undefined && jsonLength > body.length) {
    throw invalid(`Inference-Header-Content-Length is ${jsonLength} but the body has ${body.length} bytes`);
  }
  const json = jsonLength === undefined ? body : body.subarray(0, jsonLength);
  const request = parseJson(json, signature.needsExactIntegers);
  if (!isObject(request)) throw invalid(`the body must be a JSON object, not ${describe(request)}`);
  const id = request.id ?? undefined;
  if (id !== undefined && typeof id !== 'string') throw invalid(`id must be a string, not ${describe(id)}`);
  const parameters = readParameters('the request', request.parameters);
  const inputs = readInputs(signature, request.inputs, body.subarray(json.length));
  const binaryByDefault = readFlag('the request', parameters, 'binary_data_output') ?? false;
  return { id, inputs, ...readOutputs(signature, request.outputs ?? undefined, binaryByDefault) };
}

/**
 * Reads the `inputs` of a request; `binary` holds the binary tensors.
 * @throws InferenceError InvalidArgument, naming the field.
 */
export function readInputs(signature: ModelSignature, inputs: unknown, binary: Buffer): readonly Tensor[] {
  if (!Array.isArray(inputs)) throw invalid(`inputs must be an array, but is ${describe(inputs)}`);
  let offset = 0;
  const tensors = signature.collect(inputs.map(named), ({ name, input }) => {
    const { datatype } = input;
    if (typeof datatype !== 'string') {
      throw invalid(`input ${quoted(name)}: datatype must be a string, not ${describe(datatype)}`);
    }
    const shape = checkShape(name, input.shape);
    const spec = signature.checkInput(name, datatype, shape);
    const size = readBinarySize(name, input.parameters);
    if (size === undefined) {
      const data = readJsonData(name, spec.datatype, shape, input.data);
      return { name: spec.name, datatype: spec.datatype, shape, data };
    }
    if ((input.data ?? undefined) !== undefined)
      throw invalid(`input ${quoted(name)} has both data and binary_data_size`);
    if (offset + size > binary.length) {
      throw invalid(
        `input ${quoted(name)}: binary_data_size is ${size} but only ${binary.length - offset} bytes are left in the body`,
      );
    }
    const data = readBinaryData(name, spec.datatype, shape, binary.subarray(offset, offset + size));
    offset += size;
    return { name: spec.name, datatype: spec.datatype, shape, data };
  });
  if (offset < binary.length) {
    throw invalid(`${binary.length - offset} bytes of binary data belong to no input: see binary_data_size`);
  }
  return tensors;
}

function named(input: unknown, index: number): { readonly name: string; readonly input: JsonObject } {
  if (!isObject(input)) throw invalid(`inputs[${index}] must be an object, not ${describe(input)}`);
  const { name } = input;
  if (typeof name !== 'string') throw invalid(`inputs[${index}].name must be a string, not ${describe(name)}`);
  return { name, input };
}

function readBinarySize(name: string, parameters: unknown): number | undefined {
  if ((parameters ?? undefined) === undefined) return undefined;
  const size = readParameters(`input ${quoted(name)}`, parameters)?.binary_data_size ?? undefined;
  if (size === undefined) return undefined;
  if (typeof size === 'number' && Number.isSafeInteger(size) && size >= 0) return size;
  throw invalid(`input ${quoted(name)}: binary_data_size must be a number of bytes, not ${describe(size)}`);
}

/** An output that is not listed goes as JSON. */
const NONE_BINARY: readonly boolean[] = [];

function readOutputs(
  signature: ModelSignature,
  outputs: unknown,
  binaryByDefault: boolean,
): Pick<InferRequest, 'outputNames' | 'binaryOutputs'> {
  if (outputs === undefined || (Array.isArray(outputs) && outputs.length === 0)) {
    return { outputNames: signature.outputNames, binaryOutputs: binaryByDefault ? signature.allBinary : NONE_BINARY };
  }
  if (!Array.isArray(outputs)) throw invalid(`outputs must be an array, not ${describe(outputs)}`);
  const outputNames: string[] = [];
  const binaryOutputs: boolean[] = [];
  for (const [index, output] of outputs.entries()) {
    if (!isObject(output)) throw invalid(`outputs[${index}] must be an object, not ${describe(output)}`);
    const { name } = output;
    if (typeof name !== 'string') throw invalid(`outputs[${index}].name must be a string, not ${describe(name)}`);
    signature.outputIndex(name);
    if (outputNames.includes(name)) throw invalid(`output ${quoted(name)} is asked for twice`);
    const where = `output ${quoted(name)}`;
    const parameters = readParameters(where, output.parameters);
    outputNames.push(name);
    binaryOutputs.push(readFlag(where, parameters, 'binary_data') ?? binaryByDefault);
  }
  return { outputNames, binaryOutputs };
}

/** Parameters that would change the answer if they were honoured; to ignore them would be to answer wrongly. */
const UNSUPPORTED_PARAMETERS = ['classification', 'shared_memory_region', 'sequence_id'];

/**
 * Looks through the parameters of what `where` describes.
 * @throws InferenceError InvalidArgument for a parameter that would have to change the answer.
 */
export function refuseUnsupported(where: () => string, parameters: JsonObject): void {
  for (const name of UNSUPPORTED_PARAMETERS) {
    if ((parameters[name] ?? undefined) !== undefined)
      throw invalid(`${where()} asks for parameter ${name}, which is not supported`);
  }
}

function readParameters(where: string, parameters: unknown): JsonObject | undefined {
  if ((parameters ?? undefined) === undefined) return undefined;
  if (!isObject(parameters)) throw invalid(`parameters of ${where} must be an object, not ${describe(parameters)}`);
  refuseUnsupported(() => where, parameters);
  return parameters;
}

function readFlag(where: string, parameters: JsonObject | undefined, name: string): boolean | undefined {
  const value = parameters?.[name] ?? undefined;
  if (value === undefined || typeof value === 'boolean') return value;
  throw invalid(`${where}: ${name} must be true or false, not ${describe(value)}`);
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
