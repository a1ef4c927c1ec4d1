import { type ModelFile, walkModel } from './onnx-file.ts';
import type { WireReader } from './onnx-wire.ts';

/** A tensor that stands in the model; `elements` only where they are few and of INT32 or INT64, as shapes and axes are. */
export interface StoredTensor {
  readonly rank: number;
  readonly elements: readonly number[] | undefined;
}

export interface OnnxNode {
  readonly operator: string;
  /** Empty for ONNX's own operators. */
  readonly domain: string;
  /** An input that is left out is the empty text. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Attributes that are an integer or a list of them; other attributes are not read. */
  readonly integers: ReadonlyMap<string, readonly number[]>;
  /** The attribute that is a tensor, of which no operator has two. */
  readonly tensor: StoredTensor | undefined;
  /** Whether it holds graphs: a branch or a loop. */
  readonly hasGraphs: boolean;
}

export interface OnnxGraph {
  /** Of the graph itself, in an order in which each comes after what it reads. */
  readonly nodes: readonly OnnxNode[];
  readonly stored: ReadonlyMap<string, StoredTensor>;
  /** The types of all operators, those of functions and of branches and loops included. */
  readonly operators: ReadonlySet<string>;
  /** Whether the model defines operators of its own, which may bear any name. */
  readonly hasFunctions: boolean;
}

/** Field numbers of onnx.proto3; every other field is passed over, weights above all. */
const MODEL = { graph: 7, functions: 25 };
const GRAPH = { node: 1, initializer: 5 };
const FUNCTION = { node: 7 };
const NODE = { input: 1, output: 2, operator: 4, attribute: 5, domain: 7 };
const ATTRIBUTE = { name: 1, integer: 3, tensor: 5, graph: 6, integers: 8, graphs: 11, type: 20 };
/** Of attributes that are one integer; absent where a writer knew no types. */
const INTEGER_TYPES: readonly number[] = [0, 2];
const TENSOR = { dimensions: 1, datatype: 2, int32: 5, int64: 7, name: 8, raw: 9, externalData: 13 };
const INT32 = 6;
const INT64 = 7;

/** Shapes, axes and the like are shorter than this; longer tensors are weights. */
const MAX_ELEMENTS = 64;

/**
 * What a model computes, without its weights: of a file it reads the graph and skips them, where a reader of whole
 * messages would hold them in memory.
 * @throws RangeError for what is no ONNX protobuf.
 */
export function readGraph(model: ModelFile): OnnxGraph {
  return walkModel(model, (wire, sizeBytes) => new GraphReader(wire).model(sizeBytes));
}

class GraphReader {
  readonly #wire: WireReader;
  readonly #nodes: OnnxNode[] = [];
  readonly #stored = new Map<string, StoredTensor>();
  readonly #operators = new Set<string>();
  #hasFunctions = false;

  constructor(wire: WireReader) {
    this.#wire = wire;
  }

  model(sizeBytes: number): OnnxGraph {
    this.#wire.message(0, sizeBytes, {
      [MODEL.graph]: (start, end) =>
        this.#wire.message(start, end, {
          [GRAPH.node]: (from, to) => this.#nodes.push(this.#node(from, to)),
          [GRAPH.initializer]: (from, to) => {
            const { name, tensor } = this.#tensor(from, to);
            this.#stored.set(name, tensor);
          },
        }),
      [MODEL.functions]: (start, end) => {
        this.#hasFunctions = true;
        this.#wire.message(start, end, { [FUNCTION.node]: (from, to) => void this.#node(from, to) });
      },
    });
    return {
      nodes: this.#nodes,
      stored: this.#stored,
      operators: this.#operators,
      hasFunctions: this.#hasFunctions,
    };
  }

  #node(start: number, end: number): OnnxNode {
    let operator = '';
    let domain = '';
    let tensor: StoredTensor | undefined;
    let hasGraphs = false;
    const inputs: string[] = [];
    const outputs: string[] = [];
    const integers = new Map<string, readonly number[]>();
    const graph = (from: number, to: number): void => {
      hasGraphs = true;
      this.#wire.message(from, to, { [GRAPH.node]: (at, until) => void this.#node(at, until) });
    };
    const attribute = (from: number, to: number): void => {
      let name = '';
      let type = 0;
      const values: number[] = [];
      const push = (value: number): void => void values.push(value);
      this.#wire.message(
        from,
        to,
        {
          [ATTRIBUTE.name]: (at, until) => {
            name = this.#wire.text(at, until);
          },
          [ATTRIBUTE.tensor]: (at, until) => {
            ({ tensor } = this.#tensor(at, until));
          },
          [ATTRIBUTE.graph]: graph,
          [ATTRIBUTE.graphs]: graph,
        },
        {
          [ATTRIBUTE.integer]: push,
          [ATTRIBUTE.integers]: push,
          [ATTRIBUTE.type]: (value) => {
            type = value;
          },
        },
      );
      // Protobuf 3 leaves out a zero: it is not the operator's default.
      if (values.length === 0 && INTEGER_TYPES.includes(type)) values.push(0);
      if (values.length > 0) integers.set(name, values);
    };
    this.#wire.message(start, end, {
      [NODE.input]: (from, to) => inputs.push(this.#wire.text(from, to)),
      [NODE.output]: (from, to) => outputs.push(this.#wire.text(from, to)),
      [NODE.operator]: (from, to) => {
        operator = this.#wire.text(from, to);
      },
      [NODE.domain]: (from, to) => {
        domain = this.#wire.text(from, to);
      },
      [NODE.attribute]: attribute,
    });
    this.#operators.add(operator);
    return { operator, domain: domain === 'ai.onnx' ? '' : domain, inputs, outputs, integers, tensor, hasGraphs };
  }

  #tensor(start: number, end: number): { readonly name: string; readonly tensor: StoredTensor } {
    let name = '';
    let datatype = 0;
    let isExternal = false;
    let raw: readonly [from: number, to: number] | undefined;
    const dimensions: number[] = [];
    const values: number[] = [];
    const keep = (value: number): void => {
      if (values.length <= MAX_ELEMENTS) values.push(value);
    };
    this.#wire.message(
      start,
      end,
      {
        [TENSOR.name]: (from, to) => {
          name = this.#wire.text(from, to);
        },
        [TENSOR.raw]: (from, to) => {
          raw = [from, to];
        },
        [TENSOR.externalData]: () => {
          isExternal = true;
        },
      },
      {
        [TENSOR.dimensions]: (value) => dimensions.push(value),
        [TENSOR.datatype]: (value) => {
          datatype = value;
        },
        [TENSOR.int32]: keep,
        [TENSOR.int64]: keep,
      },
    );
    const count = dimensions.reduce((product, dimension) => product * dimension, 1);
    const isList = dimensions.length <= 1 && count <= MAX_ELEMENTS && (datatype === INT32 || datatype === INT64);
    const all = isList && !isExternal ? (raw === undefined ? values : this.#integers(raw, datatype)) : undefined;
    return { name, tensor: { rank: dimensions.length, elements: all?.length === count ? all : undefined } };
  }

  #integers([start, end]: readonly [number, number], datatype: number): readonly number[] {
    const bytes = Buffer.from(this.#wire.bytes(start, end));
    const width = datatype === INT64 ? 8 : 4;
    return Array.from({ length: Math.floor(bytes.length / width) }, (_, index) =>
      width === 8 ? Number(bytes.readBigInt64LE(index * width)) : bytes.readInt32LE(index * width),
    );
  }
}
