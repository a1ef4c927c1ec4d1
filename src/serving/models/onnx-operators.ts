import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Gives `lengthBytes` bytes from `offset` on, or fewer at the end. */
type ReadAt = (offset: number, lengthBytes: number) => Uint8Array;

/** Fields that lead to operators, by message (onnx.proto3); every other field is passed over, weights above all. */
const MODEL = { graph: 7, functions: 25 };
const GRAPH = { node: 1 };
const FUNCTION = { node: 7 };
const NODE = { operator: 4, attribute: 5 };
const ATTRIBUTE = { graph: 6, graphs: 11 };

const WINDOW_BYTES = 64 * 1024;

/**
 * The types of all operators of an ONNX model, those of functions and of branches and loops included. Of a file it
 * reads the graph and skips the weights, which a reader of whole messages would hold in memory.
 * @throws RangeError for what is no ONNX protobuf.
 */
export function operatorsOf(model: { readonly path: string; readonly bytes?: Uint8Array }): ReadonlySet<string> {
  const { bytes } = model;
  if (bytes !== undefined)
    return operatorsIn((offset, length) => bytes.subarray(offset, offset + length), bytes.byteLength);
  const file = openSync(model.path, 'r');
  try {
    const readAt: ReadAt = (offset, lengthBytes) => {
      const piece = Buffer.allocUnsafe(lengthBytes);
      return piece.subarray(0, readSync(file, piece, 0, lengthBytes, offset));
    };
    return operatorsIn(readAt, fstatSync(file).size);
  } finally {
    closeSync(file);
  }
}

function operatorsIn(readAt: ReadAt, sizeBytes: number): ReadonlySet<string> {
  const wire = new WireReader(readAt);
  const operators = new Set<string>();
  const node = (start: number, end: number): void =>
    wire.message(start, end, {
      [NODE.operator]: (from, to) => operators.add(wire.text(from, to)),
      [NODE.attribute]: attribute,
    });
  const graph = (start: number, end: number): void => wire.message(start, end, { [GRAPH.node]: node });
  const attribute = (start: number, end: number): void =>
    wire.message(start, end, { [ATTRIBUTE.graph]: graph, [ATTRIBUTE.graphs]: graph });
  const definition = (start: number, end: number): void => wire.message(start, end, { [FUNCTION.node]: node });
  wire.message(0, sizeBytes, { [MODEL.graph]: graph, [MODEL.functions]: definition });
  return operators;
}

type Visit = (start: number, end: number) => void;

/** Walks protobuf's wire format in place: https://protobuf.dev/programming-guides/encoding. */
class WireReader {
  readonly #readAt: ReadAt;
  #window: Uint8Array = new Uint8Array(0);
  #windowAt = 0;
  #at = 0;

  constructor(readAt: ReadAt) {
    this.#readAt = readAt;
  }

  /** Calls `visits[field]` with the range of every such field of the message that lies from `start` to `end`. */
  message(start: number, end: number, visits: Readonly<Record<number, Visit>>): void {
    this.#at = start;
    while (this.#at < end) {
      const tag = this.#varint();
      const field = Math.floor(tag / 8);
      const lengthBytes = this.#fieldBytes(tag % 8);
      const from = this.#at;
      const to = from + lengthBytes;
      if (to > end) throw new RangeError(`field ${field} at byte ${from} ends at ${to}, its message at ${end}`);
      if (tag % 8 === 2) visits[field]?.(from, to);
      this.#at = to;
    }
  }

  text(start: number, end: number): string {
    return Buffer.from(this.#readAt(start, end - start)).toString();
  }

  /** The size of a field's content, which begins where the reader stands after this. */
  #fieldBytes(wireType: number): number {
    if (wireType === 0) {
      this.#varint();
      return 0;
    }
    if (wireType === 1) return 8;
    if (wireType === 2) return this.#varint();
    if (wireType === 5) return 4;
    throw new RangeError(`byte ${this.#at} has the wire type ${wireType}, which protobuf 3 does not have`);
  }

  /** Exact up to 2^53, which no size or tag reaches. */
  #varint(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 63; scale *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new RangeError(`byte ${this.#at} ends no number`);
  }

  #byte(): number {
    const place = this.#at - this.#windowAt;
    let byte = place < 0 ? undefined : this.#window[place];
    if (byte === undefined) {
      this.#window = this.#readAt(this.#at, WINDOW_BYTES);
      this.#windowAt = this.#at;
      byte = this.#window[0];
      if (byte === undefined) throw new RangeError(`the file ends at byte ${this.#at}, amid a field`);
    }
    this.#at += 1;
    return byte;
  }
}
