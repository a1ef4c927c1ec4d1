import { invalid, quoted, shown } from '../inference-error.ts';
import type { Tensor, TensorSpec } from '../tensor.ts';
import { elementCount } from './element-types.ts';
import { isObject } from './infer-request.ts';
import { parseJson } from './json-parse.ts';
import { checkJsonAnswer, describe, joinTexts, jsonChars, readJsonData, writeJsonValues } from './json-tensor.ts';
import type { ModelSignature } from './model-signature.ts';

/** Rows as plain JSON, for people who would rather not spell tensors. */
export interface RowsRequest {
  readonly inputs: readonly Tensor[];
  readonly rowCount: number;
  /** `instance` was asked for, so one `prediction` is answered; else `predictions`, one a row. */
  readonly single: boolean;
}

/**
 * Reads `{"instance": ROW}` or `{"instances": [ROW, ...]}`. A row of a model with one input is that input's value
 * (an array nested as the dimensions after the first); any row may be an object from input name to value. A value of
 * a column, with dimensions `[1]` after the first, may be bare.
 * @throws InferenceError InvalidArgument naming the row and the input.
 */
export function readRows(signature: ModelSignature, body: Buffer): RowsRequest {
  const request = parseJson(body, signature.needsExactIntegers);
  if (!isObject(request)) throw invalid(`the body must be a JSON object, not ${describe(request)}`);
  const { instance, instances } = request;
  if (instance !== undefined && instances !== undefined) throw invalid('give instance or instances, not both');
  if (instance === undefined && !Array.isArray(instances)) {
    throw invalid(
      `the body needs "instance" (one row) or "instances" (an array of rows); instances is ${describe(instances)}`,
    );
  }
  const rows: readonly unknown[] = Array.isArray(instances) ? instances : [instance];
  if (rows.length === 0) throw invalid('instances is empty, so there is nothing to predict');
  const columns = toColumns(signature, rows);
  const inputs = signature.inputs.map((spec, index) => readColumn(signature, spec, columns[index] ?? []));
  return { inputs, rowCount: rows.length, single: instance !== undefined };
}

/** For each input of the model its values, one a row. */
function toColumns(signature: ModelSignature, rows: readonly unknown[]): readonly (readonly unknown[])[] {
  const [only, ...others] = signature.inputs;
  if (only !== undefined && others.length === 0 && !rows.some(isObject)) return [rows];
  for (const [index, row] of rows.entries()) {
    if (!isObject(row)) {
      throw invalid(`instances[${index}] must be an object with a value for every input, not ${describe(row)}`);
    }
    for (const name of Object.keys(row)) signature.input(name);
  }
  return signature.inputs.map(({ name }) =>
    rows.map((row, index) => {
      const value = isObject(row) && Object.hasOwn(row, name) ? row[name] : undefined;
      if (value === undefined) throw invalid(`instances[${index}] has no value for input ${quoted(name)}`);
      return value;
    }),
  );
}

function readColumn(signature: ModelSignature, spec: TensorSpec, values: readonly unknown[]): Tensor {
  if (spec.shape.length === 0) throw invalid(`input ${quoted(spec.name)} is a scalar and has no rows: use /v2`);
  const [first] = values;
  const isBareColumn = spec.shape.length === 2 && spec.shape[1] === 1 && !Array.isArray(first);
  const trailing = isBareColumn ? [1] : shapeOf(first, spec.shape.length - 1);
  const shape = [values.length, ...trailing];
  signature.checkInput(spec.name, spec.datatype, shape);
  const data = isBareColumn || trailing.length === 0 ? values : values.map(asRow(spec, trailing));
  return { name: spec.name, datatype: spec.datatype, shape, data: readJsonData(spec.name, spec.datatype, shape, data) };
}

/** The lengths of the arrays nested in `value`, at most `depth` of them. */
function shapeOf(value: unknown, depth: number): number[] {
  const shape: number[] = [];
  for (let level = value; Array.isArray(level) && shape.length < depth; level = level[0]) shape.push(level.length);
  return shape;
}

function asRow(spec: TensorSpec, trailing: readonly number[]): (value: unknown, index: number) => unknown {
  return (value, index) => {
    if (!Array.isArray(value) || value.length !== trailing[0]) {
      throw invalid(
        `instances[${index}]: input ${quoted(spec.name)} takes ${trailing[0]} values a row, but this one is ${describe(value)}`,
      );
    }
    return value;
  };
}

/**
 * The answer to `readRows`: a prediction is the value of the only output, nested as the dimensions after the first,
 * or an object from output name to value where there are several.
 * @throws InferenceError InvalidArgument when an output has no row for each row of the request, or as `checkJsonAnswer`.
 */
export function writeRows(head: string, request: RowsRequest, outputs: readonly Tensor[]): string {
  const { rowCount } = request;
  const columns = outputs.map((tensor) => toColumn(tensor, rowCount));
  checkJsonAnswer(columns.reduce((chars, column) => chars + columnChars(column, rowCount), 0));
  const [only, ...others] = columns;
  const row = (index: number): string =>
    only !== undefined && others.length === 0
      ? rowOf(only, index)
      : `{${columns.map((column) => `${column.key}:${rowOf(column, index)}`).join(',')}}`;
  if (request.single) return `${head},"prediction":${row(0)}}`;
  return `${head},"predictions":[${joinTexts(rowCount, row)}]}`;
}

/** An output as it is told by rows. */
interface Column {
  readonly tensor: Tensor;
  /** Its name as JSON. */
  readonly key: string;
  /** The dimensions of a row, and their values. */
  readonly trailing: readonly number[];
  readonly size: number;
}

function toColumn(tensor: Tensor, rowCount: number): Column {
  const [rows, ...trailing] = tensor.shape;
  if (rows !== rowCount) {
    throw invalid(
      `output ${quoted(tensor.name)} has shape ${shown(tensor.shape)} for ${rowCount} rows, so it cannot be told by rows: use /v2`,
    );
  }
  return { tensor, key: JSON.stringify(tensor.name), trailing, size: elementCount(trailing) };
}

/** Characters that a column takes at most: its values, and the name and the brackets around them with their commas. */
function columnChars({ tensor, key, trailing }: Column, rowCount: number): number {
  let chars = jsonChars(tensor) + rowCount * (key.length + 4);
  let arrays = rowCount;
  for (const dimension of trailing) {
    chars += 3 * arrays;
    arrays *= dimension;
  }
  return chars;
}

function rowOf({ tensor, trailing, size }: Column, index: number): string {
  return nest({ ...tensor, data: tensor.data.slice(index * size, (index + 1) * size) }, trailing);
}

/** One row's values as JSON, nested as `shape`. */
function nest(tensor: Tensor, shape: readonly number[]): string {
  const [length, ...inner] = shape;
  if (length === undefined) return writeJsonValues(tensor);
  if (inner.length === 0) return `[${writeJsonValues(tensor)}]`;
  const size = elementCount(inner);
  const part = (index: number): string =>
    nest({ ...tensor, data: tensor.data.slice(index * size, (index + 1) * size) }, inner);
  return `[${joinTexts(length, part)}]`;
}
