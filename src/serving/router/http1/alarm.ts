import type { RouterClock } from '../types.ts';

/**
 * One time that a connection waits for, moved at every request. Moving it to a later time costs nothing: a timer that
 * fires too early sets itself again. With a timeout a request, timers would be a good part of its cost.
 */
export class Alarm {
  readonly #clock: RouterClock;
  readonly #act: () => void;
  #atMs = Number.POSITIVE_INFINITY;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #cancel: (() => void) | undefined;

  constructor(clock: RouterClock, act: () => void) {
    this.#clock = clock;
    this.#act = act;
  }

  /** Rings at `atMs` of the clock, and at no time that was set before. */
  set(atMs: number): void {
    this.#atMs = atMs;
    if (atMs < this.#timerAtMs) this.#arm(atMs - this.#clock.nowMs());
  }

  /** Rings no more, until it is set again. */
  clear(): void {
    this.#atMs = Number.POSITIVE_INFINITY;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
  }

  #arm(delayMs: number): void {
    this.#cancel?.();
    this.#timerAtMs = this.#atMs;
    this.#cancel = this.#clock.afterDelay(Math.max(0, delayMs), () => this.#ring());
  }

  #ring(): void {
    this.#cancel = undefined;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    const leftMs = this.#atMs - this.#clock.nowMs();
    // Timers count whole milliseconds and may fire a fraction early.
    if (leftMs >= 1) {
      if (leftMs !== Number.POSITIVE_INFINITY) this.#arm(leftMs);
      return;
    }
    this.#atMs = Number.POSITIVE_INFINITY;
    this.#act();
  }
}
