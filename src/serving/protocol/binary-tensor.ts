import { endianness } from 'node:os';
import { invalid, quoted, shown } from '../inference-error.ts';
import type { Datatype, Tensor, TensorData } from '../tensor.ts';
import { ELEMENT_TYPES, elementCount } from './element-types.ts';
import { checkText } from './json-tensor.ts';

/**
 * Tensor values as the bytes of the binary tensor extension and of gRPC's raw contents: little-endian, row-major;
 * BYTES elements follow their length in 4 bytes.
 */
if (endianness() !== 'LE') throw new Error('Fairlead serves on little-endian machines only: tensors travel as bytes');

/**
 * Reads a tensor from `bytes`, without a copy where its address is aligned for the type.
 * @throws InferenceError InvalidArgument when the length does not fit the shape.
 */
export function readBinaryData(
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  bytes: Uint8Array,
): TensorData {
  const count = elementCount(shape);
  if (datatype === 'BYTES') return readByteStrings(name, count, bytes);
  const { array, sizeBytes, kind } = ELEMENT_TYPES[datatype];
  if (bytes.length !== count * sizeBytes) {
    throw invalid(
      `input ${quoted(name)}: ${bytes.length} bytes of binary data, but ${datatype} of shape ${shown(shape)} needs ${count * sizeBytes}`,
    );
  }
  if (kind === 'boolean') {
    const wrong = bytes.findIndex((byte) => byte > 1);
    if (wrong >= 0)
      throw invalid(`input ${quoted(name)}: byte ${bytes[wrong]} at index ${wrong} is not 0 or 1 for BOOL`);
  }
  if (bytes.byteOffset % sizeBytes === 0) return new array(bytes.buffer, bytes.byteOffset, count);
  const aligned = new Uint8Array(bytes);
  return new array(aligned.buffer, 0, count);
}

function readByteStrings(name: string, count: number, bytes: Uint8Array): readonly Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const strings: Uint8Array[] = [];
  let offset = 0;
  while (offset < bytes.length && strings.length < count) {
    const start = offset + 4;
    if (start > bytes.length) {
      throw invalid(`input ${quoted(name)}: the length of string ${strings.length} is cut off at byte ${bytes.length}`);
    }
    const length = view.getUint32(offset, true);
    if (start + length > bytes.length) {
      throw invalid(
        `input ${quoted(name)}: string ${strings.length} has ${length} bytes but only ${bytes.length - start} follow`,
      );
    }
    strings.push(checkText(name, strings.length, bytes.subarray(start, start + length)));
    offset = start + length;
  }
  if (offset < bytes.length) {
    throw invalid(
      `input ${quoted(name)}: ${bytes.length - offset} bytes follow the ${count} strings that the shape needs`,
    );
  }
  if (strings.length !== count) {
    throw invalid(`input ${quoted(name)}: binary data has ${strings.length} strings but the shape needs ${count}`);
  }
  return strings;
}

/** A tensor's values as bytes, without a copy except for BYTES. */
export function writeBinaryData(tensor: Tensor): Uint8Array {
  const { data } = tensor;
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const out = Buffer.allocUnsafe(data.reduce((total, bytes) => total + 4 + bytes.length, 0));
  let offset = 0;
  for (const bytes of data) {
    offset = out.writeUInt32LE(bytes.length, offset);
    out.set(bytes, offset);
    offset += bytes.length;
  }
  return out;
}
