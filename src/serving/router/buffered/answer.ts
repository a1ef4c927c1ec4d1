import type { ResponseHead } from '../http1/response-head.ts';
import { type BufferBudget, CollectedBytes } from './collected-bytes.ts';

/** Answers of more bytes are neither compared nor combined. */
export const MAX_KEPT_BYTES = 1_048_576;

/** An answer as it is compared and combined. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  /** Bytes of JSON at the beginning of a body of the binary tensor extension; undefined in other bodies. */
  readonly jsonBytes: number | undefined;
  readonly body: Buffer;
}

/** Keeps an answer as it passes by. */
export class AnswerRecorder {
  readonly #body: CollectedBytes;
  #status = 0;
  #contentType = '';
  #jsonBytes: number | undefined;
  #isKept = true;
  #isWhole = false;

  constructor(budget: BufferBudget) {
    this.#body = new CollectedBytes(budget, MAX_KEPT_BYTES);
  }

  record(head: ResponseHead | undefined, bytes: Buffer, start: number, end: number, isLast: boolean): void {
    if (head !== undefined) {
      this.#status = head.status;
      this.#contentType = head.get('content-type') ?? '';
      const jsonBytes = head.get('inference-header-content-length');
      if (jsonBytes !== undefined) this.#jsonBytes = /^[0-9]{1,9}$/.test(jsonBytes) ? Number(jsonBytes) : Number.NaN;
    }
    if (this.#isKept) this.#isKept = this.#append(bytes, start, end);
    this.#isWhole ||= isLast;
  }

  /** The whole answer; undefined where it is not whole or was too large to keep. */
  get answer(): Answer | undefined {
    if (!this.#isWhole || !this.#isKept) return undefined;
    return {
      status: this.#status,
      contentType: this.#contentType,
      jsonBytes: this.#jsonBytes,
      body: this.#body.bytes,
    };
  }

  release(): void {
    this.#isKept = false;
    this.#body.release();
  }

  #append(bytes: Buffer, start: number, end: number): boolean {
    try {
      return this.#body.append(bytes, start, end);
    } catch {
      // The budget is used up: the answer goes on to the client, and is not kept.
      return false;
    }
  }
}
