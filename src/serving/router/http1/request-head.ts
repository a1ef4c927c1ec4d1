import type { RequestFields } from '../types.ts';
import { AUTHORITY, CLASS, CR, LF, SLASH, SPACE, startsWithFolded, TARGET, TOKEN } from './characters.ts';
import { FieldLines, hex, INCOMPLETE } from './field-lines.ts';
import { Framing } from './framing.ts';
import { HttpError, malformed } from './http-error.ts';
import { askingFor } from './model-path.ts';
import type { OutBuffer } from './out-buffer.ts';

/** How long the sender will wait for the answer, in milliseconds; read from clients, and sent on with what is left of it. */
export const TIMEOUT_HEADER = 'fairlead-timeout-ms';

const VERSION_BYTES = 'HTTP/1.1'.length;
const ABSOLUTE = 'http://';

/**
 * The head of a request: parsed strictly (RFC 9112), and written again for the next hop. One instance reads one head after
 * the other and stands for the last one. What could be read in two ways is refused: several lengths, a length beside
 * chunks, any transfer coding but chunked, anything but one Host.
 */
export class RequestHead implements RequestFields {
  readonly #fields = new FieldLines();
  readonly #framing = new Framing(this.#fields);
  #bytes: Buffer = this.#fields.bytes;
  #start = 0;
  #methodEnd = 0;
  #targetStart = 0;
  #targetEnd = 0;
  #hostField = -1;
  #authorityEnd = 0;
  #rewritesLength = false;
  isHttp10 = false;
  /** HEAD: its answer has no body whatever its head says. */
  isHead = false;
  /** Bytes of the body; 0 without one, -1 where chunks tell. */
  bodyBytes = 0;
  expectsContinue = false;
  /** How long the client waits, in milliseconds; undefined where it does not say. */
  timeoutMs: number | undefined;

  get(name: string): string | undefined {
    return this.#fields.get(name);
  }

  /** The client closes after this request, or cannot do otherwise. */
  get closes(): boolean {
    return this.#framing.closes;
  }

  get method(): string {
    return this.#bytes.toString('latin1', this.#start, this.#methodEnd);
  }

  /** Whether this head was read from these bytes. */
  isOf(bytes: Buffer, start: number): boolean {
    return this.#bytes === bytes && this.#start === start;
  }

  /** Where the request line begins: behind empty lines, if there were any. */
  get start(): number {
    return this.#start;
  }

  /**
   * Reads the head that begins at `at`: the offset of what follows it, or INCOMPLETE.
   * @throws HttpError 400, 417, 431, 501, 505.
   */
  read(bytes: Buffer, at: number, end: number): number {
    this.#bytes = bytes;
    while (bytes[at] === CR && at < end) {
      if (at + 1 >= end) return INCOMPLETE;
      if (bytes[at + 1] !== LF) throw malformed('a carriage return without a line feed before the request');
      at += 2;
    }
    this.#start = at;
    at = this.#readRequestLine(bytes, at, end);
    if (at === INCOMPLETE) return INCOMPLETE;
    at = this.#fields.read(bytes, at, end);
    if (at !== INCOMPLETE) this.#understand();
    return at;
  }

  /** What is asked for, with its query, without the host. */
  get path(): string {
    const isAbsolute = this.#authorityEnd !== 0;
    const path = this.#bytes.toString('latin1', isAbsolute ? this.#authorityEnd : this.#targetStart, this.#targetEnd);
    return isAbsolute && !path.startsWith('/') ? `/${path}` : path;
  }

  /**
   * Appends the head as the next hop gets it, without hop-by-hop fields, but not yet its empty line.
   * @param modelName of the model that is asked in place of the one that the path names
   */
  write(out: OutBuffer, modelName?: string): void {
    this.#writeLines(out, modelName);
    if (this.bodyBytes === -1) out.appendText('transfer-encoding: chunked\r\n');
    else if (this.#rewritesLength) out.appendText(`content-length: ${this.bodyBytes}\r\n`);
  }

  #writeLines(out: OutBuffer, modelName: string | undefined): void {
    if (!this.isHttp10 && this.#authorityEnd === 0 && modelName === undefined) {
      this.#fields.forward(out, this.#start);
      return;
    }
    const bytes = this.#bytes;
    const { path } = this;
    out.append(bytes, this.#start, this.#targetStart);
    out.appendText(modelName === undefined ? path : askingFor(modelName, path));
    out.appendText(' HTTP/1.1\r\n');
    if (this.#authorityEnd !== 0) {
      out.appendText('Host: ');
      out.append(bytes, this.#targetStart + ABSOLUTE.length, this.#authorityEnd);
      out.appendText('\r\n');
    } else if (this.#hostField === -1) {
      out.appendText('Host:\r\n');
    }
    this.#fields.forward(out);
  }

  #readRequestLine(bytes: Buffer, at: number, end: number): number {
    const methodStart = at;
    while (at < end && ((CLASS[bytes[at] ?? 0] ?? 0) & TOKEN) !== 0) at++;
    if (at >= end) return INCOMPLETE;
    if (bytes[at] !== SPACE || at === methodStart) throw malformed(`the method holds byte ${hex(bytes[at])}`);
    this.#methodEnd = at++;
    this.#targetStart = at;
    while (at < end && ((CLASS[bytes[at] ?? 0] ?? 0) & TARGET) !== 0) at++;
    if (at >= end) return INCOMPLETE;
    if (bytes[at] !== SPACE || at === this.#targetStart) {
      throw malformed(`the target of the request holds byte ${hex(bytes[at])}`);
    }
    this.#targetEnd = at++;
    if (at + VERSION_BYTES + 2 > end) {
      if (bytes.subarray(at, end).includes(LF)) throw malformed('the request line does not end in HTTP/1.1');
      return INCOMPLETE;
    }
    this.#readVersion(bytes, at);
    at += VERSION_BYTES;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) throw malformed('the request line does not end behind its version');
    // "HEAD" as a number.
    this.isHead = this.#methodEnd - methodStart === 4 && bytes.readUInt32BE(methodStart) === 0x48454144;
    this.#readTarget(bytes);
    return at + 2;
  }

