import { setImmediate as nextTurn } from 'node:timers/promises';
import PQueue from 'p-queue';
import type { Clock } from './clock.ts';
import { DEFAULT_RETRY_LIMITS, RetryLimiter, type RetryLimits } from './rate-limiter.ts';

/** What a queue tells of itself; the names follow client-go's workqueue metrics. */
export interface QueueMetrics {
  depth(waiting: number): void;
  added(): void;
  retried(): void;
  /** How long an item waited, in seconds. */
  queued(seconds: number): void;
  /** How long processing it took, in seconds. */
  worked(seconds: number): void;
}

export interface WorkQueueOptions {
  readonly clock: Clock;
  readonly workers: number;
  /** Handles one item. What it throws is its own affair: see `onPanic`. */
  readonly process: (key: string) => Promise<void>;
  /** Is told when `process` throws in spite of its contract; the queue goes on. */
  readonly onPanic: (key: string, error: unknown) => void;
  readonly metrics: QueueMetrics;
  readonly retryLimits?: RetryLimits;
}

/** Routine work (the first listing, a resync) waits behind what just changed. */
const PRIORITY = { routine: 0, changed: 1 } as const;

/**
 * Keys to be processed, each at most once at a time and at most once in waiting: a key that is added while it is
 * processed runs once more afterwards. Several workers share it.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #queue: PQueue;
  readonly #limiter: RetryLimiter;
  /** Keys that wait, by when they began to, or that are to run again after their present run. */
  readonly #dirty = new Map<string, { readonly sinceMs: number; readonly routine: boolean }>();
  readonly #processing = new Set<string>();
  readonly #delayed = new Map<string, { readonly dueMs: number; readonly cancel: () => void }>();
  #stopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#limiter = new RetryLimiter(options.clock, options.retryLimits ?? DEFAULT_RETRY_LIMITS);
    this.#queue = new PQueue({ concurrency: options.workers, autoStart: false });
  }

  /** Lets the workers begin; until then items gather. */
  start(): void {
    this.#queue.start();
  }

  add(key: string, { routine = false }: { readonly routine?: boolean } = {}): void {
    if (this.#stopped) return;
    const waiting = this.#dirty.get(key);
    if (waiting !== undefined) {
      if (waiting.routine && !routine) {
        this.#dirty.set(key, { ...waiting, routine: false });
        if (!this.#processing.has(key)) this.#queue.setPriority(key, PRIORITY.changed);
      }
      return;
    }
    this.#dirty.set(key, { sinceMs: this.#options.clock.monotonic(), routine });
    this.#options.metrics.added();
    if (!this.#processing.has(key)) this.#enqueue(key, routine);
  }

  /** Adds the key after a delay, unless an earlier delay is already set. A run of the key before that cancels it. */
  addAfter(key: string, delayMs: number): void {
    if (this.#stopped) return;
    if (delayMs <= 0) {
      this.add(key);
      return;
    }
    const dueMs = this.#options.clock.monotonic() + delayMs;
    const earlier = this.#delayed.get(key);
    if (earlier !== undefined && earlier.dueMs <= dueMs) return;
    earlier?.cancel();
    const cancel = this.#options.clock.after(delayMs, () => {
      this.#delayed.delete(key);
      this.add(key);
    });
    this.#delayed.set(key, { dueMs, cancel });
  }

  /** Adds the key after its back-off, or after `withinMs` where that is sooner. */
  addRateLimited(key: string, withinMs?: number): void {
    this.#options.metrics.retried();
    this.addAfter(key, this.#limiter.next(key, withinMs));
  }

  /** The key no longer fails: its next failure backs off from the start. */
  forget(key: string): void {
    this.#limiter.forget(key);
  }

  failures(key: string): number {
    return this.#limiter.failures(key);
  }

  /** Keys that wait, those not counted that run. */
  get depth(): number {
    return this.#queue.size;
  }

  /** Nothing waits, is delayed, or runs. */
  get isIdle(): boolean {
    return this.#dirty.size === 0 && this.#processing.size === 0;
  }

  /** Drops what waits and resolves when what runs has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { cancel } of this.#delayed.values()) cancel();
    this.#delayed.clear();
    this.#queue.pause();
    this.#queue.clear();
    this.#dirty.clear();
    this.#options.metrics.depth(0);
    await this.#queue.onPendingZero();
  }

  #enqueue(key: string, routine: boolean): void {
    const priority = routine ? PRIORITY.routine : PRIORITY.changed;
    // Rejects only when stop() clears the queue.
    this.#queue.add(() => this.#run(key), { id: key, priority }).catch(() => undefined);
    this.#options.metrics.depth(this.#queue.size);
  }

  async #run(key: string): Promise<void> {
    const { clock, metrics, process, onPanic } = this.#options;
    const startedMs = clock.monotonic();
    metrics.depth(this.#queue.size);
    metrics.queued((startedMs - (this.#dirty.get(key)?.sinceMs ?? startedMs)) / 1000);
    this.#dirty.delete(key);
    this.#processing.add(key);
    // Every run decides anew when to look next.
    this.#delayed.get(key)?.cancel();
    this.#delayed.delete(key);
    try {
      await process(key);
    } catch (error) {
      onPanic(key, error);
    }
    this.#processing.delete(key);
    metrics.worked((clock.monotonic() - startedMs) / 1000);
    const again = this.#dirty.get(key);
    if (again !== undefined) this.#enqueue(key, again.routine);
    // Items that need no I/O would follow each other without end, and what changes meanwhile, or the lease, not be seen.
    await nextTurn();
  }
}
