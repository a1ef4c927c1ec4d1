/** Growing delays with jitter: the n-th is `min(max, base * 2^n)`, of which up to half is drawn at random. */
export class Backoff {
  readonly #baseMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #failures = 0;

  constructor(baseMs: number, maxMs: number, random: () => number) {
    this.#baseMs = baseMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  next(): number {
    const delayMs = exponentialDelay(this.#baseMs, this.#maxMs, this.#failures);
    this.#failures += 1;
    return delayMs * (0.5 + this.#random() / 2);
  }

  reset(): void {
    this.#failures = 0;
  }
}

/** `min(max, base * 2^failures)` without overflow, in milliseconds. */
export function exponentialDelay(baseMs: number, maxMs: number, failures: number): number {
  return Math.min(maxMs, baseMs * 2 ** Math.min(failures, 60));
}
