import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { FastHistogram } from './fast-histogram.ts';

/** How a request to predict ended. */
export const OUTCOMES = ['success', 'invalid', 'shed', 'cancelled', 'failed'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** From 100 µs to 10 s in steps of at most 2.5 times, so that p50, p95 and p99 can be read at any usual speed. */
const LATENCY_BUCKETS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0015, 0.0025, 0.004, 0.006, 0.01, 0.015, 0.025, 0.04, 0.06, 0.1, 0.15, 0.25, 0.5, 1,
  2.5, 5, 10,
];
const BATCH_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/** One model's numbers, cheap enough for every request: plain additions that a scrape reads. */
export interface ModelMetrics {
  predicted(outcome: Outcome, seconds: number): void;
  /** An engine run starts: the rows of each request in it, and how long each had waited. */
  batchStarted(rowCounts: readonly number[], waitedMs: readonly number[]): void;
  cacheLooked(hit: boolean): void;
}

/** The inference server's metrics, declared once. */
export class ServingMetrics {
  readonly registry = new Registry();
  readonly #models: ModelCounts[] = [];
  readonly #latency = new FastHistogram({
    name: 'model_prediction_latency_seconds',
    help: 'Time from a whole request to its answer, of requests that were answered with a prediction',
    labelNames: ['model', 'version'],
    buckets: LATENCY_BUCKETS,
    registers: [this.registry],
  });
  readonly #queueWait = new FastHistogram({
    name: 'model_queue_wait_seconds',
    help: 'Time a request waited before the engine ran it',
    labelNames: ['model', 'version'],
    buckets: LATENCY_BUCKETS,
    registers: [this.registry],
  });
  readonly #batchRows = new FastHistogram({
    name: 'model_batch_rows',
    help: 'Rows of one engine run',
    labelNames: ['model', 'version'],
    buckets: BATCH_BUCKETS,
    registers: [this.registry],
  });
  readonly #batchRequests = new FastHistogram({
    name: 'model_batch_requests',
    help: 'Requests that shared one engine run',
    labelNames: ['model', 'version'],
    buckets: BATCH_BUCKETS,
    registers: [this.registry],
  });
  readonly #loadSeconds = new Gauge({
    name: 'model_load_seconds',
    help: 'Time it took to fetch, load and warm up the model',
    labelNames: ['model', 'version'],
    registers: [this.registry],
  });
  /** Requests that named no model this server has; the names are the clients', so they are no label. */
  readonly unroutable = new Counter({
    name: 'model_requests_unroutable_total',
    help: 'Requests that named an unknown model or version',
    registers: [this.registry],
  });
  readonly refused = new Counter({
    name: 'model_requests_refused_total',
    help: 'REST requests refused before a model was asked: wrong path, method or encoding, too large',
    labelNames: ['code'],
    registers: [this.registry],
  });
  readonly droppedLogRecords = new Counter({
    name: 'model_prediction_log_dropped_total',
    help: 'Sampled predictions that were not logged because stdout did not keep up',
    registers: [this.registry],
  });

  constructor() {
    const models = this.#models;
    const registers = [this.registry];
    new Counter({
      name: 'model_predictions_total',
      help: 'Requests to predict by how they ended',
      labelNames: ['model', 'version', 'outcome'],
      registers,
      collect(): void {
        this.reset();
        for (const { labels, outcomes } of models) {
          for (const outcome of OUTCOMES) this.inc({ ...labels, outcome }, outcomes[outcome]);
        }
      },
    });
    new Counter({
      name: 'model_cache_lookups_total',
      help: 'Lookups in the response cache by result',
      labelNames: ['model', 'version', 'result'],
      registers,
      collect(): void {
        this.reset();
        for (const { labels, cache } of models) {
          this.inc({ ...labels, result: 'hit' }, cache.hits);
          this.inc({ ...labels, result: 'miss' }, cache.misses);
        }
      },
    });
    new Gauge({
      name: 'model_queue_depth',
      help: 'Requests that wait for the engine now',
      labelNames: ['model', 'version'],
      registers,
      collect(): void {
        for (const { labels, queueDepth } of models) this.set(labels, queueDepth());
      },
    });
  }

  /** Process metrics (CPU, memory, event loop) beside the models'. */
  withProcessMetrics(): this {
    // The default precision of 10 ms would wake an idle process a hundred times a second.
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: 100 });
    return this;
  }

  /** Starts to count for one model; once a model. */
  forModel(model: string, version: string, queueDepth: () => number, loadSeconds: number): ModelMetrics {
    const labels = { model, version };
    this.#loadSeconds.set(labels, loadSeconds);
    const counts: ModelCounts = {
      labels,
      queueDepth,
      outcomes: { success: 0, invalid: 0, shed: 0, cancelled: 0, failed: 0 },
      cache: { hits: 0, misses: 0 },
    };
    this.#models.push(counts);
    const latency = this.#latency.bind(labels);
    const wait = this.#queueWait.bind(labels);
    const rowsPerRun = this.#batchRows.bind(labels);
    const requestsPerRun = this.#batchRequests.bind(labels);
    return {
      predicted(outcome, seconds) {
        counts.outcomes[outcome]++;
        if (outcome === 'success') latency.observe(seconds);
      },
      batchStarted(rowCounts, waitedMs) {
        let rows = 0;
        for (const count of rowCounts) rows += count;
        rowsPerRun.observe(rows);
        requestsPerRun.observe(rowCounts.length);
        for (const ms of waitedMs) wait.observe(ms / 1000);
      },
      cacheLooked(hit) {
        if (hit) counts.cache.hits++;
        else counts.cache.misses++;
      },
    };
  }
}

interface ModelCounts {
  readonly labels: { readonly model: string; readonly version: string };
  readonly queueDepth: () => number;
  readonly outcomes: Record<Outcome, number>;
  readonly cache: { hits: number; misses: number };
}
