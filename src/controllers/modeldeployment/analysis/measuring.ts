export interface MeasuringInput<T> {
  readonly nowMs: number;
  readonly intervalMs: number;
  /** Aborts when this process stops. */
  readonly stop: AbortSignal;
  /** @param signal aborts with `stop`, and when what is measured is of no use any more */
  readonly measure: (signal: AbortSignal) => Promise<T>;
  /** Is called once there is something to take; never for what was cancelled. */
  readonly whenDone: () => void;
}

/**
 * What is measured once an interval, outside of reconciles, since an answer may take as long as others like: at most one
 * measurement is under way, and what it gave waits for the next reconcile.
 */
export class Measuring<T> {
  readonly #firstAtMs: number;
  #startedAtMs: number | undefined;
  #underWay: AbortController | undefined;
  #done: (() => T) | undefined;

  /** @param firstAtMs when to begin */
  constructor(firstAtMs: number) {
    this.#firstAtMs = firstAtMs;
  }

  /**
   * Begins a measurement where that is due.
   * @returns when the next one is due; undefined where one is under way, so that `whenDone` will tell
   */
  advance({ nowMs, intervalMs, stop, measure, whenDone }: MeasuringInput<T>): number | undefined {
    if (this.#underWay !== undefined) return undefined;
    const dueAtMs = this.#startedAtMs === undefined ? this.#firstAtMs : this.#startedAtMs + intervalMs;
    // None is ever due later than in an interval, but where the clock was set back.
    if (nowMs < dueAtMs && dueAtMs <= nowMs + intervalMs) return dueAtMs;
    this.#startedAtMs = nowMs;
    const cancel = new AbortController();
    this.#underWay = cancel;
    const end = (done: () => T): void => {
      if (cancel.signal.aborted) return;
      this.#done = done;
      whenDone();
    };
    measure(AbortSignal.any([stop, cancel.signal])).then(
      (result) => end(() => result),
      (error: unknown) =>
        end(() => {
          throw error;
        }),
    );
    return undefined;
  }

  /**
   * What the last one gave, once; undefined while there is nothing new.
   * @throws what it threw
   */
  take(): T | undefined {
    const done = this.#done;
    if (done === undefined) return undefined;
    this.#done = undefined;
    this.#underWay = undefined;
    return done();
  }

  /** For good. */
  cancel(): void {
    this.#underWay?.abort();
  }
}
