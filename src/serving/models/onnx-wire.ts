/** Gives `lengthBytes` bytes from `offset` on, or fewer at the end. */
export type ReadAt = (offset: number, lengthBytes: number) => Uint8Array;

/** Called with the range of a field that holds bytes: text, a message, packed numbers. */
type VisitBytes = (start: number, end: number) => void;
/** Called with a number as int64 has it; exact up to 2^53 in magnitude. */
type VisitNumber = (value: number) => void;

const WINDOW_BYTES = 64 * 1024;

/** Walks protobuf's wire format in place: https://protobuf.dev/programming-guides/encoding. */
export class WireReader {
  readonly #readAt: ReadAt;
  #window: Uint8Array = new Uint8Array(0);
  #windowAt = 0;
  #at = 0;

  constructor(readAt: ReadAt) {
    this.#readAt = readAt;
  }

  /**
   * Calls `bytes[field]` and `numbers[field]` for every such field of the message that lies from `start` to `end`. Both
   * spellings of repeated numbers, packed and one by one, reach `numbers`.
   * @throws RangeError for what is no protobuf.
   */
  message(
    start: number,
    end: number,
    bytes: Readonly<Record<number, VisitBytes>>,
    numbers: Readonly<Record<number, VisitNumber>> = {},
  ): void {
    this.#at = start;
    while (this.#at < end) {
      const tag = this.#varint();
      const field = Math.floor(tag / 8);
      const wireType = tag % 8;
      const visitNumber = numbers[field];
      if (wireType === 0) {
        const value = this.#varint();
        visitNumber?.(value);
        continue;
      }
      const lengthBytes = this.#fieldBytes(wireType);
      const from = this.#at;
      const to = from + lengthBytes;
      if (to > end || lengthBytes < 0)
        throw new RangeError(`field ${field} at byte ${from} ends at ${to}, its message at ${end}`);
      if (wireType === 2) {
        if (visitNumber !== undefined) while (this.#at < to) visitNumber(this.#varint());
        bytes[field]?.(from, to);
      }
      this.#at = to;
    }
  }

  text(start: number, end: number): string {
    return Buffer.from(this.bytes(start, end)).toString();
  }

  bytes(start: number, end: number): Uint8Array {
    return this.#readAt(start, end - start);
  }

  /** The size of a field's content, which begins where the reader stands after this. */
  #fieldBytes(wireType: number): number {
    if (wireType === 1) return 8;
    if (wireType === 2) return this.#varint();
    if (wireType === 5) return 4;
    throw new RangeError(`byte ${this.#at} has the wire type ${wireType}, which protobuf 3 does not have`);
  }

  #varint(): number {
    let value = 0;
    let scale = 1;
    for (let place = 0; place < 7; place++, scale *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    // Beyond 49 bits a double would lose the low ones of a negative number.
    let exact = BigInt(value);
    for (let shift = 49n; shift <= 63n; shift += 7n) {
      const byte = this.#byte();
      exact |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(BigInt.asIntN(64, exact));
    }
    throw new RangeError(`byte ${this.#at} ends no number`);
  }

  #byte(): number {
    const place = this.#at - this.#windowAt;
    let byte = place < 0 ? undefined : this.#window[place];
    if (byte === undefined) {
      this.#window = this.#readAt(this.#at, WINDOW_BYTES);
      this.#windowAt = this.#at;
      byte = this.#window[0];
      if (byte === undefined) throw new RangeError(`the file ends at byte ${this.#at}, amid a field`);
    }
    this.#at += 1;
    return byte;
  }
}
