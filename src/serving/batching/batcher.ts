import { InferenceError } from '../inference-error.ts';
import type { Tensor } from '../tensor.ts';
import { stack, unstack } from './batch-tensors.ts';

/** Time as the batcher needs it; tests bring their own. */
export interface BatchClock {
  nowMs(): number;
  /** Calls `act` once what has already arrived at the sockets is read, never before. */
  afterThisTurn(act: () => void): void;
  /** Calls `act` after `delayMs`; the result cancels it. */
  afterDelay(delayMs: number, act: () => void): () => void;
}

export const systemClock: BatchClock = {
  nowMs: () => performance.now(),
  afterThisTurn: (act) => void setImmediate(act),
  afterDelay: (delayMs, act) => {
    const timer = setTimeout(act, delayMs);
    return () => clearTimeout(timer);
  },
};

export interface BatcherOptions {
  /** Rows that one engine run may have; a single larger request still runs, alone. 1 turns batching off. */
  readonly maxBatchSize: number;
  /** How long requests that could be joined by more may be held back under load. 0: not at all. */
  readonly maxDelayMs: number;
  /** Requests that may wait before more are refused. */
  readonly maxQueueSize: number;
}

export interface BatchObserver {
  /**
   * An engine run starts: the rows of each request in it, and how long each had waited. Once a request: the runs in
   * which the requests of a failed one are tried alone are not told.
   */
  batchStarted(rowCounts: readonly number[], waitedMs: readonly number[]): void;
}

export type RunModel = (inputs: readonly Tensor[], outputNames: readonly string[]) => Promise<readonly Tensor[]>;

/** One request on its way through the batcher. */
export interface Job {
  readonly outputs: Promise<readonly Tensor[]>;
  /** The client has gone: a request that has not started leaves the queue and is never run. */
  cancel(): void;
}

interface QueuedJob {
  readonly inputs: readonly Tensor[];
  readonly outputNames: readonly string[];
  readonly key: string;
  readonly rows: number;
  readonly enqueuedAtMs: number;
  readonly resolve: (outputs: readonly Tensor[]) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Runs one model, one engine run at a time, and lets requests that came while it was busy, or in the same turn of the
 * event loop, share the next run. A request that finds the batcher idle never waits for others. Only where requests
 * really met in the last run is a batch that is not full held back, and at most `maxDelayMs` from its first request.
 */
export class Batcher {
  readonly #run: RunModel;
  readonly #options: BatcherOptions;
  readonly #clock: BatchClock;
  readonly #observer: BatchObserver;
  /** Waiting requests by what may be stacked together, oldest first in each; a Map keeps the groups by age of creation. */
  readonly #groups = new Map<string, QueuedJob[]>();
  #queued = 0;
  #loners = 0;
  #running = false;
  #turnAsked = false;
  #requestsMet = false;
  #cancelDelay: (() => void) | undefined;

  constructor(run: RunModel, options: BatcherOptions, observer: BatchObserver, clock: BatchClock = systemClock) {
    this.#run = run;
    this.#options = options;
    this.#observer = observer;
    this.#clock = clock;
  }

  /** Requests that wait now. */
  get queued(): number {
    return this.#queued;
  }

