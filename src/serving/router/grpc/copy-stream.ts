import { Duplex } from 'node:stream';
import type { ClientStream } from './call-surroundings.ts';

/** Stands for the client of a copy: sends a request that is there as a whole, and throws the answer away. */
export class CopyStream extends Duplex implements ClientStream {
  readonly #request: Buffer;
  readonly #onHead: () => void;
  headersSent = false;

  /** @param onHead the answer has begun, and more of it follows */
  constructor(request: Buffer, onHead: () => void) {
    super();
    this.#request = request;
    this.#onHead = onHead;
  }

  respond(_headers: unknown, { endStream }: { readonly endStream?: boolean }): void {
    this.headersSent = true;
    if (endStream === true) this.end();
    else this.#onHead();
  }

  sendTrailers(): void {}

  close(): void {
    this.destroy();
  }

  override _read(): void {
    this.push(this.#request);
    this.push(null);
  }

  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    done();
  }
}
