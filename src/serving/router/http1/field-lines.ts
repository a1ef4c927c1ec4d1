import { CLASS, COLON, COMMA, CR, equalsFolded, FIELD, LF, SPACE, startsWithFolded, TAB, TOKEN } from './characters.ts';
import { HttpError, malformed } from './http-error.ts';
import type { OutBuffer } from './out-buffer.ts';

/** What a parser returns when the bytes end before what it reads does. */
export const INCOMPLETE = -1;

export const MAX_HEAD_BYTES = 32_768;
export const MAX_FIELDS = 128;

/** Numbers kept of each field: where its name begins and ends, its value begins and ends, and its line ends. */
const STRIDE = 5;

/**
 * The field lines of a head, as places in the bytes in which they stand: nothing is copied. One instance reads one head
 * after the other. Strict where leniency lets two hops read one message as two different ones: CRLF ends a line and
 * nothing else does, no folded lines, no space before a colon, no byte in names and values that RFC 9110 does not allow.
 */
export class FieldLines {
  bytes: Buffer = Buffer.alloc(0);
  count = 0;
  readonly #places = new Int32Array(MAX_FIELDS * STRIDE);
  readonly #dropped = new Uint8Array(MAX_FIELDS);
  #droppedCount = 0;
  #start = 0;

  /**
   * Reads from `at` to the empty line: the offset behind it, or INCOMPLETE.
   * @throws HttpError 400, and 431 for too many fields.
   */
  read(bytes: Buffer, at: number, end: number): number {
    this.bytes = bytes;
    this.count = 0;
    this.#droppedCount = 0;
    this.#start = at;
    const places = this.#places;
    let count = 0;
    for (;;) {
      if (at >= end) return INCOMPLETE;
      if (bytes[at] === CR) {
        if (at + 1 >= end) return INCOMPLETE;
        if (bytes[at + 1] !== LF) throw malformed('a carriage return without a line feed in the head');
        this.count = count;
        return at + 2;
      }
      const nameStart = at;
      while (at < end && ((CLASS[bytes[at] ?? 0] ?? 0) & TOKEN) !== 0) at++;
      if (at >= end) return INCOMPLETE;
      if (bytes[at] !== COLON || at === nameStart) throw malformed(`a header line ${fault(bytes, at, nameStart)}`);
      const nameEnd = at++;
      while (at < end && isBlank(bytes[at])) at++;
      const valueStart = at;
      while (at < end && ((CLASS[bytes[at] ?? 0] ?? 0) & FIELD) !== 0) at++;
      if (at + 1 >= end && (at >= end || bytes[at] === CR)) return INCOMPLETE;
      if (bytes[at] !== CR || bytes[at + 1] !== LF) {
        const name = bytes.toString('latin1', nameStart, Math.min(nameEnd, nameStart + 100));
        throw malformed(`the value of header ${JSON.stringify(name)} holds byte ${hex(bytes[at])}`);
      }
      if (count === MAX_FIELDS) throw new HttpError(431, `the head has more than ${MAX_FIELDS} header lines`);
      let valueEnd = at;
      while (valueEnd > valueStart && isBlank(bytes[valueEnd - 1])) valueEnd--;
      at += 2;
      const place = count * STRIDE;
      places[place] = nameStart;
      places[place + 1] = nameEnd;
      places[place + 2] = valueStart;
      places[place + 3] = valueEnd;
      places[place + 4] = at;
      this.#dropped[count] = 0;
      count++;
    }
  }

  nameStart(field: number): number {
    return this.#places[field * STRIDE] ?? 0;
  }

