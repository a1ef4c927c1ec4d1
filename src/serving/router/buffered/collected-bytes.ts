import { HttpError } from '../http1/http-error.ts';

/** Memory for the requests and answers that a process keeps whole for mirrors, fallbacks and ensembles. */
export const MAX_BUFFERED_BYTES = 32 * 2 ** 20;

/** Memory that the buffered bodies of all requests of a process may take together. */
export class BufferBudget {
  readonly #maxBytes: number;
  #usedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** @throws HttpError 503 when that much is not left. */
  take(bytes: number): void {
    if (this.#usedBytes + bytes > this.#maxBytes) {
      throw new HttpError(
        503,
        `bodies that are kept for other requests fill ${this.#usedBytes} of ${this.#maxBytes} bytes of this router`,
        1,
      );
    }
    this.#usedBytes += bytes;
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}

const FIRST_BYTES = 1_024;
const EMPTY: Buffer = Buffer.alloc(0);

/** Bytes that are collected piece by piece. Memory doubles as it fills, so that many small pieces cost no more than a few. */
export class CollectedBytes {
  readonly #budget: BufferBudget;
  readonly #maxBytes: number;
  #memory: Buffer = EMPTY;
  #length = 0;

  constructor(budget: BufferBudget, maxBytes: number) {
    this.#budget = budget;
    this.#maxBytes = maxBytes;
  }

  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  /** False when there would be more than `maxBytes`. @throws HttpError 503 when the budget is used up. */
  append(bytes: Buffer, start: number, end: number): boolean {
    const needed = this.#length + end - start;
    if (needed > this.#maxBytes) return false;
    if (needed > this.#memory.length) {
      const capacity = Math.min(Math.max(2 * needed, FIRST_BYTES), this.#maxBytes);
      this.#budget.take(capacity - this.#memory.length);
      const grown = Buffer.allocUnsafeSlow(capacity);
      this.#memory.copy(grown, 0, 0, this.#length);
      this.#memory = grown;
    }
    bytes.copy(this.#memory, this.#length, start, end);
    this.#length = needed;
    return true;
  }

  /** Gives the memory back. */
  release(): void {
    this.#budget.release(this.#memory.length);
    this.#memory = EMPTY;
    this.#length = 0;
  }
}
