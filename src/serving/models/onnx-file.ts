import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { type ReadAt, WireReader } from './onnx-wire.ts';

/** Where a model lies: `bytes` are the content of `path` where it has been read already. */
export interface ModelFile {
  readonly path: string;
  readonly bytes?: Uint8Array;
}

/**
 * Lets `walk` go through a model's protobuf where it lies: what it passes over, weights above all, is never held in
 * memory. @throws what `walk` throws, and the system's error when there is no such file.
 */
export function walkModel<T>({ path, bytes }: ModelFile, walk: (wire: WireReader, sizeBytes: number) => T): T {
  if (bytes !== undefined)
    return walk(new WireReader((offset, length) => bytes.subarray(offset, offset + length)), bytes.byteLength);
  const file = openSync(path, 'r');
  try {
    const readAt: ReadAt = (offset, lengthBytes) => {
      const piece = Buffer.allocUnsafe(lengthBytes);
      return piece.subarray(0, readSync(file, piece, 0, lengthBytes, offset));
    };
    return walk(new WireReader(readAt), fstatSync(file).size);
  } finally {
    closeSync(file);
  }
}
