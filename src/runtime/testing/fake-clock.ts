import type { Clock } from '../clock.ts';

/** A clock for tests: time stands still until `advance`. */
export class FakeClock implements Clock {
  #nowMs: number;
  /** How far the wall clock was put back. */
  #behindMs = 0;
  #timers: { readonly dueMs: number; readonly action: () => void }[] = [];

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs - this.#behindMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void): () => void {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), action };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  get pendingTimers(): number {
    return this.#timers.length;
  }

  /** Moves time on, firing timers in order; promises settle in between, as they would. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settle();
    for (let next = this.#earliest(endMs); next !== undefined; next = this.#earliest(endMs)) {
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      this.#timers = this.#timers.filter((timer) => timer !== next);
      next.action();
      await settle();
    }
    this.#nowMs = endMs;
  }

  /** Moves time on without firing timers, as when a process was frozen. */
  freeze(ms: number): void {
    this.#nowMs += ms;
  }

  /** Puts the wall clock back, as a correction of it does: no less time has passed, and timers are due when they were. */
  putBack(ms: number): void {
    this.#behindMs += ms;
  }

  #earliest(endMs: number): { readonly dueMs: number; readonly action: () => void } | undefined {
    return this.#timers.filter((timer) => timer.dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0];
  }
}

/** Turns of the event loop that work which waits for neither time nor I/O is given to end. */
const TURNS = 20;

/** Lets everything run that is not waiting for time or I/O. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
}
