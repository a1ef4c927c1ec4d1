import { CLASS, COLON, CR, FIELD, hexValue, LF, SEMICOLON, TOKEN } from './characters.ts';
import { hex } from './field-lines.ts';
import { malformed } from './http-error.ts';

/** Twelve hexadecimal digits: 256 TiB. */
const MAX_SIZE_DIGITS = 12;
/** Extensions and trailers of one body may take so much; they are read and left out. */
const MAX_EXTRA_BYTES = 8_192;

type Expected =
  | 'size'
  | 'more size'
  | 'extension'
  | 'line feed of size'
  | 'data'
  | 'end of data'
  | 'line feed of data'
  | 'trailer'
  | 'trailer name'
  | 'trailer value'
  | 'line feed of trailer'
  | 'last line feed'
  | 'nothing';

/**
 * Finds the data in a body of chunked coding (RFC 9112 section 7.1), piece by piece, without keeping any of it. The data
 * is framed anew for the next hop, so that whatever a sender hides in sizes, extensions or trailers ends here.
 */
export class ChunkedBody {
  #expected: Expected = 'size';
  #sizeDigits = 0;
  #leftBytes = 0;
  #extraBytes = 0;
  /** The data that the last `next` found; empty where both are equal. */
  dataStart = 0;
  dataEnd = 0;

  /** The last chunk and its trailers are over. */
  get isOver(): boolean {
    return this.#expected === 'nothing';
  }

  reset(): void {
    this.#expected = 'size';
    this.#sizeDigits = 0;
    this.#leftBytes = 0;
    this.#extraBytes = 0;
  }

  /**
   * Reads on until a piece of data, the end of the body, or `end`: the offset behind what was read.
   * @throws HttpError 400.
   */
  next(bytes: Buffer, at: number, end: number): number {
    this.dataStart = at;
    this.dataEnd = at;
    while (at < end && this.#expected !== 'nothing') {
      if (this.#expected === 'data') {
        const taken = Math.min(this.#leftBytes, end - at);
        this.#leftBytes -= taken;
        if (this.#leftBytes === 0) this.#expected = 'end of data';
        this.dataStart = at;
        this.dataEnd = at + taken;
        return at + taken;
      }
      this.#expected = this.#take(bytes[at] ?? 0);
      at++;
    }
    return at;
  }

  #take(byte: number): Expected {
    switch (this.#expected) {
      case 'size':
      case 'more size':
        return this.#takeSize(byte);
      case 'extension':
        if (byte === CR) return 'line feed of size';
        return this.#extra(byte, FIELD, 'extension');
      case 'line feed of size':
        if (byte !== LF) throw unexpected(byte, 'the line feed behind a size');
        this.#sizeDigits = 0;
        return this.#leftBytes === 0 ? 'trailer' : 'data';
      case 'end of data':
        if (byte !== CR) throw unexpected(byte, 'the carriage return behind the data');
        return 'line feed of data';
      case 'line feed of data':
        if (byte !== LF) throw unexpected(byte, 'the line feed behind the data');
        return 'size';
      case 'trailer':
        if (byte === CR) return 'last line feed';
        return this.#extra(byte, TOKEN, 'trailer name');
      case 'trailer name':
        if (byte === COLON) return 'trailer value';
        return this.#extra(byte, TOKEN, 'trailer name');
      case 'trailer value':
        if (byte === CR) return 'line feed of trailer';
        return this.#extra(byte, FIELD, 'trailer value');
      case 'line feed of trailer':
        if (byte !== LF) throw unexpected(byte, 'the line feed behind a trailer');
        return 'trailer';
      case 'last line feed':
        if (byte !== LF) throw unexpected(byte, 'the last line feed');
        return 'nothing';
      case 'data':
      case 'nothing':
        return this.#expected;
    }
  }

  #takeSize(byte: number): Expected {
    const value = hexValue(byte);
    if (value >= 0) {
      this.#sizeDigits++;
      if (this.#sizeDigits > MAX_SIZE_DIGITS) throw malformed(`a chunk's size has more than ${MAX_SIZE_DIGITS} digits`);
      this.#leftBytes = this.#leftBytes * 16 + value;
      return 'more size';
    }
    if (this.#sizeDigits === 0) throw unexpected(byte, "a chunk's size");
    if (byte === CR) return 'line feed of size';
    if (byte === SEMICOLON) return 'extension';
    throw unexpected(byte, "a chunk's size");
  }

  #extra(byte: number, allowed: number, next: Expected): Expected {
    if (((CLASS[byte] ?? 0) & allowed) === 0) throw unexpected(byte, `a chunked body's ${next}`);
    this.#extraBytes++;
    if (this.#extraBytes > MAX_EXTRA_BYTES) {
      throw malformed(`extensions and trailers of the chunked body take more than ${MAX_EXTRA_BYTES} bytes`);
    }
    return next;
  }
}

function unexpected(byte: number, where: string): Error {
  return malformed(`byte ${hex(byte)} stands where ${where} should`);
}
