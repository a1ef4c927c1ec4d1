import { valueAt } from '../../compare-tensors.ts';
import { readBinaryData } from '../../protocol/binary-tensor.ts';
import { isObject } from '../../protocol/infer-request.ts';
import { parseJson } from '../../protocol/json-parse.ts';
import { DATATYPES, type Datatype, type Tensor } from '../../tensor.ts';
import type { Answer } from './answer.ts';

/** One value of an output, as JSON has it; 64-bit integers that JSON cannot hold exactly are BigInts, BYTES are text. */
export type Scalar = number | bigint | string | boolean;

/** One output of an answer of the Open Inference Protocol, its values in one row. */
export interface Output {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly values: readonly Scalar[];
}

const MAX_DEPTH = 32;

/**
 * The outputs of an answer to `infer`, in JSON or with binary tensors; undefined where it is no such answer.
 * @throws InferenceError InvalidArgument where the body does not hold what it says.
 */
export function readOutputs({ body, jsonBytes }: Answer): readonly Output[] | undefined {
  if (jsonBytes !== undefined && !(jsonBytes <= body.length)) return undefined;
  const json = parseJson(jsonBytes === undefined ? body : body.subarray(0, jsonBytes), true);
  if (!isObject(json) || !Array.isArray(json.outputs)) return undefined;
  const outputs: Output[] = [];
  let at = jsonBytes ?? body.length;
  for (const given of json.outputs) {
    if (!isObject(given)) return undefined;
    const { name, datatype, shape, parameters, data } = given;
    if (typeof name !== 'string' || !isDatatype(datatype) || !isShape(shape)) return undefined;
    const sizeBytes = isObject(parameters) ? parameters.binary_data_size : undefined;
    if (typeof sizeBytes === 'number') {
      const bytes = body.subarray(at, at + sizeBytes);
      at += sizeBytes;
      outputs.push(outputOf({ name, datatype, shape, data: readBinaryData(name, datatype, shape, bytes) }));
    } else {
      const values = flatten(data, 0);
      if (values === undefined) return undefined;
      outputs.push({ name, datatype, shape, values });
    }
  }
  return outputs;
}

export function outputOf(tensor: Tensor): Output {
  const { name, datatype, shape, data } = tensor;
  return {
    name,
    datatype,
    shape,
    values: Array.from({ length: data.length }, (_, index) => valueAt(tensor, index) ?? 0),
  };
}

function flatten(data: unknown, depth: number): Scalar[] | undefined {
  if (!Array.isArray(data) || depth > MAX_DEPTH) return undefined;
  const values: Scalar[] = [];
  for (const value of data) {
    if (isScalar(value)) {
      values.push(value);
      continue;
    }
    const inner = flatten(value, depth + 1);
    if (inner === undefined) return undefined;
    for (const scalar of inner) values.push(scalar);
  }
  return values;
}

function isScalar(value: unknown): value is Scalar {
  return (
    typeof value === 'number' || typeof value === 'bigint' || typeof value === 'string' || typeof value === 'boolean'
  );
}

export function isDatatype(value: unknown): value is Datatype {
  return DATATYPES.some((datatype) => datatype === value);
}

export function isShape(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((dimension) => Number.isSafeInteger(dimension) && dimension >= 0);
}
