import { InferenceError, invalid, quoted, shown } from '../inference-error.ts';
import { DATATYPES, type Tensor, type TensorSpec } from '../tensor.ts';
import { elementCount } from './element-types.ts';
import { MAX_STRINGS } from './heap-limits.ts';

const KNOWN_DATATYPES: ReadonlySet<string> = new Set(DATATYPES);

/** No tensor a request may carry is larger, whatever its shape claims. */
const MAX_ELEMENTS = 2 ** 31 - 1;

/** What a model takes and gives, and the check of a request against it. */
export class ModelSignature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly outputNames: readonly string[];
  /** True for every output: all of them go as bytes. */
  readonly allBinary: readonly boolean[];
  /** Whether JSON integers have to keep every digit for this model. */
  readonly needsExactIntegers: boolean;
  /** Elements that one of the inputs of BYTES may have, so that all of them together stay within the heap. */
  readonly #maxStrings: number;
  readonly #inputIndex: ReadonlyMap<string, number>;
  readonly #outputIndex: ReadonlyMap<string, number>;

  constructor(inputs: readonly TensorSpec[], outputs: readonly TensorSpec[]) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.outputNames = outputs.map(({ name }) => name);
    this.allBinary = outputs.map(() => true);
    this.needsExactIntegers = inputs.some(({ datatype }) => datatype === 'INT64' || datatype === 'UINT64');
    const stringInputs = inputs.filter(({ datatype }) => datatype === 'BYTES').length;
    this.#maxStrings = Math.floor(MAX_STRINGS / Math.max(1, stringInputs));
    this.#inputIndex = new Map(inputs.map(({ name }, index) => [name, index]));
    this.#outputIndex = new Map(outputs.map(({ name }, index) => [name, index]));
  }

  /**
   * The input a request means by `name`, with the shape and datatype it claims checked against the model's.
   * @throws InferenceError InvalidArgument.
   */
  checkInput(name: string, datatype: string, shape: readonly number[]): TensorSpec {
    const spec = this.input(name);
    if (datatype !== spec.datatype) {
      throw invalid(
        KNOWN_DATATYPES.has(datatype)
          ? `input ${quoted(name)} is ${spec.datatype}, not ${datatype}`
          : `input ${quoted(name)}: unknown datatype ${quoted(datatype)}; the model takes ${spec.datatype}`,
      );
    }
    if (!fits(shape, spec.shape)) {
      throw invalid(`input ${quoted(name)} takes shape ${shown(spec.shape)}, not ${shown(shape)}`);
    }
    const maxElements = spec.datatype === 'BYTES' ? this.#maxStrings : MAX_ELEMENTS;
    if (elementCount(shape) > maxElements) {
      throw invalid(`input ${quoted(name)}: shape ${shown(shape)} has more than ${maxElements} elements`);
    }
    return spec;
  }

  input(name: string): TensorSpec {
    const spec = this.inputs[this.#inputIndex.get(name) ?? -1];
    if (spec === undefined) throw this.#unknownInput(name);
    return spec;
  }

  /**
   * Reads the inputs of a request, each at most once, and gives them in the model's order.
   * @throws InferenceError InvalidArgument when one is missing, unknown or there twice, or as `read`.
   */
  collect<T extends { readonly name: string }>(
    given: readonly T[],
    read: (input: T, index: number) => Tensor,
  ): readonly Tensor[] {
    const ordered: Tensor[] = new Array(this.inputs.length);
    for (const [index, input] of given.entries()) {
      const place = this.#inputIndex.get(input.name);
      if (place === undefined) throw this.#unknownInput(input.name);
      if (ordered[place] !== undefined) throw invalid(`input ${quoted(input.name)} is given twice`);
      ordered[place] = read(input, index);
    }
    for (const [place, spec] of this.inputs.entries()) {
      if (ordered[place] === undefined) {
        throw invalid(`input ${quoted(spec.name)} is missing: the model takes ${list(this.inputs)}`);
      }
    }
    return ordered;
  }

  #unknownInput(name: string): InferenceError {
    return invalid(`unknown input ${quoted(name)}: the model takes ${list(this.inputs)}`);
  }

  /** The place of an output among the model's. @throws InferenceError NotFound. */
  outputIndex(name: string): number {
    const index = this.#outputIndex.get(name);
    if (index === undefined) {
      throw new InferenceError('NotFound', `unknown output ${quoted(name)}: the model gives ${list(this.outputs)}`);
    }
    return index;
  }
}

/** A shape as a request gives it. @throws InferenceError when a dimension is not a positive integer. */
export function checkShape(name: string, shape: unknown): readonly number[] {
  if (!Array.isArray(shape)) throw invalid(`input ${quoted(name)}: shape must be an array of integers`);
  for (const [axis, dimension] of shape.entries()) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      throw invalid(`input ${quoted(name)}: dimension ${axis} of shape must be a positive integer`);
    }
    if (dimension === 0) {
      throw invalid(`input ${quoted(name)}: dimension ${axis} of shape is 0, so there is nothing to predict`);
    }
  }
  return shape as number[];
}

function fits(shape: readonly number[], spec: readonly number[]): boolean {
  if (shape.length !== spec.length) return false;
  for (let axis = 0; axis < spec.length; axis++) {
    if (spec[axis] !== -1 && spec[axis] !== shape[axis]) return false;
  }
  return true;
}

function list(specs: readonly TensorSpec[]): string {
  return specs.map(({ name, datatype, shape }) => `${quoted(name)} (${datatype} ${shown(shape)})`).join(', ');
}
