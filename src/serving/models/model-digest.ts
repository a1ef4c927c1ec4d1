import { createHash } from 'node:crypto';
import { LoadFailure } from './failure.ts';
import { isModelPath, type ModelContent, type ModelEntry } from './source.ts';

/** What a model's bytes are, whatever their source. */
export interface ModelDigest {
  /** Of the file's bytes, or for a directory of its sorted lines `path sha256`, each ended by a newline. Hexadecimal. */
  readonly sha256: string;
  readonly sizeBytes: number;
  /** sha256 by path. */
  readonly files: ReadonlyMap<string, string>;
}

/** Takes a model's bytes as they are hashed. */
export interface ModelSink {
  /** Called before an entry's first byte. A second entry of the same path replaces the first. */
  open(entry: ModelEntry): Promise<EntrySink>;
}

export interface EntrySink {
  write(chunk: Uint8Array): Promise<void>;
  /** Called after the last byte, and when reading failed. */
  close(): Promise<void>;
}

/**
 * Reads a model once: hashes it, and hands its bytes to `sink` on the way.
 * @throws LoadFailure what the source says; `InvalidModel` when the model is empty or larger than `maxModelBytes`.
 */
export async function readModel(content: ModelContent, maxModelBytes: number, sink?: ModelSink): Promise<ModelDigest> {
  const files = new Map<string, string>();
  let sizeBytes = 0;
  for await (const entry of content.entries) {
    if (!isModelPath(entry.path)) continue;
    const hash = createHash('sha256');
    const receiver = await sink?.open(entry);
    try {
      for await (const chunk of entry.content) {
        sizeBytes += chunk.byteLength;
        if (sizeBytes > maxModelBytes) {
          throw new LoadFailure('InvalidModel', `The model is larger than the ${maxModelBytes} bytes allowed`);
        }
        hash.update(chunk);
        await receiver?.write(chunk);
      }
    } finally {
      await receiver?.close();
    }
    files.set(entry.path, hash.digest('hex'));
  }
  const [only] = files.values();
  if (only === undefined) throw new LoadFailure('ModelNotFound', 'The model holds no files');
  return { sha256: content.layout === 'file' ? only : directoryDigest(files), sizeBytes, files };
}

/** The digest of a directory: the sha256 of its lines `path sha256`, sorted by the bytes of the path. */
export function directoryDigest(files: ReadonlyMap<string, string>): string {
  const lines = [...files].map(([path, sha256]) => ({ path: Buffer.from(path), sha256 }));
  lines.sort((a, b) => Buffer.compare(a.path, b.path));
  const hash = createHash('sha256');
  for (const { path, sha256 } of lines) hash.update(path).update(` ${sha256}\n`);
  return hash.digest('hex');
}
