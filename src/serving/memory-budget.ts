import { InferenceError } from './inference-error.ts';

/** Bytes of an answer that do not count: usual ones are no longer, and a connection has room for them. */
export const FREE_ANSWER_BYTES = 65_536;

/** Memory that something of all requests together may take: what is given to `take` has to be given back by `release`. */
export class MemoryBudget {
  readonly #of: string;
  readonly #maxBytes: number;
  #usedBytes = 0;

  /** `of` is what takes the memory, for messages: "bodies", "strings". */
  constructor(of: string, maxBytes: number) {
    this.#of = of;
    this.#maxBytes = maxBytes;
  }

  /** @throws InferenceError QueueFull when that much is not left. */
  take(bytes: number): void {
    if (this.#usedBytes + bytes > this.#maxBytes) {
      throw new InferenceError(
        'QueueFull',
        `${this.#of} of other requests fill ${this.#usedBytes} of ${this.#maxBytes} bytes`,
      );
    }
    this.#usedBytes += bytes;
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}
