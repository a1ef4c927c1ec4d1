import protobuf from 'protobufjs';

/** ONNX models made in a test: `node('Add', ['x', 'w'], ['y'])` and so on, as few as show one idea. */

const { Writer } = protobuf;
type Writer = protobuf.Writer;
const FLOAT = 1;
const INT64 = 7;

export interface TestNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly integers: Readonly<Record<string, number | readonly number[]>>;
  readonly domain: string;
}

export interface TestModel {
  readonly nodes: readonly TestNode[];
  /** Shapes of the inputs; -1 is a free dimension. */
  readonly inputs: Readonly<Record<string, TestShape>>;
  readonly outputs: Readonly<Record<string, TestShape>>;
  readonly stored?: Readonly<Record<string, TestTensor>>;
}

/** A stored tensor: of INT64 where it is given as integers in a list, else floats of this shape, in the file `location`. */
type TestTensor = readonly number[] | { readonly shape: readonly number[]; readonly location?: string };

/** A shape of FP32, of INT64, or of the `TensorProto.DataType` with the number `type`. */
type TestShape =
  | readonly number[]
  | { readonly integers: readonly number[] }
  | { readonly type: number; readonly shape: readonly number[] };

export function node(
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  integers: TestNode['integers'] = {},
  domain = '',
): TestNode {
  return { operator, inputs, outputs, integers, domain };
}

export function onnxModel({ nodes, inputs, outputs, stored = {} }: TestModel): Uint8Array {
  const graph = Writer.create();
  for (const each of nodes) part(graph, 1, (writer) => writeNode(writer, each));
  graph.uint32(tag(2)).string('test');
  for (const [name, tensor] of Object.entries(stored)) part(graph, 5, (writer) => writeTensor(writer, name, tensor));
  for (const [name, shape] of Object.entries(inputs)) part(graph, 11, (writer) => writeValue(writer, name, shape));
  for (const [name, shape] of Object.entries(outputs)) part(graph, 12, (writer) => writeValue(writer, name, shape));
  const model = Writer.create().uint32(8).int64(9);
  model.uint32(tag(7)).bytes(graph.finish());
  for (const [domain, version] of [['', 18] as const, ['ai.onnx.ml', 3] as const]) {
    part(model, 8, (writer) => writer.uint32(tag(1)).string(domain).uint32(16).int64(version));
  }
  return model.finish();
}

const tag = (field: number): number => (field << 3) | 2;

function part(writer: Writer, field: number, write: (inner: Writer) => void): void {
  const inner = Writer.create();
  write(inner);
  writer.uint32(tag(field)).bytes(inner.finish());
}

function writeNode(writer: Writer, { operator, inputs, outputs, integers, domain }: TestNode): void {
  for (const name of inputs) writer.uint32(tag(1)).string(name);
  for (const name of outputs) writer.uint32(tag(2)).string(name);
  writer.uint32(tag(4)).string(operator);
  for (const [name, value] of Object.entries(integers)) {
    part(writer, 5, (attribute) => {
      attribute.uint32(tag(1)).string(name);
      if (typeof value === 'number') attribute.uint32(24).int64(value).uint32(160).int32(2);
      else {
        for (const each of value) attribute.uint32(64).int64(each);
        attribute.uint32(160).int32(7);
      }
    });
  }
  writer.uint32(tag(7)).string(domain);
}

function writeTensor(writer: Writer, name: string, tensor: TestTensor): void {
  const isList = 'length' in tensor;
  const shape = isList ? [tensor.length] : tensor.shape;
  for (const dimension of shape) writer.uint32(8).int64(dimension);
  writer.uint32(16).int32(isList ? INT64 : FLOAT);
  writer.uint32(tag(8)).string(name);
  if (!isList && tensor.location !== undefined) {
    const { location } = tensor;
    part(writer, 13, (entry) => entry.uint32(tag(1)).string('location').uint32(tag(2)).string(location));
    writer.uint32(14 << 3).int32(1);
    return;
  }
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  const raw = isList
    ? BigInt64Array.from(tensor, (value) => BigInt(value))
    : Float32Array.from({ length: count }, (_, index) => Math.sin(index + 1));
  writer.uint32(tag(9)).bytes(new Uint8Array(raw.buffer));
}

function writeValue(writer: Writer, name: string, shape: TestShape): void {
  const [type, dimensions] =
    'type' in shape ? [shape.type, shape.shape] : 'integers' in shape ? [INT64, shape.integers] : [FLOAT, shape];
  writer.uint32(tag(1)).string(name);
  part(writer, 2, (outer) =>
    part(outer, 1, (tensor) => {
      tensor.uint32(8).int32(type);
      part(tensor, 2, (dims) => {
        for (const dimension of dimensions) {
          part(dims, 1, (dim) => (dimension === -1 ? dim.uint32(tag(2)).string('') : dim.uint32(8).int64(dimension)));
        }
      });
    }),
  );
}
