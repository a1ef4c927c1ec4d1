import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { writeBinaryData } from './protocol/binary-tensor.ts';
import { ownCopy, type Tensor } from './tensor.ts';

/** What an entry takes on the heap besides its outputs' values, key and places in lists included; measured, rounded up. */
const ENTRY_BYTES = 512;
const OUTPUT_BYTES = 512;
/** Of one string, which is an object of its own however short. */
const STRING_BYTES = 256;

export interface ResponseCacheOptions {
  readonly maxEntries: number;
  readonly ttlMs: number;
  /** Memory that the answers may take, whatever their number. */
  readonly maxBytes: number;
}

/**
 * One model's answers to exactly the same inputs. Keys are sha256 digests over every name, type, shape and byte, so
 * that inputs that differ at all never share an answer. One cache serves one version of one model.
 */
export class ResponseCache {
  readonly #entries: LRUCache<string, readonly Tensor[]>;

  constructor({ maxEntries, ttlMs, maxBytes }: ResponseCacheOptions, nowMs: () => number = () => performance.now()) {
    this.#entries = new LRUCache<string, readonly Tensor[]>({
      // Room for all of them is set aside at once.
      max: Math.max(1, Math.min(maxEntries, Math.floor(maxBytes / (ENTRY_BYTES + OUTPUT_BYTES)))),
      ttl: ttlMs,
      maxSize: Math.max(1, Math.floor(maxBytes)),
      sizeCalculation: (outputs) => outputs.reduce((sum, output) => sum + outputBytes(output), ENTRY_BYTES),
      perf: { now: nowMs },
      ttlResolution: 0,
    });
  }

  get(key: string): readonly Tensor[] | undefined {
    return this.#entries.get(key);
  }

  set(key: string, outputs: readonly Tensor[]): void {
    // A view on a batch's memory would keep the whole batch alive.
    this.#entries.set(key, outputs.map(ownCopy));
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

function outputBytes({ data }: Tensor): number {
  if (ArrayBuffer.isView(data)) return OUTPUT_BYTES + data.byteLength;
  return data.reduce((sum, bytes) => sum + STRING_BYTES + bytes.length, OUTPUT_BYTES);
}
