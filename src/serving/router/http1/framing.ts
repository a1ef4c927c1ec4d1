import { type FieldLines, readLength } from './field-lines.ts';
import { malformed } from './http-error.ts';

/**
 * What requests and answers say alike: where the body ends, and the fields that are meant for this hop alone, which are
 * dropped. One instance takes the fields of one head after the other.
 */
export class Framing {
  readonly #fields: FieldLines;
  #isHttp10 = false;
  /** That of Transfer-Encoding; -1 without one. */
  codingField = -1;
  /** That of Content-Length; -1 without one. */
  lengthField = -1;
  /** What Content-Length says; -1 without one. */
  lengthBytes = -1;
  /** The sender closes behind this message, or cannot do otherwise. */
  closes = false;

  constructor(fields: FieldLines) {
    this.#fields = fields;
  }

  begin(isHttp10: boolean): void {
    this.#isHttp10 = isHttp10;
    this.codingField = -1;
    this.lengthField = -1;
    this.lengthBytes = -1;
    this.closes = isHttp10;
  }

  /** Takes note of a field where it is one of these: whether it is. @throws HttpError 400. */
  take(field: number): boolean {
    const fields = this.#fields;
    switch (fields.nameLength(field)) {
      case 7:
        return (fields.isNamed(field, 'trailer') || fields.isNamed(field, 'upgrade')) && this.#drop(field);
      case 10:
        if (fields.isNamed(field, 'keep-alive')) return this.#drop(field);
        if (!fields.isNamed(field, 'connection')) return false;
        if (fields.dropConnectionOptions(field)) this.closes = true;
        return this.#drop(field);
      case 14:
        if (!fields.isNamed(field, 'content-length')) return false;
        if (this.lengthField !== -1) throw malformed('there are two Content-Length headers');
        this.lengthField = field;
        this.lengthBytes = readLength(fields, field);
        return true;
      case 16:
        return fields.isNamed(field, 'proxy-connection') && this.#drop(field);
      case 17:
        if (!fields.isNamed(field, 'transfer-encoding')) return false;
        if (this.codingField !== -1) throw malformed('there are two Transfer-Encoding headers');
        this.codingField = field;
        return true;
      default:
        return false;
    }
  }

  /** Once all fields are taken: whether chunks tell where the body ends. @throws HttpError 400 where that could be read in two ways. */
  isChunked(): boolean {
    if (this.codingField === -1) return false;
    if (this.lengthField !== -1) throw malformed('there are both Content-Length and Transfer-Encoding');
    if (this.#isHttp10) throw malformed('HTTP/1.0 has no Transfer-Encoding');
    if (!this.#fields.valueIs(this.codingField, 'chunked')) {
      throw malformed('Transfer-Encoding is not exactly "chunked"');
    }
    return true;
  }

  #drop(field: number): true {
    this.#fields.drop(field);
    return true;
  }
}
