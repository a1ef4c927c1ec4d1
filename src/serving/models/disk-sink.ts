import { type FileHandle, mkdir, open, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LoadFailure } from './failure.ts';
import type { EntrySink, ModelSink } from './model-digest.ts';
import type { ModelContent, ModelEntry } from './source.ts';

/** The disk is looked at again each time so much of a file has been written. */
const DISK_CHECK_BYTES = 64 * 2 ** 20;

/** Writes a model into a directory, and looks at the room on the disk before and while it does. */
export class DiskSink implements ModelSink {
  readonly #directory: string;
  readonly #layout: ModelContent['layout'];
  readonly #shown: string;
  readonly #freeBytes: (path: string) => Promise<number>;

  constructor(
    directory: string,
    layout: ModelContent['layout'],
    shown: string,
    freeBytes: (path: string) => Promise<number>,
  ) {
    this.#directory = directory;
    this.#layout = layout;
    this.#shown = shown;
    this.#freeBytes = freeBytes;
  }

  async open(entry: ModelEntry): Promise<EntrySink> {
    const path = join(this.#directory, this.#layout === 'file' ? 'model.onnx' : entry.path);
    await this.#expectRoom(entry.sizeBytes ?? 0, entry);
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, 'w', 0o644);
    let writtenBytes = 0;
    let checkAt = DISK_CHECK_BYTES;
    return {
      write: async (chunk) => {
        if (writtenBytes >= checkAt) {
          checkAt += DISK_CHECK_BYTES;
          await this.#expectRoom((entry.sizeBytes ?? 0) - writtenBytes, entry);
        }
        await this.#writeAll(file, chunk, entry, writtenBytes);
        writtenBytes += chunk.byteLength;
      },
      close: () => file.close(),
    };
  }

  async #writeAll(file: FileHandle, chunk: Uint8Array, entry: ModelEntry, writtenBytes: number): Promise<void> {
    try {
      for (let at = 0; at < chunk.byteLength; ) at += (await file.write(chunk, at)).bytesWritten;
    } catch (error) {
      if (!isCode(error, 'ENOSPC') && !isCode(error, 'EDQUOT')) throw error;
      const size = entry.sizeBytes === undefined ? 'an unknown number of' : String(entry.sizeBytes);
      throw new LoadFailure(
        'InsufficientDisk',
        `${this.#shown}: the disk is full after ${writtenBytes} of ${size} bytes of ${entry.path}`,
        { cause: error },
      );
    }
  }

  async #expectRoom(neededBytes: number, entry: ModelEntry): Promise<void> {
    const freeBytes = await this.#freeBytes(this.#directory);
    if (freeBytes > 0 && neededBytes <= freeBytes) return;
    throw new LoadFailure(
      'InsufficientDisk',
      `${this.#shown}: ${entry.path} needs ${Math.max(neededBytes, 1)} more bytes, and ${freeBytes} are free on the model disk`,
    );
  }
}

/** Bytes that this user may still write to the file system of `path`. */
export async function freeBytesOf(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** Whether `error` is the system error `code`, such as `ENOSPC`. */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
