import { exponentialDelay } from './backoff.ts';
import type { Clock } from './clock.ts';

/** A bucket of tokens that fills steadily. Taking one is always granted, at a time that may lie ahead. */
export class TokenBucket {
  readonly #clock: Clock;
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #filledAtMs: number;

  constructor(clock: Clock, perSecond: number, burst: number) {
    this.#clock = clock;
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledAtMs = clock.now();
  }

  /** Takes a token and answers in how many milliseconds it may be used. */
  reserve(): number {
    this.#fill();
    this.#tokens -= 1;
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#perMs;
  }

  /** Takes a token if one is there now. */
  tryTake(): boolean {
    this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  get isFull(): boolean {
    this.#fill();
    return this.#tokens >= this.#burst;
  }

  #fill(): void {
    const nowMs = this.#clock.now();
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, nowMs - this.#filledAtMs) * this.#perMs);
    this.#filledAtMs = nowMs;
  }
}

export interface RetryLimits {
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  readonly overallPerSecond: number;
  readonly overallBurst: number;
}

/** As in controller-runtime: 5 ms doubling up to 1000 s an item, and 10 retries a second in all after a burst of 100. */
export const DEFAULT_RETRY_LIMITS: RetryLimits = Object.freeze({
  baseDelayMs: 5,
  maxDelayMs: 1_000_000,
  overallPerSecond: 10,
  overallBurst: 100,
});

/** How long each failing item waits before it is tried again. */
export class RetryLimiter {
  readonly #limits: RetryLimits;
  readonly #bucket: TokenBucket;
  readonly #failures = new Map<string, number>();

  constructor(clock: Clock, limits: RetryLimits = DEFAULT_RETRY_LIMITS) {
    this.#limits = limits;
    this.#bucket = new TokenBucket(clock, limits.overallPerSecond, limits.overallBurst);
  }

  /** Counts a failure of the item and answers its delay in milliseconds, which is `withinMs` at most. */
  next(item: string, withinMs: number = Number.POSITIVE_INFINITY): number {
    const failures = this.#failures.get(item) ?? 0;
    this.#failures.set(item, failures + 1);
    const own = exponentialDelay(this.#limits.baseDelayMs, this.#limits.maxDelayMs, failures);
    // What is looked at anyway takes no turn: it would not wait for it, and the retries of others would.
    if (own >= withinMs) return withinMs;
    return Math.min(withinMs, Math.max(own, this.#bucket.reserve()));
  }

  failures(item: string): number {
    return this.#failures.get(item) ?? 0;
  }

  forget(item: string): void {
    this.#failures.delete(item);
  }
}
