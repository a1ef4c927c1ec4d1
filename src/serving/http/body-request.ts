import { IncomingMessage } from 'node:http';
import { InferenceError } from '../inference-error.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import type { Client } from '../predictor.ts';

/** What a request's body ends in. */
export interface BodyReceiver {
  /** The whole body. */
  complete(body: Buffer): void;
  /** The body is not taken; the rest of it is thrown away as it arrives. */
  refused(error: InferenceError): void;
  /** What was left of a refused body is over. */
  discarded(): void;
}

const EMPTY: Buffer = Buffer.alloc(0);

/**
 * A request whose body is collected as the HTTP parser finds it. The parser hands every piece to `push`, and node's own
 * class puts it into a stream's buffer, to come out by events some ticks later; a prediction needs the body whole, so
 * here the pieces are kept and handed over at once (docs/decisions/0023).
 */
export class BodyRequest extends IncomingMessage implements Client {
  onGone: (() => void) | undefined;
  /** Whether a model has answered it: what is refused then has cost a run already. */
  hasAnswer = false;
  #receiver: BodyReceiver | undefined;
  #budget: MemoryBudget | undefined;
  #maxBytes = 0;
  #body: Buffer = EMPTY;
  #sizeBytes = 0;
  /** What the budget has been charged; until the body is complete the size of `#body` where it is our own memory. */
  #chargedBytes = 0;
  #isRefused = false;

  get declaredBytes(): number {
    return Number(this.headers['content-length'] ?? 0);
  }

  /** Whether memory is charged for the body or the answer: then `release` has to follow. */
  get isCharged(): boolean {
    return this.#chargedBytes > 0;
  }

  /** Collects the body, of at most `maxBytes`; what is longer than one piece is charged. To be called before the request event returns. */
  receive(maxBytes: number, budget: MemoryBudget, receiver: BodyReceiver): void {
    this.#maxBytes = maxBytes;
    this.#budget = budget;
    this.#receiver = receiver;
    if (this.declaredBytes > maxBytes) this.#refuse(receiver, this.#tooLarge(String(this.declaredBytes)));
  }

  override push(piece: Buffer | null): boolean {
    const receiver = this.#receiver;
    if (receiver === undefined) return true;
    if (piece === null) {
      this.#receiver = undefined;
      if (this.#isRefused) receiver.discarded();
      else receiver.complete(this.#body.subarray(0, this.#sizeBytes));
    } else if (!this.#isRefused) {
      try {
        this.#append(piece);
      } catch (error) {
        if (!(error instanceof InferenceError)) throw error;
        this.#refuse(receiver, error);
      }
    }
    return true;
  }

  /** Charges an answer of so many bytes beside the body. @throws InferenceError QueueFull when that much is not left. */
  chargeAnswer(bytes: number): void {
    this.hasAnswer = true;
    this.#budget?.takeForAnswer(bytes, this.#chargedBytes);
    this.#chargedBytes += bytes;
  }

  /** Gives back the memory of the body and the answer; nothing may read the body any more. */
  release(): void {
    this.#budget?.release(this.#chargedBytes);
    this.#chargedBytes = 0;
    this.#body = EMPTY;
  }

  /** There is no stream to let flow. */
  override resume(): this {
    return this;
  }

  /** Called when the connection ends before the answer is sent. */
  override _destroy(_error: Error | null, done: (error?: Error | null) => void): void {
    // A body that is complete may be in the engine's hands; its response's end releases it.
    if (this.#receiver !== undefined) this.release();
    this.#receiver = undefined;
    this.onGone?.();
    done();
  }

  /** Memory doubles as it fills, so that a body in many small pieces costs no more than one in a few. */
  #append(piece: Buffer): void {
    const start = this.#sizeBytes;
    const end = start + piece.length;
    if (end > this.#maxBytes) throw this.#tooLarge(`more than ${this.#maxBytes}`);
    this.#sizeBytes = end;
    if (start === 0) {
      this.#body = piece;
      return;
    }
    if (end > this.#chargedBytes) {
      const capacity = Math.min(2 * end, this.#maxBytes);
      this.#budget?.take(capacity - this.#chargedBytes);
      this.#chargedBytes = capacity;
      const grown = Buffer.allocUnsafeSlow(capacity);
      this.#body.copy(grown, 0, 0, start);
      this.#body = grown;
    }
    piece.copy(this.#body, start);
  }

  #refuse(receiver: BodyReceiver, error: InferenceError): void {
    this.#isRefused = true;
    this.release();
    receiver.refused(error);
  }

  #tooLarge(size: string): InferenceError {
    return new InferenceError('TooLarge', `the body has ${size} bytes; at most ${this.#maxBytes} are taken`);
  }
}

// node:http asks a finished request whether its stream has ended before it lets go of it; ours ends with its message.
Object.defineProperty(BodyRequest.prototype, 'readableEnded', {
  configurable: true,
  get(this: BodyRequest) {
    return this.complete;
  },
});
