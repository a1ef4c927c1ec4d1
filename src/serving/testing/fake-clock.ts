import type { BatchClock } from '../batching/batcher.ts';

/** Time that passes when a test says so. */
export class FakeClock implements BatchClock {
  #nowMs = 0;
  #turns: (() => void)[] = [];
  #timers: { readonly atMs: number; readonly act: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  afterThisTurn(act: () => void): void {
    this.#turns.push(act);
  }

  afterDelay(delayMs: number, act: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, act };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Timers that are set. */
  get waiting(): number {
    return this.#timers.length;
  }

  /** Ends the turn of the event loop: what was put off to its end runs, and what follows from it settles. */
  async endTurn(): Promise<void> {
    const turns = this.#turns;
    this.#turns = [];
    for (const act of turns) act();
    await settle();
  }

  async advance(byMs: number): Promise<void> {
    this.#nowMs += byMs;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.#nowMs);
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.#nowMs);
    for (const { act } of due) act();
    await settle();
  }
}

/** Lets promises that are already decided run their course. */
async function settle(): Promise<void> {
  for (let round = 0; round < 20; round++) await Promise.resolve();
}
