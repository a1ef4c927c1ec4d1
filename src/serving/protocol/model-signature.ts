import { InferenceError, invalid, quoted } from '../inference-error.ts';
import { DATATYPES, type Datatype, type Tensor, type TensorSpec } from '../tensor.ts';
import { elementCount } from './element-types.ts';

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
  readonly #inputIndex: ReadonlyMap<string, number>;
  readonly #outputIndex: ReadonlyMap<string, number>;

  constructor(inputs: readonly TensorSpec[], outputs: readonly TensorSpec[]) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.outputNames = outputs.map(({ name }) => name);
    this.allBinary = outputs.map(() => true);
    this.needsExactIntegers = inputs.some(({ datatype }) => datatype === 'INT64' || datatype === 'UINT64');
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
      throw invalid(`input ${quoted(name)} takes shape [${spec.shape.join(', ')}], not [${shape.join(', ')}]`);
    }
    if (elementCount(shape) > MAX_ELEMENTS) {
      throw invalid(`input ${quoted(name)}: shape [${shape.join(', ')}] has more than ${MAX_ELEMENTS} elements`);
    }
    return spec;
  }

  input(name: string): TensorSpec {
    const spec = this.inputs[this.#inputIndex.get(name) ?? -1];
    if (spec === undefined) throw invalid(`unknown input ${quoted(name)}: the model takes ${list(this.inputs)}`);
    return spec;
  }

  /** The tensors in the model's order. @throws InferenceError when one is missing or there twice. */
  order(tensors: readonly Tensor[]): readonly Tensor[] {
    if (tensors.length === 1 && this.inputs.length === 1) return tensors;
    const ordered: Tensor[] = new Array(this.inputs.length);
    for (const tensor of tensors) {
      const index = this.#inputIndex.get(tensor.name) ?? -1;
      if (ordered[index] !== undefined) throw invalid(`input ${quoted(tensor.name)} is given twice`);
      ordered[index] = tensor;
    }
    for (const [index, spec] of this.inputs.entries()) {
      if (ordered[index] === undefined) {
        throw invalid(`input ${quoted(spec.name)} is missing: the model takes ${list(this.inputs)}`);
      }
    }
    return ordered;
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
  return specs.map(({ name, datatype, shape }) => `${quoted(name)} (${datatype} [${shape.join(', ')}])`).join(', ');
}

/** A datatype's name as one of the protocol's. */
export function isDatatype(text: string): text is Datatype {
  return KNOWN_DATATYPES.has(text);
}
