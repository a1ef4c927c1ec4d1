import { ELEMENT_TYPES, elementCount } from '../protocol/element-types.ts';
import type { Tensor, TensorData } from '../tensor.ts';

/** One request's tensors stacked on another's, along the first dimension, and taken apart again. */

/** Stacks the requests' inputs; all agree in everything but the first dimension. */
export function stack(requests: readonly (readonly Tensor[])[]): readonly Tensor[] {
  const [first, ...others] = requests;
  if (first === undefined) return [];
  if (others.length === 0) return first;
  return first.map((sample, index) => {
    const parts = requests.flatMap((tensors) => tensors[index] ?? []);
    const rows = parts.reduce((total, { shape }) => total + (shape[0] ?? 0), 0);
    return { ...sample, shape: [rows, ...sample.shape.slice(1)], data: concatenate(sample, parts, rows) };
  });
}

function concatenate(sample: Tensor, parts: readonly Tensor[], rows: number): TensorData {
  if (sample.datatype === 'BYTES') return parts.flatMap(({ data }) => data as readonly Uint8Array[]);
  const { array } = ELEMENT_TYPES[sample.datatype];
  // The parts' arrays are all of the type that the datatype says; TypeScript cannot tell numbers from BigInts here.
  const out = new array(rows * elementCount(sample.shape.slice(1))) as Float32Array;
  let offset = 0;
  for (const { data } of parts) {
    out.set(data as Float32Array, offset);
    offset += data.length;
  }
  return out;
}

/**
 * Gives each request its rows of the outputs, as views on the batch's memory. Undefined when an output does not have
 * one row for each row that went in: then the model does not work row by row, and nothing can be told apart.
 */
export function unstack(
  outputs: readonly Tensor[],
  rowCounts: readonly number[],
): readonly (readonly Tensor[])[] | undefined {
  if (rowCounts.length === 1) return [outputs];
  const total = rowCounts.reduce((sum, rows) => sum + rows, 0);
  if (outputs.some(({ shape }) => shape[0] !== total)) return undefined;
  let row = 0;
  return rowCounts.map((rows) => {
    const from = row;
    row += rows;
    return outputs.map((output) => {
      const trailing = output.shape.slice(1);
      const size = elementCount(trailing);
      return { ...output, shape: [rows, ...trailing], data: view(output.data, from * size, row * size) };
    });
  });
}

function view(data: TensorData, start: number, end: number): TensorData {
  return ArrayBuffer.isView(data) ? data.subarray(start, end) : data.slice(start, end);
}