  nameLength(field: number): number {
    return (this.#places[field * STRIDE + 1] ?? 0) - (this.#places[field * STRIDE] ?? 0);
  }

  valueStart(field: number): number {
    return this.#places[field * STRIDE + 2] ?? 0;
  }

  valueEnd(field: number): number {
    return this.#places[field * STRIDE + 3] ?? 0;
  }

  /** Whether a field's name is `name`, in lower case, of letters, digits and `-`. */
  isNamed(field: number, name: string): boolean {
    return startsWithFolded(this.bytes, this.nameStart(field), name);
  }

  /** Whether a name is `name` but for underscores: gateways to programs (CGI, WSGI) take both for the same. */
  isDisguised(field: number, name: string): boolean {
    const start = this.nameStart(field);
    return (
      this.bytes
        .toString('latin1', start, start + name.length)
        .toLowerCase()
        .replaceAll('_', '-') === name
    );
  }

  /** Whether a field's line is written the usual way: one space before its value, nothing behind it. */
  isPlain(field: number): boolean {
    const place = field * STRIDE;
    const nameEnd = this.#places[place + 1] ?? 0;
    return this.valueStart(field) === nameEnd + 2 && this.valueEnd(field) + 2 === this.#places[place + 4];
  }

  valueIs(field: number, text: string): boolean {
    return equalsFolded(this.bytes, this.valueStart(field), this.valueEnd(field), text);
  }

  /** A field's value, its bytes as Latin-1. */
  value(field: number): string {
    return this.bytes.toString('latin1', this.valueStart(field), this.valueEnd(field));
  }

  /** The value of the first field of that name, in lower case. */
  get(name: string): string | undefined {
    for (let field = 0; field < this.count; field++) {
      if (this.nameLength(field) === name.length && this.#isCalled(field, name)) return this.value(field);
    }
    return undefined;
  }

  /** Leaves a field out of what is forwarded. */
  drop(field: number): void {
    if (this.#dropped[field] === 1) return;
    this.#dropped[field] = 1;
    this.#droppedCount++;
  }

  /**
   * Drops the fields that the options of a `Connection` field name (RFC 9110 section 7.6.1), and says whether `close` is one.
   * @throws HttpError 400 where it names a field on which the message's own meaning rests.
   */
  dropConnectionOptions(connection: number): boolean {
    if (this.valueIs(connection, 'keep-alive')) return false;
    if (this.valueIs(connection, 'close')) return true;
    const { bytes } = this;
    const end = this.valueEnd(connection);
    let hasClose = false;
    for (let at = this.valueStart(connection); at < end; at++) {
      while (at < end && (isBlank(bytes[at]) || bytes[at] === COMMA)) at++;
      const start = at;
      while (at < end && ((CLASS[bytes[at] ?? 0] ?? 0) & TOKEN) !== 0) at++;
      const option = bytes.toString('latin1', start, at).toLowerCase();
      while (at < end && isBlank(bytes[at])) at++;
      if (at < end && bytes[at] !== COMMA) throw malformed('the Connection header is no list of names');
      if (option === 'close') hasClose = true;
      else if (ESSENTIAL.has(option)) throw malformed(`the Connection header names ${option}`);
      else this.#dropNamed(option);
    }
    return hasClose;
  }

  /** Appends all lines but those that were dropped; with `from`, what stands between it and the first line as well. */
  forward(out: OutBuffer, from = this.#start): void {
    const last = this.count === 0 ? this.#start : (this.#places[(this.count - 1) * STRIDE + 4] ?? 0);
    let start = from;
    if (this.#droppedCount === 0) {
      out.append(this.bytes, start, last);
      return;
    }
    for (let field = 0; field < this.count; field++) {
      if (this.#dropped[field] === 0) continue;
      const lineStart = this.nameStart(field);
      if (lineStart > start) out.append(this.bytes, start, lineStart);
      start = this.#places[field * STRIDE + 4] ?? 0;
    }
    if (last > start) out.append(this.bytes, start, last);
  }

  #dropNamed(name: string): void {
    for (let field = 0; field < this.count; field++) {
      if (this.nameLength(field) === name.length && this.#isCalled(field, name)) this.drop(field);
    }
  }

  /** Compares exactly, whatever characters the name has. */
  #isCalled(field: number, name: string): boolean {
    const start = this.nameStart(field);
    for (let index = 0; index < name.length; index++) {
      const byte = this.bytes[start + index] ?? 0;
      const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
      if (lower !== name.charCodeAt(index)) return false;
    }
    return true;
  }
}

/** Fields that tell where a message ends or whom it is for: no hop may be told to take them away. */
const ESSENTIAL: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'host']);

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}

function fault(bytes: Buffer, at: number, nameStart: number): string {
  const byte = bytes[at];
  if (at === nameStart) {
    if (isBlank(byte)) return 'begins with a space: lines are not folded';
    if (byte === COLON) return 'has no name';
  }
  if (isBlank(byte)) return 'has a space before its colon';
  if (byte === LF) return 'ends without a carriage return, or without a colon';
  return `has byte ${hex(byte)} in its name`;
}

export function hex(byte: number | undefined): string {
  return byte === undefined ? 'none' : `0x${byte.toString(16).padStart(2, '0')}`;
}

/**
 * A Content-Length: digits only, below 10^15.
 * @throws HttpError 400.
 */
export function readLength(fields: FieldLines, field: number): number {
  const { bytes } = fields;
  const start = fields.valueStart(field);
  const end = fields.valueEnd(field);
  let length = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) throw malformed('Content-Length is not a number');
    length = length * 10 + digit;
  }
  if (start === end || end - start > 15) throw malformed('Content-Length is not a number of 1 to 15 digits');
  return length;
}
