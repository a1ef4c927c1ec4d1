import { ChunkedBody } from './chunked-body.ts';
import type { Exchange } from './exchange.ts';
import { tooLarge } from './refusals.ts';

/** How much of a request's body has come, by its length or its chunks. One instance reads one body after the other. */
export class RequestBody {
  readonly #chunks = new ChunkedBody();
  /** Bytes that have not come yet; -1 where chunks tell. */
  #leftBytes = 0;
  /** Bytes that came in chunks. */
  #bytes = 0;
  #maxBytes = 0;

  /** Begins a body of `bodyBytes`, -1 where chunks tell, of which a length's first `takenBytes` came with the head. */
  begin(bodyBytes: number, takenBytes: number, maxBytes: number): void {
    this.#bytes = 0;
    this.#maxBytes = maxBytes;
    this.#leftBytes = bodyBytes < 0 ? -1 : bodyBytes - takenBytes;
    if (this.#leftBytes === -1) this.#chunks.reset();
  }

  get isOver(): boolean {
    return this.#leftBytes === 0;
  }

  /**
   * Passes on what stands of the body in `input` from `at` on: the offset of what follows it there.
   * @throws HttpError 400 and 413.
   */
  read(input: Buffer, at: number, exchange: Exchange): number {
    if (this.#leftBytes === -1) return this.#readChunks(input, at, exchange);
    const end = at + Math.min(this.#leftBytes, input.length - at);
    this.#leftBytes -= end - at;
    exchange.body(input, at, end);
    return end;
  }

  #readChunks(input: Buffer, at: number, exchange: Exchange): number {
    const chunks = this.#chunks;
    while (at < input.length && !chunks.isOver) {
      at = chunks.next(input, at, input.length);
      this.#bytes += chunks.dataEnd - chunks.dataStart;
      if (this.#bytes > this.#maxBytes) throw tooLarge(`more than ${this.#maxBytes}`, this.#maxBytes);
      exchange.body(input, chunks.dataStart, chunks.dataEnd);
    }
    if (chunks.isOver) this.#leftBytes = 0;
    return at;
  }
}
