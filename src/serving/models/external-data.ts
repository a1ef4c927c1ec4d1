import { posix } from 'node:path';
import { LoadFailure } from './failure.ts';
import { type ModelFile, walkModel } from './onnx-file.ts';
import type { WireReader } from './onnx-wire.ts';

/** Field numbers of onnx.proto3 on the way to every tensor that an engine reads. */
const MODEL = { graph: 7, functions: 25 };
const GRAPH = { node: 1, initializer: 5, sparseInitializer: 15 };
const FUNCTION = { node: 7, attribute: 11 };
const NODE = { attribute: 5 };
const ATTRIBUTE = { tensor: 5, graph: 6, tensors: 10, graphs: 11, sparseTensor: 22, sparseTensors: 23 };
const SPARSE_TENSOR = { values: 1, indices: 2 };
const TENSOR = { externalData: 13, dataLocation: 14 };
const ENTRY = { key: 1, value: 2 };
/** `dataLocation` of a tensor whose values lie in another file; of others an engine does not read `externalData`. */
const EXTERNAL = 1;

/**
 * Proves that a model's digest covers its weights: each file that the graph names must be among `hashed`, paths relative
 * to the graph's folder. What is no ONNX protobuf names none.
 * @throws LoadFailure `InvalidModel` when the engine would read a file that was not hashed.
 */
export function expectHashedWeights(shown: string, model: ModelFile, hashed: ReadonlySet<string>): void {
  for (const location of externalLocations(model)) {
    // Where a folder is a link, `..` behind it leads elsewhere.
    const isPlain = !location.split('/').includes('..');
    if (isPlain && hashed.has(posix.normalize(location))) continue;
    throw new LoadFailure(
      'InvalidModel',
      `${shown} has weights in ${JSON.stringify(location)}, which is none of the files that were hashed: name the directory that holds them all, none of them hidden, so that its weights are hashed`,
    );
  }
}

/** Where a model keeps weights outside its graph, as it spells it. */
function externalLocations(model: ModelFile): ReadonlySet<string> {
  try {
    return walkModel(model, (wire, sizeBytes) => new LocationReader(wire).model(sizeBytes));
  } catch (error) {
    if (error instanceof RangeError) return new Set();
    throw error;
  }
}

class LocationReader {
  readonly #wire: WireReader;
  readonly #locations = new Set<string>();

  constructor(wire: WireReader) {
    this.#wire = wire;
  }

  model(sizeBytes: number): ReadonlySet<string> {
    this.#wire.message(0, sizeBytes, { [MODEL.graph]: this.#graph, [MODEL.functions]: this.#function });
    return this.#locations;
  }

  readonly #graph = (start: number, end: number): void =>
    this.#wire.message(start, end, {
      [GRAPH.node]: this.#node,
      [GRAPH.initializer]: this.#tensor,
      [GRAPH.sparseInitializer]: this.#sparseTensor,
    });

  readonly #function = (start: number, end: number): void =>
    this.#wire.message(start, end, { [FUNCTION.node]: this.#node, [FUNCTION.attribute]: this.#attribute });

  readonly #node = (start: number, end: number): void =>
    this.#wire.message(start, end, { [NODE.attribute]: this.#attribute });

  readonly #attribute = (start: number, end: number): void =>
    this.#wire.message(start, end, {
      [ATTRIBUTE.tensor]: this.#tensor,
      [ATTRIBUTE.tensors]: this.#tensor,
      [ATTRIBUTE.sparseTensor]: this.#sparseTensor,
      [ATTRIBUTE.sparseTensors]: this.#sparseTensor,
      [ATTRIBUTE.graph]: this.#graph,
      [ATTRIBUTE.graphs]: this.#graph,
    });

  readonly #sparseTensor = (start: number, end: number): void =>
    this.#wire.message(start, end, { [SPARSE_TENSOR.values]: this.#tensor, [SPARSE_TENSOR.indices]: this.#tensor });

  readonly #tensor = (start: number, end: number): void => {
    const locations: string[] = [];
    let isExternal = false;
    const entry = (from: number, to: number): void => {
      let key = '';
      let value = '';
      this.#wire.message(from, to, {
        [ENTRY.key]: (at, until) => {
          key = this.#wire.text(at, until);
        },
        [ENTRY.value]: (at, until) => {
          value = this.#wire.text(at, until);
        },
      });
      if (key === 'location') locations.push(value);
    };
    this.#wire.message(
      start,
      end,
      { [TENSOR.externalData]: entry },
      {
        [TENSOR.dataLocation]: (value) => {
          isExternal = value === EXTERNAL;
        },
      },
    );
    if (isExternal) for (const location of locations) this.#locations.add(location);
  };
}
