import type { SessionLike } from '../session.ts';
import type { Datatype, Tensor, TensorSpec } from '../tensor.ts';

export interface FakeSessionOptions {
  readonly inputs?: readonly TensorSpec[];
  readonly outputs?: readonly TensorSpec[];
  readonly run?: (inputs: readonly Tensor[], outputNames: readonly string[]) => Promise<readonly Tensor[]>;
}

const X: TensorSpec = { name: 'x', datatype: 'FP32', shape: [-1, 2] };

/** An engine at whose edge tests stand: by default a model that gives its input `x` (FP32 [-1, 2]) back as `y`. */
export class FakeSession implements SessionLike {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly provider = 'fake';
  readonly rowEvidence = { verdict: 'independent' } as const;
  /** The inputs of every run so far. */
  readonly runs: (readonly Tensor[])[] = [];
  isClosed = false;
  readonly #run: NonNullable<FakeSessionOptions['run']>;

  constructor({ inputs = [X], outputs, run }: FakeSessionOptions = {}) {
    this.inputs = inputs;
    this.outputs = outputs ?? [{ ...(inputs[0] ?? X), name: 'y' }];
    this.#run = run ?? (async ([input]) => (input === undefined ? [] : [{ ...input, name: 'y' }]));
  }

  async run(inputs: readonly Tensor[], outputNames: readonly string[]): Promise<readonly Tensor[]> {
    this.runs.push(inputs);
    return this.#run(inputs, outputNames);
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}

/** A model that gives its only input back, of any datatype. */
export function identitySession(datatype: Datatype, shape: readonly number[] = [-1, -1]): FakeSession {
  return new FakeSession({ inputs: [{ name: 'x', datatype, shape }] });
}

/** `rows` rows of two floats, counting up from `first`. */
export function rowsOfTwo(rows: number, first = 0): Tensor {
  return {
    name: 'x',
    datatype: 'FP32',
    shape: [rows, 2],
    data: Float32Array.from({ length: rows * 2 }, (_, index) => first + index),
  };
}
