import { IncomingMessage } from 'node:http';
import type { Client } from '../predictor.ts';

/** What a request's body ends in. */
export interface BodyReceiver {
  /** The whole body. */
  complete(body: Buffer): void;
  /** The body passed the limit; the rest of it is thrown away as it arrives. */
  tooLarge(): void;
  /** What was left of a body that had passed the limit is over. */
  discarded(): void;
}

const EMPTY = Buffer.alloc(0);

/**
 * A request whose body is collected as the HTTP parser finds it. The parser hands every piece to `push`, and node's own
 * class puts it into a stream's buffer, to come out by events some ticks later; a prediction needs the body whole, so
 * here the pieces are kept and handed over at once. Measured: a fifth of node:http's time a request (docs/benchmarks.md).
 */
export class BodyRequest extends IncomingMessage implements Client {
  onGone: (() => void) | undefined;
  #first: Buffer | undefined;
  #others: Buffer[] | undefined;
  #sizeBytes = 0;
  #maxBytes = 0;
  #receiver: BodyReceiver | undefined;
  #isTooLarge = false;

  /** Collects the body, of at most `maxBytes`. To be called before the request event returns. */
  receive(maxBytes: number, receiver: BodyReceiver): void {
    this.#maxBytes = maxBytes;
    this.#receiver = receiver;
  }

  override push(chunk: Buffer | null): boolean {
    const receiver = this.#receiver;
    if (receiver === undefined) return true;
    if (chunk === null) {
      this.#receiver = undefined;
      if (this.#isTooLarge) receiver.discarded();
      else receiver.complete(this.#take());
      return true;
    }
    if (this.#isTooLarge) return true;
    this.#sizeBytes += chunk.length;
    if (this.#sizeBytes > this.#maxBytes) {
      this.#isTooLarge = true;
      this.#take();
      receiver.tooLarge();
    } else if (this.#first === undefined) this.#first = chunk;
    else if (this.#others === undefined) this.#others = [this.#first, chunk];
    else this.#others.push(chunk);
    return true;
  }

  /** There is no stream to let flow. */
  override resume(): this {
    return this;
  }

  /** Called when the connection ends before the answer is sent. */
  override _destroy(_error: Error | null, done: (error?: Error | null) => void): void {
    this.#receiver = undefined;
    this.#take();
    this.onGone?.();
    done();
  }

  #take(): Buffer {
    const body = this.#others === undefined ? (this.#first ?? EMPTY) : Buffer.concat(this.#others, this.#sizeBytes);
    this.#first = undefined;
    this.#others = undefined;
    return body;
  }
}

// node:http asks a finished request whether its stream has ended before it lets go of it; ours ends with its message.
Object.defineProperty(BodyRequest.prototype, 'readableEnded', {
  configurable: true,
  get(this: BodyRequest) {
    return this.complete;
  },
});
