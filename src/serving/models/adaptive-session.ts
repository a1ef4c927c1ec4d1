import type { Logger } from '../../telemetry/logger.ts';
import type { RowEvidence, SessionLike } from '../session.ts';
import type { Tensor, TensorSpec } from '../tensor.ts';

/** Runs that take longer than this leave the thread: a health probe or a 429 should not wait for them. */
export const MAX_BLOCKING_MS = 2;
/** So many of the last runs decide; the median, so that a pause of the machine does not. */
const WINDOW = 7;
/** One run above this decides alone, unless a run as large has been short: then it was a pause. */
export const INTOLERABLE_MS = 50;

export interface AdaptiveOptions {
  /** Opens the same model in a thread of its own. */
  readonly openWorker: () => Promise<SessionLike>;
  readonly logger: Logger;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

/**
 * Starts in this thread, where a run costs least, and moves to a worker thread once runs prove to be long. Requests are
 * answered throughout: until the worker stands, this thread goes on.
 */
export class AdaptiveSession implements SessionLike {
  readonly #options: AdaptiveOptions;
  readonly #recentMs: number[] = [];
  /** Elements of the largest input that was answered within `MAX_BLOCKING_MS`. */
  #shortElements = 0;
  #session: SessionLike;
  #moving: Promise<void> | undefined;

  constructor(session: SessionLike, options: AdaptiveOptions) {
    this.#session = session;
    this.#options = options;
  }

  get inputs(): readonly TensorSpec[] {
    return this.#session.inputs;
  }

  get outputs(): readonly TensorSpec[] {
    return this.#session.outputs;
  }

  get provider(): string {
    return this.#session.provider;
  }

  get rowEvidence(): RowEvidence {
    return this.#session.rowEvidence;
  }

  /** Resolves when a move that has begun is over. */
  get settled(): Promise<void> {
    return this.#moving ?? Promise.resolve();
  }

  run(inputs: readonly Tensor[], outputNames: readonly string[]): Promise<readonly Tensor[]> {
    if (this.#moving !== undefined) return this.#session.run(inputs, outputNames);
    const startedAtMs = this.#options.now();
    const answer = this.#session.run(inputs, outputNames);
    this.#measured(this.#options.now() - startedAtMs, inputs);
    return answer;
  }

  async close(): Promise<void> {
    await this.settled;
    await this.#session.close();
  }

  #measured(blockedMs: number, inputs: readonly Tensor[]): void {
    // The first run pays for what later ones find ready, so it does not decide alone.
    const isFirst = this.#recentMs.length === 0;
    this.#recentMs.push(blockedMs);
    if (this.#recentMs.length > WINDOW) this.#recentMs.shift();
    if (blockedMs <= MAX_BLOCKING_MS) {
      this.#shortElements = Math.max(this.#shortElements, elementsOf(inputs));
      return;
    }
    if (blockedMs > INTOLERABLE_MS && !isFirst && elementsOf(inputs) > this.#shortElements) {
      this.#moving = this.#move(blockedMs);
      return;
    }
    const medianMs = this.#recentMs.toSorted((a, b) => a - b)[WINDOW >> 1] ?? 0;
    if (this.#recentMs.length === WINDOW && medianMs > MAX_BLOCKING_MS) this.#moving = this.#move(medianMs);
  }

  async #move(blockedMs: number): Promise<void> {
    const { openWorker, logger } = this.#options;
    try {
      const inThread = this.#session;
      this.#session = await openWorker();
      await inThread.close();
      logger.info('Runs are long; the model moved to a thread of its own', { blockedMs });
    } catch (error) {
      // Slow but right: this thread goes on, and does not try again.
      logger.warn('Runs are long, but the model could not move to a thread of its own', {
        blockedMs,
        error: String(error),
      });
    }
  }
}

function elementsOf(inputs: readonly Tensor[]): number {
  let elements = 0;
  for (const { data } of inputs) elements += data.length;
  return elements;
}
