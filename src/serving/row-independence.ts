import { stack, unstack } from './batching/batch-tensors.ts';
import { differsAt } from './compare-tensors.ts';
import { outliersLike, sampleLike } from './sample-inputs.ts';
import type { SessionLike } from './session.ts';
import type { Tensor } from './tensor.ts';

/**
 * Whether requests may share a run of this model. A free first dimension is not enough: where it is time, where rows
 * are normalised together, or where one row's values set the scale of all, neighbours would change each other's
 * answers. So rows are run alone and together, beside neighbours like them and neighbours a thousand times greater, and
 * must come out the same. `sample` holds inputs that the model has answered. Returns why requests may not share a run,
 * or undefined when they may.
 */
export async function whyNotBatchable(session: SessionLike, sample: readonly Tensor[]): Promise<string | undefined> {
  const fixed = session.inputs.find(({ shape }) => shape[0] !== -1);
  if (fixed !== undefined) return `the first dimension of input ${fixed.name} is not free`;
  const rowCount = sample[0]?.shape[0] ?? 0;
  if (sample.some(({ shape }) => shape[0] !== rowCount)) {
    return 'the inputs of an example disagree in the number of rows';
  }
  if (session.rowMixing !== undefined) return session.rowMixing;
  const names = session.outputs.map(({ name }) => name);
  const other = sampleLike(sample, 2);
  try {
    const alone = await session.run(sample, names);
    const otherAlone = await session.run(other, names);
    const outliers = [outliersLike(sample, 1), outliersLike(sample, -1)];
    const neighbours = [other];
    for (const neighbour of outliers) if (await isAnswered(session, neighbour, names)) neighbours.push(neighbour);
    for (const neighbour of neighbours) {
      const outputs = await session.run(stack([sample, neighbour, other]), names);
      const together = unstack(outputs, [rowCount, rowCount, rowCount]);
      if (together === undefined) return 'the outputs do not have one row for each row of input';
      const different = firstDifferent(alone, together[0]) ?? firstDifferent(otherAlone, together[2]);
      if (different !== undefined) return `output ${different.name} of a row depends on the rows beside it`;
    }
    return undefined;
  } catch (error) {
    return `the engine refuses rows together: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** A row that fails alone is no neighbour to fear: the batch that it makes fail is run again one by one. */
async function isAnswered(session: SessionLike, inputs: readonly Tensor[], names: readonly string[]): Promise<boolean> {
  try {
    await session.run(inputs, names);
    return true;
  } catch {
    return false;
  }
}

function firstDifferent(alone: readonly Tensor[], together: readonly Tensor[] | undefined): Tensor | undefined {
  return alone.find((output, place) => !isClose(output, together?.[place]));
}

/** Equal up to what the order of additions in a larger matrix product changes. */
function isClose(expected: Tensor, actual: Tensor | undefined): boolean {
  if (actual === undefined || actual.shape.join() !== expected.shape.join()) return false;
  const half = expected.datatype === 'FP16' || expected.datatype === 'BF16';
  return differsAt(expected, actual, half ? 0.01 : 1e-4, half ? 0.02 : 1e-3) === undefined;
}
