import type { Socket } from 'node:net';

/** More than one read of a socket (64 KiB) and a head. */
const CAPACITY_BYTES = 131_072;

/**
 * What is about to be written to a socket, gathered so that head and body leave in one write. One for all connections:
 * nothing else runs between the first `append` and `flush`. The kernel takes most writes at once; the memory is given
 * away, and fresh memory taken, only where it did not.
 */
export class OutBuffer {
  #bytes = Buffer.allocUnsafeSlow(CAPACITY_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(bytes: Buffer, start: number, end: number): void {
    const needed = this.#length + end - start;
    if (needed > this.#bytes.length) this.#grow(needed);
    bytes.copy(this.#bytes, this.#length, start, end);
    this.#length += end - start;
  }

  /** Latin-1 text. */
  appendText(text: string): void {
    const needed = this.#length + text.length;
    if (needed > this.#bytes.length) this.#grow(needed);
    this.#length += this.#bytes.write(text, this.#length, 'latin1');
  }

  /** A whole number of at least 0, in digits. */
  appendNumber(value: number): void {
    this.appendText(String(value));
  }

  /** A chunk of the chunked coding; nothing where it would be empty, which would end the body. */
  appendChunk(bytes: Buffer, start: number, end: number): void {
    if (start === end) return;
    this.appendText(`${(end - start).toString(16)}\r\n`);
    this.append(bytes, start, end);
    this.appendText('\r\n');
  }

  /** Writes what was gathered. False when the socket wants to be drained before it takes more. */
  flush(socket: Socket): boolean {
    if (this.#length === 0) return !socket.writableNeedDrain;
    const takesMore = socket.write(this.#bytes.subarray(0, this.#length));
    if (socket.writableLength > 0 || this.#bytes.length > CAPACITY_BYTES)
      this.#bytes = Buffer.allocUnsafeSlow(CAPACITY_BYTES);
    this.#length = 0;
    return takesMore;
  }

  /** Forgets what was gathered. */
  clear(): void {
    this.#length = 0;
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(2 * needed);
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}
