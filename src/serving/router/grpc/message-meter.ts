import { PREFIX_BYTES } from './message-frames.ts';

/**
 * Follows the messages of a stream by their length prefixes (a flag byte and four bytes of length) without keeping or
 * reading them.
 */
export class MessageMeter {
  readonly #maxMessageBytes: number;
  /** Bytes of the present message that are still to come. */
  #missing = 0;
  #prefixBytes = 0;
  #length = 0;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Takes the next bytes. Answers the length of a message that is too long, as soon as its prefix says so. */
  tooLong(chunk: Uint8Array): number | undefined {
    let at = 0;
    while (at < chunk.length) {
      if (this.#missing > 0) {
        const skipped = Math.min(this.#missing, chunk.length - at);
        this.#missing -= skipped;
        at += skipped;
        continue;
      }
      if (this.#prefixBytes > 0) this.#length = this.#length * 256 + (chunk[at] ?? 0);
      at++;
      if (++this.#prefixBytes < PREFIX_BYTES) continue;
      if (this.#length > this.#maxMessageBytes) return this.#length;
      this.#missing = this.#length;
      this.#prefixBytes = 0;
      this.#length = 0;
    }
    return undefined;
  }
}