  #readVersion(bytes: Buffer, at: number): void {
    // "HTTP/1.1" as two numbers: the comparison that every request makes.
    if (bytes.readUInt32BE(at) === 0x48545450 && bytes.readUInt32BE(at + 4) === 0x2f312e31) {
      this.isHttp10 = false;
      return;
    }
    const version = bytes.toString('latin1', at, at + VERSION_BYTES);
    if (version === 'HTTP/1.0') this.isHttp10 = true;
    else if (/^HTTP\/[0-9]\.[0-9]$/.test(version))
      throw new HttpError(505, `${version} is not spoken here: HTTP/1.1 is`);
    else throw malformed('the request line does not end in HTTP/1.1');
  }

  #readTarget(bytes: Buffer): void {
    this.#authorityEnd = 0;
    const start = this.#targetStart;
    if (bytes[start] === SLASH) return;
    const { method } = this;
    if (method === 'CONNECT') throw new HttpError(501, 'CONNECT is not done: this is no proxy for other servers');
    if (startsWithFolded(bytes, start, 'http') && bytes.toString('latin1', start + 4, start + 7) === '://') {
      let at = start + ABSOLUTE.length;
      while (at < this.#targetEnd && ((CLASS[bytes[at] ?? 0] ?? 0) & AUTHORITY) !== 0) at++;
      const isOver = at === this.#targetEnd || bytes[at] === SLASH || bytes[at] === 0x3f;
      if (!isOver || at === start + ABSOLUTE.length) throw malformed('the target of the request names no valid host');
      this.#authorityEnd = at;
      return;
    }
    const isAsterisk = this.#targetEnd - start === 1 && bytes[start] === 0x2a && method === 'OPTIONS';
    if (!isAsterisk) throw malformed('the target of the request is neither a path nor an http URL');
  }

  /** What the fields say of the message itself. */
  #understand(): void {
    const fields = this.#fields;
    const framing = this.#framing;
    this.#hostField = -1;
    this.expectsContinue = false;
    this.timeoutMs = undefined;
    framing.begin(this.isHttp10);
    for (let field = 0; field < fields.count; field++) {
      switch (fields.nameLength(field)) {
        case 2:
          if (fields.isNamed(field, 'te')) fields.drop(field);
          break;
        case 4:
          if (!fields.isNamed(field, 'host')) break;
          if (this.#hostField !== -1) throw malformed('there are two Host headers');
          this.#checkHost(field);
          this.#hostField = field;
          break;
        case 6:
          if (fields.isNamed(field, 'expect')) this.#expect(field);
          break;
        case 14:
          if (framing.take(field)) break;
          if (fields.isDisguised(field, 'content-length')) throw malformed('Content-Length is written otherwise');
          break;
        case 17:
          if (framing.take(field)) break;
          if (fields.isDisguised(field, 'transfer-encoding')) throw malformed('Transfer-Encoding is written otherwise');
          break;
        case 19:
          if (fields.isNamed(field, TIMEOUT_HEADER)) this.#timeout(field);
          break;
        default:
          framing.take(field);
      }
    }
    if (this.#hostField === -1 && !this.isHttp10) throw malformed('there is no Host header');
    if (this.#authorityEnd !== 0 && this.#hostField !== -1) fields.drop(this.#hostField);
    const isChunked = framing.isChunked();
    this.bodyBytes = isChunked ? -1 : Math.max(0, framing.lengthBytes);
    if (isChunked) fields.drop(framing.codingField);
    // Blanks around a length are lawful, and not every server takes them for nothing: it goes on without them.
    this.#rewritesLength = framing.lengthField !== -1 && !fields.isPlain(framing.lengthField);
    if (this.#rewritesLength) fields.drop(framing.lengthField);
  }

  #checkHost(field: number): void {
    const fields = this.#fields;
    const end = fields.valueEnd(field);
    for (let at = fields.valueStart(field); at < end; at++) {
      if (((CLASS[this.#bytes[at] ?? 0] ?? 0) & AUTHORITY) === 0) {
        throw malformed(`the Host header holds byte ${hex(this.#bytes[at])}`);
      }
    }
  }

  #expect(field: number): void {
    const fields = this.#fields;
    if (!fields.valueIs(field, '100-continue')) {
      throw new HttpError(417, `the expectation ${JSON.stringify(fields.value(field).slice(0, 100))} is not known`);
    }
    fields.drop(field);
    this.expectsContinue = !this.isHttp10;
  }

  #timeout(field: number): void {
    const text = this.#fields.value(field);
    if (!/^[1-9][0-9]{0,8}$/.test(text)) {
      throw malformed(
        `${TIMEOUT_HEADER} must be 1 to 999999999 milliseconds, not ${JSON.stringify(text.slice(0, 100))}`,
      );
    }
    this.timeoutMs = Number(text);
    this.#fields.drop(field);
  }
}
