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
    if (this.#usedBytes + bytes > this.#maxBytes) throw this.#full(this.#usedBytes);
    this.#usedBytes += bytes;
  }

  /**
   * As `take`, but where other requests have next to nothing any size is given: an answer that is larger than the whole
   * would be refused for ever, after a run of the model each time.
   * @param ownBytes what the request that is answered has taken, about
   */
  takeForAnswer(bytes: number, ownBytes: number): void {
    const othersBytes = this.#usedBytes - ownBytes;
    if (this.#usedBytes + bytes > this.#maxBytes && othersBytes > FREE_ANSWER_BYTES) throw this.#full(othersBytes);
    this.#usedBytes += bytes;
  }

  #full(othersBytes: number): InferenceError {
    return new InferenceError(
      'QueueFull',
      `${this.#of} of other requests fill ${othersBytes} of ${this.#maxBytes} bytes`,
    );
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}
