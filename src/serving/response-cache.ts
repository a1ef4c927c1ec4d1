import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { writeBinaryData } from './protocol/binary-tensor.ts';
import type { Tensor } from './tensor.ts';

/** Memory that the cached answers of one model may take, whatever the number of entries. */
const MAX_CACHE_BYTES = 256 * 1024 * 1024;

export interface ResponseCacheOptions {
  readonly maxEntries: number;
  readonly ttlMs: number;
}

/**
 * One model's answers to exactly the same inputs. Keys are sha256 digests over every name, type, shape and byte, so
 * that inputs that differ at all never share an answer. One cache serves one version of one model.
 */
export class ResponseCache {
  readonly #entries: LRUCache<string, readonly Tensor[]>;

  constructor(options: ResponseCacheOptions, nowMs: () => number = () => performance.now()) {
    this.#entries = new LRUCache<string, readonly Tensor[]>({
      max: options.maxEntries,
      ttl: options.ttlMs,
      maxSize: MAX_CACHE_BYTES,
      sizeCalculation: (outputs) => 1 + outputs.reduce((sum, output) => sum + dataBytes(output), 0),
      perf: { now: nowMs },
      ttlResolution: 0,
    });
  }

  get(key: string): readonly Tensor[] | undefined {
    return this.#entries.get(key);
  }

  set(key: string, outputs: readonly Tensor[]): void {
    // A view on a batch's memory would keep the whole batch alive.
    this.#entries.set(
      key,
      outputs.map((output) => ({ ...output, data: output.data.slice() })),
    );
  }
}

/** The key of a request: equal exactly if the inputs and the outputs asked for are. */
export function cacheKey(inputs: readonly Tensor[], outputNames: readonly string[]): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([outputNames, inputs.map(({ name, datatype, shape }) => [name, datatype, shape])]));
  for (const input of inputs) {
    const bytes = writeBinaryData(input);
    hash.update(`\n${bytes.length}:`).update(bytes);
  }
  return hash.digest('base64');
}

function dataBytes({ data }: Tensor): number {
  return ArrayBuffer.isView(data) ? data.byteLength : data.reduce((sum, bytes) => sum + bytes.length, 0);
}
