import { Tensor as EngineTensor } from 'onnxruntime-node';
import type { Datatype, Tensor, TensorSpec } from '../tensor.ts';
import { LoadFailure } from './failure.ts';

/** ONNX's numbers for element types, the engine's names for them, and the protocol's; of BF16 the engine's binding has none. */
const TYPES: readonly (readonly [onnx: number, engine: EngineTensor.Type, datatype: Datatype])[] = [
  [1, 'float32', 'FP32'],
  [2, 'uint8', 'UINT8'],
  [3, 'int8', 'INT8'],
  [4, 'uint16', 'UINT16'],
  [5, 'int16', 'INT16'],
  [6, 'int32', 'INT32'],
  [7, 'int64', 'INT64'],
  [8, 'string', 'BYTES'],
  [9, 'bool', 'BOOL'],
  [10, 'float16', 'FP16'],
  [11, 'float64', 'FP64'],
  [12, 'uint32', 'UINT32'],
  [13, 'uint64', 'UINT64'],
];
const datatypeOfOnnx = new Map(TYPES.map(([onnx, , datatype]) => [onnx, datatype]));
const engineTypeOf = new Map(TYPES.map(([, engine, datatype]) => [datatype, engine]));
const datatypeOfEngine = new Map(TYPES.map(([, engine, datatype]) => [engine, datatype]));

/** What the engine says of one input or output of a model. */
export interface EngineMetadata {
  readonly name: string;
  readonly isTensor: boolean;
  readonly type?: number;
  readonly shape?: readonly number[];
}

/** @throws LoadFailure `InvalidModel` for what cannot be served: sequences, maps, BF16. */
export function tensorSpec(
  role: 'input' | 'output',
  { name, isTensor, type = 0, shape = [] }: EngineMetadata,
): TensorSpec {
  if (!isTensor) {
    throw new LoadFailure(
      'InvalidModel',
      `The model's ${role} ${name} is no tensor but a sequence or map; export a classifier with zipmap off`,
    );
  }
  const datatype = datatypeOfOnnx.get(type);
  if (datatype === undefined) {
    const known = type === 16 ? 'BF16' : `ONNX type ${type}`;
    throw new LoadFailure(
      'InvalidModel',
      `The model's ${role} ${name} is ${known}, which is not served; cast it to FP32 or FP16`,
    );
  }
  return { name, datatype, shape: [...shape] };
}

/**
 * The engine's view of a tensor, without copying numbers.
 * @throws RangeError for byte strings that the engine cannot take unchanged.
 */
export function toEngine(tensor: Tensor): EngineTensor {
  const type = engineTypeOf.get(tensor.datatype);
  if (type === undefined) throw new RangeError(`${tensor.name}: ${tensor.datatype} is not served`);
  const { shape: dims } = tensor;
  // The engine's class would make a Float16Array of the bits, whose length its native part then reads as 0.
  if (type === 'float16') return { type, data: tensor.data, dims, location: 'cpu' } as unknown as EngineTensor;
  const data = Array.isArray(tensor.data) ? textsOf(tensor.name, tensor.data) : tensor.data;
  return new EngineTensor(type, data as EngineTensor.DataType, dims);
}

/** The protocol's view of what the engine gave, without copying numbers. */
export function fromEngine(name: string, tensor: EngineTensor): Tensor {
  const datatype = datatypeOfEngine.get(tensor.type);
  if (datatype === undefined) throw new RangeError(`${name}: the engine gave ${tensor.type}, which is not served`);
  return { name, datatype, shape: tensor.dims, data: dataOf(datatype, tensor.data) };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The engine's strings end at a zero byte and are UTF-8; anything else would be changed on the way, so it is refused. */
function textsOf(name: string, values: readonly Uint8Array[]): string[] {
  return values.map((value, index) => {
    if (value.includes(0)) throw new RangeError(`${name}[${index}] holds a zero byte, which a string input cannot`);
    try {
      return utf8.decode(value);
    } catch (error) {
      throw new RangeError(`${name}[${index}] is not UTF-8, as a string input must be`, { cause: error });
    }
  });
}

function dataOf(datatype: Datatype, data: EngineTensor.DataType): Tensor['data'] {
  if (datatype === 'BYTES') return (data as string[]).map((text) => Buffer.from(text));
  // A runtime that has Float16Array gives one; the protocol's FP16 are the raw bits.
  if (datatype === 'FP16') {
    const { buffer, byteOffset, length } = data as Uint16Array;
    return data instanceof Uint16Array ? data : new Uint16Array(buffer, byteOffset, length);
  }
  return data as Exclude<Tensor['data'], readonly Uint8Array[]>;
}
