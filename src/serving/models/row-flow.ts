import type { OnnxNode, StoredTensor } from './onnx-graph.ts';

/**
 * What is known of a tensor while rows flow through a model's graph, of every run that requests of the same shapes but
 * for the number of rows may share. A tensor of which nothing is known has no flow.
 */
export type Flow = Rows | Fixed;

/**
 * Along `axis` every row of the request has its own part, of the same size for each and in their order; the part depends
 * on that row alone.
 */
export interface Rows {
  readonly kind: 'rows';
  readonly rank: number;
  readonly axis: number;
  /** Whether the parts lie one after the other in memory: every dimension before `axis` is 1. */
  readonly isLeading: boolean;
}

/** The same whatever the rows are, and however many, but for the elements that are the number of rows. */
export interface Fixed {
  readonly kind: 'fixed';
  readonly rank: number | undefined;
  /** Of short lists of integers and single ones, where known; undefined for one that is not. */
  readonly elements?: readonly Element[] | undefined;
}

/** `rows` stands for a multiple of the number of rows: a positive one, the same in every run. */
export type Element = number | 'rows' | undefined;

/** A node, with what is known of the tensors that it reads. */
export class NodeFlow {
  /** An input that is left out is undefined. */
  readonly inputs: readonly (Flow | undefined)[];
  readonly outputCount: number;
  readonly tensor: StoredTensor | undefined;
  /** Whether every dimension of the model's inputs but the first is fixed, so that one row's shapes are all there are. */
  readonly hasOneRowShape: boolean;
  readonly #integers: ReadonlyMap<string, readonly number[]>;

  constructor(node: OnnxNode, inputs: readonly (Flow | undefined)[], hasOneRowShape: boolean) {
    this.inputs = inputs;
    this.outputCount = node.outputs.length;
    this.tensor = node.tensor;
    this.hasOneRowShape = hasOneRowShape;
    this.#integers = node.integers;
  }

  integer(name: string): number | undefined {
    return this.#integers.get(name)?.[0];
  }

  integers(name: string): readonly number[] | undefined {
    return this.#integers.get(name);
  }

  /** The input at `index`, if it bears rows. */
  rows(index: number): Rows | undefined {
    const flow = this.inputs[index];
    return flow?.kind === 'rows' ? flow : undefined;
  }

  fixed(index: number): Fixed | undefined {
    const flow = this.inputs[index];
    return flow?.kind === 'fixed' ? flow : undefined;
  }

  /** Whether the inputs from `index` on are left out or the same in every run. */
  isSameFrom(index: number): boolean {
    return this.inputs.slice(index).every((flow) => flow === undefined || isSame(flow));
  }

  /** A list of integers by attribute, or by input in later versions of an operator; undefined where it is not known. */
  numbers(attribute: string, index: number): readonly number[] | undefined {
    return this.integers(attribute) ?? numbersOf(this.fixed(index));
  }
}

export function isSame(flow: Flow): flow is Fixed {
  return flow.kind === 'fixed' && !(flow.elements?.includes('rows') ?? false);
}

/** The elements of a list whose elements are all known numbers. */
export function numbersOf(flow: Fixed | undefined): readonly number[] | undefined {
  const elements = flow?.elements;
  return elements?.every((element) => typeof element === 'number') ? elements : undefined;
}

export function rows(rank: number, axis: number, isLeading = axis === 0): Rows {
  return { kind: 'rows', rank, axis, isLeading };
}

export function fixed(rank: number | undefined, elements?: readonly Element[]): Fixed {
  return { kind: 'fixed', rank, elements };
}

/** An axis as ONNX gives it, counted from the front. */
export function fromFront(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/**
 * What comes of tensors of which each is repeated to the size of the greatest, as NumPy broadcasts: rows stay apart
 * where all that bear them bear them in the same place, counted from the last dimension.
 */
export function broadcast(flows: readonly (Flow | undefined)[]): Flow | undefined {
  const present = flows.filter((flow) => flow !== undefined);
  const rank = greatestRank(present);
  const bearers = present.filter((flow) => flow.kind === 'rows');
  const [first] = bearers;
  if (!present.every((flow) => flow.kind === 'rows' || isSame(flow))) return undefined;
  if (first === undefined) return fixed(rank);
  if (rank === undefined) return undefined;
  const fromLast = first.rank - first.axis;
  if (bearers.some((flow) => flow.rank - flow.axis !== fromLast)) return undefined;
  const axis = rank - fromLast;
  return rows(rank, axis, axis === 0 || (present.length === 1 && first.isLeading));
}

function greatestRank(flows: readonly Flow[]): number | undefined {
  let greatest = 0;
  for (const { rank } of flows) {
    if (rank === undefined) return undefined;
    greatest = Math.max(greatest, rank);
  }
  return greatest;
}
