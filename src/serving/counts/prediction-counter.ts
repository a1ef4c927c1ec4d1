import type { PredictionCounts } from '../../api/counts.ts';
import { fromBfloat16, fromFloat16 } from '../protocol/half-float.ts';
import type { Datatype, Tensor, TensorData } from '../tensor.ts';
import { NUMBER_BUCKETS, numberBucket } from './number-buckets.ts';

/** Outputs of one model that are counted. */
const MAX_OUTPUTS = 16;
/** Labels of one output that are counted apart, in the order in which they came; the others are counted together. */
const MAX_LABELS = 256;
/** Of a label that is text, so many bytes are kept. */
const MAX_LABEL_BYTES = 128;
/** Integers from 0 to below it, as most labels are, are counted without looking them up. */
const SMALL_LABELS = MAX_LABELS;
/** The label, and the bucket, of what is not a number: a model that says so predicts nonsense. */
const NOT_A_NUMBER = 'NaN';

/**
 * What a model predicts, counted over the rows of its outputs: integers, booleans and text by label, vectors of numbers
 * (`[rows, classes]`) by the index of the largest, numbers (`[rows]` or `[rows, 1]`) by bucket. Outputs of any other
 * shape, images say, are not counted.
 */
export class PredictionCounter {
  readonly #outputs = new Map<string, OutputCounter>();

  count(outputs: readonly Tensor[]): void {
    for (const output of outputs) this.#of(output)?.count(output);
  }

  snapshot(): Record<string, PredictionCounts> {
    return Object.fromEntries([...this.#outputs].map(([name, counter]) => [name, counter.snapshot()]));
  }

  #of(output: Tensor): OutputCounter | undefined {
    const known = this.#outputs.get(output.name);
    if (known !== undefined || this.#outputs.size >= MAX_OUTPUTS) return known;
    const counter = counterOf(output);
    if (counter !== undefined) this.#outputs.set(output.name, counter);
    return counter;
  }
}

interface OutputCounter {
  count(output: Tensor): void;
  snapshot(): PredictionCounts;
}

type Width = 'scalar' | 'vector' | 'other';

function widthOf({ shape }: Tensor): Width {
  if (shape.length === 1 || (shape.length === 2 && shape[1] === 1)) return 'scalar';
  return shape.length === 2 && (shape[1] ?? 0) > 1 ? 'vector' : 'other';
}

type NumberAt = (data: TensorData, index: number) => number;

/** Reads elements of floating-point datatypes; undefined for the others. */
function numberReader(datatype: Datatype): NumberAt | undefined {
  switch (datatype) {
    case 'FP32':
    case 'FP64':
      return (data, index) => Number(data[index]);
    case 'FP16':
      return (data, index) => fromFloat16(Number(data[index]));
    case 'BF16':
      return (data, index) => fromBfloat16(Number(data[index]));
    default:
      return undefined;
  }
}

function counterOf(output: Tensor): OutputCounter | undefined {
  const width = widthOf(output);
  const read = numberReader(output.datatype);
  if (read === undefined) return width === 'scalar' ? new LabelCounter() : undefined;
  if (width === 'scalar') return new NumberCounter(read);
  return width === 'vector' ? new LargestCounter(read) : undefined;
}

/** Labels: small integers in an array, everything else by its text. */
class Labels {
  readonly #small = new Float64Array(SMALL_LABELS);
  readonly #others = new Map<string, number>();
  other = 0;

  addInteger(label: number): void {
    if (label >= 0 && label < SMALL_LABELS) this.#small[label] = (this.#small[label] ?? 0) + 1;
    else this.addText(String(label));
  }

  addText(label: string): void {
    const count = this.#others.get(label);
    if (count !== undefined || this.#others.size < MAX_LABELS) this.#others.set(label, (count ?? 0) + 1);
    else this.other++;
  }

  snapshot(): PredictionCounts {
    const counts: Record<string, number> = Object.fromEntries(this.#others);
    for (const [label, count] of this.#small.entries()) {
      if (count > 0) counts[label] = (counts[label] ?? 0) + count;
    }
    return { kind: 'Label', counts, other: this.other };
  }
}

class LabelCounter implements OutputCounter {
  readonly #labels = new Labels();

  count(output: Tensor): void {
    if (widthOf(output) !== 'scalar') {
      this.#labels.other += output.shape[0] ?? 1;
      return;
    }
    for (const value of output.data) {
      if (typeof value === 'number') this.#labels.addInteger(value);
      else if (typeof value === 'bigint') this.#addBigInt(value);
      else this.#labels.addText(textOf(value));
    }
  }

  #addBigInt(value: bigint): void {
    if (value >= 0n && value < SMALL_LABELS) this.#labels.addInteger(Number(value));
    else this.#labels.addText(String(value));
  }

  snapshot(): PredictionCounts {
    return this.#labels.snapshot();
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, MAX_LABEL_BYTES)).toString('utf8');
}

class LargestCounter implements OutputCounter {
  readonly #labels = new Labels();
  readonly #read: NumberAt;

  constructor(read: NumberAt) {
    this.#read = read;
  }

  count({ shape, data }: Tensor): void {
    const [rows = 0, width = 1] = shape;
    for (let row = 0; row < rows; row++) this.#countRow(data, row * width, width);
  }

  #countRow(data: TensorData, start: number, width: number): void {
    let largest = Number.NEGATIVE_INFINITY;
    let label = 0;
    for (let index = 0; index < width; index++) {
      const value = this.#read(data, start + index);
      if (Number.isNaN(value)) {
        this.#labels.addText(NOT_A_NUMBER);
        return;
      }
      if (value > largest) {
        largest = value;
        label = index;
      }
    }
    this.#labels.addInteger(label);
  }

  snapshot(): PredictionCounts {
    return this.#labels.snapshot();
  }
}

class NumberCounter implements OutputCounter {
  readonly #buckets = new Float64Array(NUMBER_BUCKETS);
  readonly #read: NumberAt;
  #notNumbers = 0;
  #other = 0;

  constructor(read: NumberAt) {
    this.#read = read;
  }

  count(output: Tensor): void {
    if (widthOf(output) !== 'scalar') {
      this.#other += output.shape[0] ?? 1;
      return;
    }
    const { data } = output;
    for (let index = 0; index < data.length; index++) {
      const value = this.#read(data, index);
      if (Number.isNaN(value)) {
        this.#notNumbers++;
        continue;
      }
      const bucket = numberBucket(value);
      this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
    }
  }

  snapshot(): PredictionCounts {
    const counts: Record<string, number> = {};
    for (const [bucket, count] of this.#buckets.entries()) if (count > 0) counts[bucket] = count;
    if (this.#notNumbers > 0) counts[NOT_A_NUMBER] = this.#notNumbers;
    return { kind: 'Number', counts, other: this.#other };
  }
}
