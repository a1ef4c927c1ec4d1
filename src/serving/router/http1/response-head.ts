import { CLASS, CR, FIELD, LF, SPACE, startsWithFolded } from './characters.ts';
import { FieldLines, INCOMPLETE } from './field-lines.ts';
import { Framing } from './framing.ts';
import { malformed } from './http-error.ts';
import type { OutBuffer } from './out-buffer.ts';

/**
 * A server says so when an answer of 429 or 503 means that no model has seen the request: it may be asked again elsewhere.
 * (`src/serving/http` sends it.)
 */
export const UNPROCESSED_HEADER = 'fairlead-unprocessed';

/** Where the body of an answer ends: it has none, so many bytes, chunks tell, or the connection's end does. */
export const BODY_BY_CHUNKS = -1;
export const BODY_BY_CLOSE = -2;

const STATUS_LINE_BYTES = 'HTTP/1.1 200'.length;

/** The head of an answer: parsed as strictly as a request's. One instance reads one head after the other. */
export class ResponseHead {
  readonly #fields = new FieldLines();
  readonly #framing = new Framing(this.#fields);
  #bytes: Buffer = this.#fields.bytes;
  #start = 0;
  #statusEnd = 0;
  status = 0;
  isHttp10 = false;
  /** Bytes of the body, BODY_BY_CHUNKS or BODY_BY_CLOSE; whoever knows the request sets 0 where it lets the answer have none. */
  bodyBytes = 0;
  /** How long the server keeps an idle connection, in seconds, where it says so. */
  keepAliveSeconds: number | undefined;
  /** No model has seen the request. */
  isUnprocessed = false;

  get(name: string): string | undefined {
    return this.#fields.get(name);
  }

  /** The server closes behind this answer. */
  get closes(): boolean {
    return this.#framing.closes;
  }

  /** Reads the head that begins at `at`: the offset of what follows it, or INCOMPLETE. @throws HttpError. */
  read(bytes: Buffer, at: number, end: number): number {
    this.#bytes = bytes;
    this.#start = at;
    if (at + STATUS_LINE_BYTES >= end) return INCOMPLETE;
    // "HTTP" and "/1.1" or "/1.0".
    const version = bytes.readUInt32BE(at + 4);
    if (bytes.readUInt32BE(at) !== 0x48545450 || (version !== 0x2f312e31 && version !== 0x2f312e30)) {
      throw malformed('it does not begin with HTTP/1.1');
    }
    this.isHttp10 = version === 0x2f312e30;
    if (bytes[at + 8] !== SPACE) throw malformed('its status line has no status');
    this.status = digit(bytes, at + 9) * 100 + digit(bytes, at + 10) * 10 + digit(bytes, at + 11);
    if (this.status < 100 || this.status > 599) throw malformed(`its status is ${this.status}`);
    at += STATUS_LINE_BYTES;
    this.#statusEnd = at;
    if (bytes[at] !== SPACE && bytes[at] !== CR) throw malformed('its status has more than three digits');
    while (at < end && ((CLASS[bytes[at] ?? 0] ?? 0) & FIELD) !== 0) at++;
    if (at + 1 >= end && (at >= end || bytes[at] === CR)) return INCOMPLETE;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) throw malformed('its status line does not end in CRLF');
    at = this.#fields.read(bytes, at + 2, end);
    if (at !== INCOMPLETE) this.#understand();
    return at;
  }

  /** Appends the head as the client gets it, without hop-by-hop fields, but not yet its empty line. */
  write(out: OutBuffer): void {
    if (this.isHttp10) {
      out.appendText('HTTP/1.1');
      this.#fields.forward(out, this.#start + 'HTTP/1.0'.length);
    } else if (this.#bytes[this.#statusEnd] === CR) {
      out.append(this.#bytes, this.#start, this.#statusEnd);
      out.appendText(' ');
      this.#fields.forward(out, this.#statusEnd);
    } else {
      this.#fields.forward(out, this.#start);
    }
  }

  /** The same, for a client that gets the body as it is, without chunks, until the connection closes. */
  writeWithoutCoding(out: OutBuffer): void {
    if (this.#framing.codingField !== -1) this.#fields.drop(this.#framing.codingField);
    this.write(out);
  }

  #understand(): void {
    const fields = this.#fields;
    const framing = this.#framing;
    this.keepAliveSeconds = undefined;
    this.isUnprocessed = false;
    framing.begin(this.isHttp10);
    for (let field = 0; field < fields.count; field++) {
      if (!framing.take(field)) {
        if (fields.nameLength(field) === 20 && fields.isNamed(field, UNPROCESSED_HEADER)) this.isUnprocessed = true;
      } else if (fields.nameLength(field) === 10 && fields.isNamed(field, 'keep-alive')) {
        this.#keepAlive(field);
      }
    }
    if (framing.isChunked()) this.bodyBytes = BODY_BY_CHUNKS;
    else this.bodyBytes = framing.lengthField === -1 ? BODY_BY_CLOSE : framing.lengthBytes;
  }

  /** `timeout=N`, first or only, as servers send it; without a regular expression, since most send it with every answer. */
  #keepAlive(field: number): void {
    const bytes = this.#bytes;
    const start = this.#fields.valueStart(field);
    if (!startsWithFolded(bytes, start, 'timeout')) return;
    let seconds = 0;
    let at = start + 'timeout='.length;
    for (const end = this.#fields.valueEnd(field); at < end && seconds < 1e6; at++) {
      const value = (bytes[at] ?? 0) - 0x30;
      if (value < 0 || value > 9) break;
      seconds = seconds * 10 + value;
    }
    if (at > start + 'timeout='.length) this.keepAliveSeconds = seconds;
  }
}

function digit(bytes: Buffer, at: number): number {
  const value = (bytes[at] ?? 0) - 0x30;
  if (value < 0 || value > 9) throw malformed('its status is not a number');
  return value;
}
