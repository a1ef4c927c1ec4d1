import type { Datatype } from '../../tensor.ts';
import type { Output, Scalar } from './outputs.ts';

/** What one member of an ensemble answered. */
export interface MemberOutputs {
  readonly revision: string;
  readonly weight: number;
  readonly outputs: readonly Output[];
}

/** Why answers of members cannot become one; the message names the member and the output. */
export class CannotCombine extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CannotCombine';
  }
}

const FLOATS: ReadonlySet<Datatype> = new Set(['FP16', 'BF16', 'FP32', 'FP64']);

/**
 * The members' answers as one. `Average`: the weighted mean, of numeric outputs; of integers as FP64. `Vote`: the label
 * that has the most weight, of integer, boolean and text outputs; of labels with equal weight the one that comes first
 * among the members. Outputs of the other kinds are left out.
 * @throws CannotCombine where members differ in outputs or shapes, or nothing is left.
 */
export function combineOutputs(members: readonly MemberOutputs[], combine: 'Average' | 'Vote'): readonly Output[] {
  const [first] = members;
  if (first === undefined) throw new CannotCombine('an ensemble without members answers nothing');
  const combined: Output[] = [];
  for (const output of first.outputs) {
    const all = members.map((member) => sameOutput(output, first, member));
    const isText = output.datatype === 'BYTES' || output.datatype === 'BOOL';
    if (combine === 'Average' && !isText) {
      const datatype = FLOATS.has(output.datatype) ? output.datatype : 'FP64';
      combined.push({ ...output, datatype, values: output.values.map((_, index) => average(members, all, index)) });
    } else if (combine === 'Vote' && !FLOATS.has(output.datatype)) {
      combined.push({ ...output, values: output.values.map((_, index) => vote(members, all, index)) });
    }
  }
  if (combined.length === 0) {
    const kinds = first.outputs.map(({ name, datatype }) => `${name} (${datatype})`).join(', ');
    throw new CannotCombine(
      `${combine} takes ${combine === 'Average' ? 'numbers' : 'labels'}; the outputs are ${kinds}`,
    );
  }
  return combined;
}

function sameOutput(output: Output, first: MemberOutputs, member: MemberOutputs): Output {
  const same = member.outputs.find(({ name }) => name === output.name);
  if (same === undefined) throw new CannotCombine(`${member.revision} has no output ${output.name}`);
  if (same.datatype !== output.datatype || same.shape.join() !== output.shape.join()) {
    throw new CannotCombine(
      `output ${output.name} is ${output.datatype} [${output.shape.join(', ')}] of ${first.revision}, but ${same.datatype} [${same.shape.join(', ')}] of ${member.revision}`,
    );
  }
  if (same.values.length !== output.values.length) {
    throw new CannotCombine(`output ${output.name} of ${member.revision} has ${same.values.length} values`);
  }
  return same;
}

function average(members: readonly MemberOutputs[], outputs: readonly Output[], index: number): Scalar {
  let sum = 0;
  let weights = 0;
  for (const [place, { weight }] of members.entries()) {
    // "NaN", "Infinity" and "-Infinity" are how JSON says what it has no numbers for.
    sum += weight * Number(outputs[place]?.values[index]);
    weights += weight;
  }
  const mean = sum / weights;
  return Number.isFinite(mean) ? mean : String(mean);
}

function vote(members: readonly MemberOutputs[], outputs: readonly Output[], index: number): Scalar {
  const weights = new Map<Scalar, number>();
  for (const [place, { weight }] of members.entries()) {
    const label = outputs[place]?.values[index] ?? 0;
    weights.set(label, (weights.get(label) ?? 0) + weight);
  }
  let winner: Scalar = 0;
  let most = Number.NEGATIVE_INFINITY;
  for (const [label, weight] of weights) {
    if (weight <= most) continue;
    winner = label;
    most = weight;
  }
  return winner;
}

/** An answer of the Open Inference Protocol, in JSON. */
export function writeOutputs(modelName: string, outputs: readonly Output[]): string {
  const written = outputs.map(({ name, datatype, shape, values }) => {
    const data = values.map((value) => (typeof value === 'bigint' ? String(value) : JSON.stringify(value)));
    return `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape.join(',')}],"data":[${data.join(',')}]}`;
  });
  return `{"model_name":${JSON.stringify(modelName)},"outputs":[${written.join(',')}]}`;
}