  /**
   * Queues a request. Requests share a run if their outputs and all dimensions of their inputs but the first are equal.
   * @throws InferenceError QueueFull.
   */
  submit(inputs: readonly Tensor[], outputNames: readonly string[]): Job {
    if (this.#queued >= this.#options.maxQueueSize) {
      throw new InferenceError(
        'QueueFull',
        `the queue is full: ${this.#queued} requests wait for this model, as many as may`,
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<readonly Tensor[]>();
    const job: QueuedJob = {
      inputs,
      outputNames,
      key: this.#groupKey(inputs, outputNames),
      rows: inputs[0]?.shape[0] ?? 1,
      enqueuedAtMs: this.#clock.nowMs(),
      resolve,
      reject,
    };
    const group = this.#groups.get(job.key);
    if (group === undefined) this.#groups.set(job.key, [job]);
    else group.push(job);
    this.#queued++;
    this.#askForTurn();
    return { outputs: promise, cancel: () => this.#cancel(job) };
  }

  #groupKey(inputs: readonly Tensor[], outputNames: readonly string[]): string {
    const rows = inputs[0]?.shape[0];
    let key = outputNames.join('\n');
    for (const { shape } of inputs) {
      // Inputs that disagree in the number of rows are not stacks of rows: such a request must not meet others.
      if (shape[0] !== rows) return `alone:${this.#loners++}`;
      key += '|';
      for (let axis = 1; axis < shape.length; axis++) key += `${shape[axis]},`;
    }
    return key;
  }

  #cancel(job: QueuedJob): void {
    const group = this.#groups.get(job.key);
    const index = group?.indexOf(job) ?? -1;
    if (group === undefined || index < 0) return;
    group.splice(index, 1);
    if (group.length === 0) this.#groups.delete(job.key);
    this.#queued--;
    job.reject(new InferenceError('Cancelled', 'the client has gone'));
  }

  #askForTurn(): void {
    if (this.#running || this.#turnAsked) return;
    this.#turnAsked = true;
    this.#clock.afterThisTurn(this.#turn);
  }

  readonly #turn = (): void => {
    this.#turnAsked = false;
    const oldest = this.#oldestGroup();
    if (this.#running || oldest === undefined) return;
    this.#cancelDelay?.();
    this.#cancelDelay = undefined;
    const holdMs = this.#holdMs(oldest);
    // A full batch gains nothing by the wait of another.
    const group = holdMs > 0 ? this.#fullGroup() : oldest;
    if (group === undefined) this.#cancelDelay = this.#clock.afterDelay(holdMs, this.#turn);
    else this.#start(this.#take(group));
  };

  #oldestGroup(): QueuedJob[] | undefined {
    let oldest: QueuedJob[] | undefined;
    for (const group of this.#groups.values()) {
      if (oldest === undefined || enqueuedAtMs(group) < enqueuedAtMs(oldest)) oldest = group;
    }
    return oldest;
  }

  #fullGroup(): QueuedJob[] | undefined {
    for (const group of this.#groups.values()) if (this.#isFull(group)) return group;
    return undefined;
  }

  #holdMs(group: readonly QueuedJob[]): number {
    const { maxDelayMs } = this.#options;
    if (maxDelayMs === 0 || !this.#requestsMet || this.#isFull(group)) return 0;
    return enqueuedAtMs(group) + maxDelayMs - this.#clock.nowMs();
  }

  #isFull(group: readonly QueuedJob[]): boolean {
    let rows = 0;
    for (const job of group) rows += job.rows;
    return rows >= this.#options.maxBatchSize;
  }

  /** Takes the oldest requests of a group that fit into one run, at least one. */
  #take(group: QueuedJob[]): readonly QueuedJob[] {
    let count = 1;
    let rows = group[0]?.rows ?? 0;
    for (; count < group.length; count++) {
      rows += group[count]?.rows ?? 0;
      if (rows > this.#options.maxBatchSize) break;
    }
    const batch = group.splice(0, count);
    const key = batch[0]?.key;
    if (group.length === 0 && key !== undefined) this.#groups.delete(key);
    this.#queued -= count;
    return batch;
  }

  #start(batch: readonly QueuedJob[]): void {
    this.#running = true;
    this.#requestsMet = batch.length > 1;
    const nowMs = this.#clock.nowMs();
    this.#observer.batchStarted(
      batch.map(({ rows }) => rows),
      batch.map((job) => nowMs - job.enqueuedAtMs),
    );
    this.#answer(batch).finally(() => {
      this.#running = false;
      if (this.#queued > 0) this.#askForTurn();
    });
  }

  async #answer(batch: readonly QueuedJob[]): Promise<void> {
    const [first] = batch;
    if (first === undefined) return;
    const rowCounts = batch.map(({ rows }) => rows);
    try {
      if (batch.length === 1) {
        first.resolve(await this.#run(first.inputs, first.outputNames));
        return;
      }
      const outputs = await this.#run(stack(batch.map(({ inputs }) => inputs)), first.outputNames);
      const parts = unstack(outputs, rowCounts);
      if (parts === undefined) throw new Error('the model does not give one row of output for each row of input');
      for (const [index, job] of batch.entries()) job.resolve(parts[index] ?? []);
    } catch (error) {
      if (batch.length === 1) first.reject(error);
      // One bad request must not fail the others: each is asked for again, alone, and fails or succeeds by itself.
      else for (const job of batch) await this.#answer([job]);
    }
  }
}

function enqueuedAtMs(group: readonly QueuedJob[]): number {
  return group[0]?.enqueuedAtMs ?? 0;
}
