import { LoadFailure } from './failure.ts';
import type { SourceOptions } from './source.ts';

/** A failure that may heal in seconds: a dropped connection, a 503. */
export class TransientError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TransientError';
  }
}

export type RetryOptions = Pick<SourceOptions, 'limits' | 'delay' | 'signal' | 'logger'>;

/** Counts the attempts at one thing, waits between them, and says when to give up. */
export class Attempts {
  readonly #what: string;
  readonly #options: RetryOptions;
  #failed = 0;

  constructor(what: string, options: RetryOptions) {
    this.#what = what;
    this.#options = options;
  }

  /**
   * Call with what an attempt threw; resolves when it is time for the next.
   * @throws LoadFailure `SourceUnreachable` when the attempts are spent; `error` itself when it will not heal.
   */
  async failed(error: unknown): Promise<void> {
    if (!(error instanceof TransientError)) throw error;
    const { limits, delay, signal, logger } = this.#options;
    const waitMs = limits.retryDelaysMs[this.#failed];
    this.#failed += 1;
    if (waitMs === undefined) {
      const told = error.message.startsWith(this.#what) ? error.message : `${this.#what}: ${error.message}`;
      throw new LoadFailure('SourceUnreachable', `${told} (attempt ${this.#failed}, the last)`, {
        cause: error,
      });
    }
    logger.warn('Reading the model failed; trying again', {
      source: this.#what,
      error: error.message,
      attempt: this.#failed,
      waitMs,
    });
    await delay(waitMs, signal);
  }

  /** Progress was made: the next failure is the first again. */
  succeeded(): void {
    this.#failed = 0;
  }
}

/** Runs `attempt` until it succeeds, fails for good or has been tried often enough. */
export async function withRetries<T>(what: string, options: RetryOptions, attempt: () => Promise<T>): Promise<T> {
  const attempts = new Attempts(what, options);
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      await attempts.failed(error);
    }
  }
}

/** So much must arrive between two failures for the count of attempts to start again. */
const PROGRESS_BYTES = 1 << 20;

/**
 * The bytes of one file over a connection that may drop: `reopen` continues at an offset. Fails for good after
 * several drops without progress.
 * @param first the stream from the start, already open.
 * @param sizeBytes how many bytes are to come; a stream that ends before that is taken up again.
 */
export async function* resumed(
  what: string,
  options: RetryOptions,
  first: AsyncIterable<Uint8Array>,
  sizeBytes: number | undefined,
  reopen: (offsetBytes: number) => Promise<AsyncIterable<Uint8Array>>,
): AsyncGenerator<Uint8Array> {
  const attempts = new Attempts(what, options);
  let stream: AsyncIterable<Uint8Array> | undefined = first;
  let offsetBytes = 0;
  let progressAt = PROGRESS_BYTES;
  for (;;) {
    try {
      stream ??= await reopen(offsetBytes);
      for await (const chunk of stream) {
        offsetBytes += chunk.byteLength;
        if (offsetBytes >= progressAt) {
          progressAt = offsetBytes + PROGRESS_BYTES;
          attempts.succeeded();
        }
        yield chunk;
      }
      if (sizeBytes === undefined || offsetBytes === sizeBytes) return;
      if (offsetBytes > sizeBytes) {
        throw new LoadFailure('SourceUnreachable', `${what}: gave more than the ${sizeBytes} bytes it announced`);
      }
      throw new TransientError(`ended after ${offsetBytes} of ${sizeBytes} bytes`);
    } catch (error) {
      stream = undefined;
      progressAt = offsetBytes + PROGRESS_BYTES;
      await attempts.failed(error);
    }
  }
}
