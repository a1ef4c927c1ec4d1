import { stack, unstack } from './batching/batch-tensors.ts';
import { fromBfloat16, fromFloat16 } from './protocol/half-float.ts';
import type { SessionLike } from './session.ts';
import type { Tensor } from './tensor.ts';

/**
 * Whether requests may share a run of this model. A free first dimension is not enough: where it is time, or where
 * rows are normalised together, neighbours would change each other's answers. So rows are run alone and together, and
 * must come out the same. Returns why they may not be shared, or undefined when they may.
 */
export async function whyNotBatchable(
  session: SessionLike,
  first: readonly Tensor[],
  second: readonly Tensor[],
): Promise<string | undefined> {
  const fixed = session.inputs.find(({ shape }) => shape[0] !== -1);
  if (fixed !== undefined) return `the first dimension of input ${fixed.name} is not free`;
  const requests = [first, second, first];
  const rowCounts = requests.map(([input]) => input?.shape[0] ?? 0);
  if (requests.some((inputs, index) => inputs.some(({ shape }) => shape[0] !== rowCounts[index]))) {
    return 'the inputs of an example disagree in the number of rows';
  }
  const names = session.outputs.map(({ name }) => name);
  try {
    const alone: (readonly Tensor[])[] = [];
    for (const inputs of requests) alone.push(await session.run(inputs, names));
    const together = unstack(await session.run(stack(requests), names), rowCounts);
    if (together === undefined) return 'the outputs do not have one row for each row of input';
    for (const [index, outputs] of alone.entries()) {
      const different = outputs.find((output, place) => !isClose(output, together[index]?.[place]));
      if (different !== undefined) return `output ${different.name} of a row depends on the rows beside it`;
    }
    return undefined;
  } catch (error) {
    return `the engine refuses rows together: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Equal up to what the order of additions in a larger matrix product changes. */
function isClose(expected: Tensor, actual: Tensor | undefined): boolean {
  if (actual === undefined || actual.shape.join() !== expected.shape.join()) return false;
  const half = expected.datatype === 'FP16' || expected.datatype === 'BF16';
  return differsAt(expected, actual, half ? 0.01 : 1e-4, half ? 0.02 : 1e-3) === undefined;
}

/**
 * The first index at which two tensors of one datatype differ: floats by more than `absolute + relative * |expected|`,
 * everything else at all. Undefined when they agree.
 */
export function differsAt(expected: Tensor, actual: Tensor, absolute: number, relative: number): number | undefined {
  const length = Math.max(expected.data.length, actual.data.length);
  for (let index = 0; index < length; index++) {
    const a = valueAt(expected, index);
    const b = valueAt(actual, index);
    const isSame =
      typeof a === 'number' && typeof b === 'number' && isFloat(expected)
        ? Object.is(a, b) || Math.abs(a - b) <= absolute + relative * Math.abs(a)
        : a === b;
    if (!isSame) return index;
  }
  return undefined;
}

function isFloat({ datatype }: Tensor): boolean {
  return datatype === 'FP32' || datatype === 'FP64' || datatype === 'FP16' || datatype === 'BF16';
}

/** One value as something that `===` compares; BYTES as Latin-1 text. */
export function valueAt({ data, datatype }: Tensor, index: number): number | bigint | string | undefined {
  const value = data[index];
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
  if (typeof value !== 'number') return value;
  if (datatype === 'FP16') return fromFloat16(value);
  return datatype === 'BF16' ? fromBfloat16(value) : value;
}
