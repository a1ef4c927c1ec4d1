import { stack, unstack } from './batching/batch-tensors.ts';
import { differsAt } from './compare-tensors.ts';
import { outliersLike, sampleLike, withIntegers } from './sample-inputs.ts';
import type { SessionLike } from './session.ts';
import type { Tensor } from './tensor.ts';

/**
 * Whether requests may share a run of this model. A free first dimension is not enough: where it is time, where rows
 * are normalised together, or where one row's values set the scale of all, neighbours would change each other's
 * answers. The graph has to prove that they do not; where it leaves that open, only `isAsked` gives leave, by a user who
 * knows the model. In both cases rows are then run alone and together, beside neighbours like them and neighbours far
 * outside their range, and must come out the same. `sample` holds inputs that the model has answered. Returns why
 * requests may not share a run, or undefined when they may.
 */
export async function whyNotBatchable(
  session: SessionLike,
  sample: readonly Tensor[],
  isAsked: boolean,
): Promise<string | undefined> {
  const fixed = session.inputs.find(({ shape }) => shape[0] !== -1);
  if (fixed !== undefined) return `the first dimension of input ${fixed.name} is not free`;
  const rowCount = sample[0]?.shape[0] ?? 0;
  if (sample.some(({ shape }) => shape[0] !== rowCount)) {
    return 'the inputs of an example disagree in the number of rows';
  }
  const evidence = session.rowEvidence;
  if (evidence.verdict === 'mixed') return evidence.why;
  if (evidence.verdict === 'unproven' && !isAsked) return `${evidence.why}, and nobody asked for batching`;
  const names = session.outputs.map(({ name }) => name);
  try {
    return await whyDependent(session, sample, names);
  } catch (error) {
    return `the engine refuses rows together: ${error instanceof Error ? error.message : String(error)}`;
  }
}

const NOT_ROW_BY_ROW = 'the outputs do not have one row for each row of input';

/** Rejects when the engine refuses rows together, or the first of them alone. */
async function whyDependent(
  session: SessionLike,
  sample: readonly Tensor[],
  names: readonly string[],
): Promise<string | undefined> {
  const answer = await session.run(sample, names);
  const rowCount = sample[0]?.shape[0] ?? 0;
  if (answer.some(({ shape }) => shape[0] !== rowCount)) return NOT_ROW_BY_ROW;
  const ones = new Array<number>(rowCount).fill(1);
  const [firstRow = sample] = unstack(sample, ones) ?? [];
  const different = firstDifferent(await session.run(firstRow, names), unstack(answer, ones)?.[0]);
  return different === undefined ? whyDependentOnNeighbours(session, sample, names) : dependent(different);
}

async function whyDependentOnNeighbours(
  session: SessionLike,
  sample: readonly Tensor[],
  names: readonly string[],
): Promise<string | undefined> {
  const evidence = session.rowEvidence;
  const isOpen = evidence.verdict === 'unproven';
  const asked = [sample, sampleLike(sample, 2)];
  if (isOpen) {
    // Made-up integers are 0 and 1 at random: all the one beside all the other shows what a mixture may hide.
    for (const integer of [0, 1] as const) {
      const inputs = withIntegers(sample, integer);
      if (await isAnswered(session, inputs, names)) asked.push(inputs);
    }
  }
  const alone: (readonly Tensor[])[] = [];
  for (const inputs of asked) alone.push(await session.run(inputs, names));
  const neighbours: (readonly Tensor[])[] = [];
  for (const sign of [1, -1] as const) {
    const neighbour = outliersLike(sample, sign, isOpen && evidence.takesMeasures);
    if (await isAnswered(session, neighbour, names)) neighbours.push(neighbour);
  }
  for (const neighbour of [undefined, ...neighbours]) {
    const stacked = neighbour === undefined ? asked : [...asked.slice(0, 1), neighbour, ...asked.slice(1)];
    const counts = stacked.map(([input]) => input?.shape[0] ?? 0);
    const together = unstack(await session.run(stack(stacked), names), counts);
    if (together === undefined) return NOT_ROW_BY_ROW;
    for (const [index, inputs] of asked.entries()) {
      const different = firstDifferent(alone[index] ?? [], together[stacked.indexOf(inputs)]);
      if (different !== undefined) return dependent(different);
    }
  }
  return undefined;
}

function dependent({ name }: Tensor): string {
  return `output ${name} of a row depends on the rows beside it`;
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
