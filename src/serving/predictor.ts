import type { ModelMetrics, Outcome } from '../telemetry/serving-metrics.ts';
import type { BatchClock, BatcherOptions } from './batching/batcher.ts';
import { Batcher } from './batching/batcher.ts';
import type { RevisionOutcome } from './counts/revision-counter.ts';
import type { ServedCounter } from './counts/server-counts.ts';
import { type InferenceError, toInferenceError } from './inference-error.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { PredictionLog } from './prediction-log.ts';
import { STRING_HEAP_BYTES } from './protocol/heap-limits.ts';
import type { ModelSignature } from './protocol/model-signature.ts';
import { cacheKey, type ResponseCache } from './response-cache.ts';
import type { SessionLike } from './session.ts';
import type { Tensor } from './tensor.ts';

/** What a request asks of a model, once it is read and checked. */
export interface Question {
  readonly id?: string | undefined;
  /** Every input of the model, in its order. */
  readonly inputs: readonly Tensor[];
  readonly outputNames: readonly string[];
}

/** The client at the other end, as far as a predictor cares. */
export interface Client {
  /** Set while a request waits: called when the client will not take the answer any more. */
  onGone: (() => void) | undefined;
}

export interface PredictorOptions {
  readonly name: string;
  readonly version: string | undefined;
  readonly signature: ModelSignature;
  readonly session: SessionLike;
  readonly batching: BatcherOptions;
  readonly cache: ResponseCache | undefined;
  /** Heap for the strings of all requests, of all models, that have no answer yet. */
  readonly strings: MemoryBudget;
  readonly log: PredictionLog | undefined;
  /** Binds the model's metrics; the argument tells the queue's depth. */
  readonly metrics: (queueDepth: () => number) => ModelMetrics;
  readonly counts: ServedCounter;
  readonly clock: BatchClock;
}

/** Strings of a request that do not count, so that usual ones pass however many wait: those of a full queue are some 13 MB. */
const FREE_STRINGS = 64;

/** One version of one model, answering requests however they came: cache, queue, batches, counts and log. */
export class Predictor {
  readonly name: string;
  readonly version: string | undefined;
  readonly signature: ModelSignature;
  readonly provider: string;
  readonly #session: SessionLike;
  readonly #batcher: Batcher;
  readonly #cache: ResponseCache | undefined;
  /** Undefined for a model that takes no strings. */
  readonly #strings: MemoryBudget | undefined;
  readonly #log: PredictionLog | undefined;
  readonly #metrics: ModelMetrics;
  readonly #counts: ServedCounter;
  readonly #clock: BatchClock;
  #inFlight = 0;

  constructor(options: PredictorOptions) {
    this.name = options.name;
    this.version = options.version;
    this.signature = options.signature;
    this.provider = options.session.provider;
    this.#session = options.session;
    this.#cache = options.cache;
    const takesStrings = options.signature.inputs.some(({ datatype }) => datatype === 'BYTES');
    this.#strings = takesStrings ? options.strings : undefined;
    this.#log = options.log;
    this.#counts = options.counts;
    this.#clock = options.clock;
    this.#metrics = options.metrics(() => this.#batcher.queued);
    const { session } = options;
    const run = (inputs: readonly Tensor[], outputNames: readonly string[]) => session.run(inputs, outputNames);
    this.#batcher = new Batcher(run, options.batching, this.#metrics, options.clock);
  }

  /** Whole requests that have no answer yet. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /**
   * Answers one request: `read` makes and checks the question, `write` the answer. Every way to end is counted once: for a
   * client that gives up that is the moment when it does, since a model that hangs never ends a request.
   * @throws InferenceError always, whatever went wrong.
   */
  async serve<Q extends Question, A>(
    client: Client,
    read: () => Q,
    write: (question: Q, outputs: readonly Tensor[]) => A,
  ): Promise<A> {
    const startedAtMs = this.#clock.nowMs();
    this.#inFlight++;
    let isCounted = false;
    let stringBytes = 0;
    const count = (outcome: RevisionOutcome): void => {
      if (!isCounted) this.#counts.ended(outcome, (this.#clock.nowMs() - startedAtMs) / 1000);
      isCounted = true;
    };
    const submit = (question: Question): Promise<readonly Tensor[]> => {
      const job = this.#batcher.submit(question.inputs, question.outputNames);
      // Not assigned where it is written: V8 puts a function that is written as a property's value into the old space,
      // where it would keep the whole request until the next major collection (docs/benchmarks.md).
      const leave = (): void => {
        count('cancelled');
        job.cancel();
      };
      client.onGone = leave;
      return job.outputs;
    };
    try {
      const question = read();
      if (this.#strings !== undefined) stringBytes = chargeStrings(this.#strings, question.inputs);
      const cache = this.#cache;
      const outputs = await (cache === undefined ? submit(question) : this.#cachedOutputs(cache, question, submit));
      const answer = write(question, outputs);
      const latencyMs = this.#clock.nowMs() - startedAtMs;
      this.#metrics.predicted('success', latencyMs / 1000);
      count('success');
      this.#counts.predicted(outputs);
      this.#log?.record({ ...question, model: this.name, version: this.version, id: question.id, outputs, latencyMs });
      return answer;
    } catch (cause) {
      const error = toInferenceError(cause);
      const outcome = outcomeOf(error);
      this.#metrics.predicted(outcome, (this.#clock.nowMs() - startedAtMs) / 1000);
      count(REVISION_OUTCOME[outcome]);
      throw error;
    } finally {
      this.#strings?.release(stringBytes);
      this.#inFlight--;
      client.onGone = undefined;
    }
  }

  /** Frees the engine; no request may follow. */
  async close(): Promise<void> {
    await this.#session.close();
  }

  async #cachedOutputs(
    cache: ResponseCache,
    question: Question,
    submit: (question: Question) => Promise<readonly Tensor[]>,
  ) {
    const key = cacheKey(question.inputs, question.outputNames);
    const cached = cache.get(key);
    this.#metrics.cacheLooked(cached !== undefined);
    if (cached !== undefined) return cached;
    const outputs = await submit(question);
    cache.set(key, outputs);
    return outputs;
  }
}

/** Charges the strings that wait with a question. @throws InferenceError QueueFull when that much is not left. */
function chargeStrings(budget: MemoryBudget, inputs: readonly Tensor[]): number {
  let strings = 0;
  for (const { datatype, data } of inputs) if (datatype === 'BYTES') strings += data.length;
  if (strings <= FREE_STRINGS) return 0;
  const bytes = strings * STRING_HEAP_BYTES;
  budget.take(bytes);
  return bytes;
}

const OUTCOME_OF: Readonly<Partial<Record<InferenceError['code'], Outcome>>> = {
  QueueFull: 'shed',
  Unavailable: 'shed',
  Cancelled: 'cancelled',
  ModelFailed: 'failed',
};

/** What an outcome says of the revision: a request that is wrong is the client's, one that is shed was not answered. */
const REVISION_OUTCOME: Readonly<Record<Outcome, RevisionOutcome>> = {
  success: 'success',
  invalid: 'success',
  shed: 'error',
  cancelled: 'cancelled',
  failed: 'error',
};

function outcomeOf(error: InferenceError): Outcome {
  return OUTCOME_OF[error.code] ?? 'invalid';
}
