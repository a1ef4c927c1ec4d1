import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { FastHistogram, type HistogramSeries } from './fast-histogram.ts';

/** What a router counted of one revision, from the start of the process. */
export interface RevisionNumbers {
  readonly modelDeployment: string;
  readonly revision: string;
  readonly counter: {
    readonly requests: number;
    readonly errors: number;
    readonly cancelled: number;
    readonly withdrawn: number;
    readonly passedOver: number;
    readonly latency: HistogramSeries;
    readonly mirror: {
      readonly requests: number;
      readonly errors: number;
      readonly dropped: number;
      readonly compared: number;
      readonly agreed: number;
    };
  };
}

/** How one revision of a route stands now. */
export interface RevisionState {
  readonly modelDeployment: string;
  readonly revision: string;
  readonly weight: number;
  readonly pool: {
    readonly size: number;
    readonly inFlight: number;
    readonly waiting: number;
    readonly ejected: number;
    readonly retries: number;
    readonly ejections: number;
  };
}

export interface RouterNumbers {
  /** Of revisions that were sent to, also not long ago. */
  counted(): Iterable<RevisionNumbers>;
  /** Of revisions that a route names. */
  routed(): Iterable<RevisionState>;
  /** Requests that no revision could be asked for, by ModelDeployment. */
  unroutable(): Iterable<readonly [modelDeployment: string, requests: number]>;
  report(): { readonly applied: Readonly<Record<string, number>>; readonly refused: Readonly<Record<string, string>> };
}

const REVISION_LABELS = ['model_deployment', 'revision'] as const;
type RevisionLabel = (typeof REVISION_LABELS)[number];

const labelsOf = ({ modelDeployment, revision }: { readonly modelDeployment: string; readonly revision: string }) => ({
  model_deployment: modelDeployment,
  revision,
});

/** The router's metrics, declared once. Nothing is done for them but at a scrape: they are read from what is counted anyway. */
export class RouterMetrics {
  readonly registry = new Registry();

  /** @param latencyBounds upper bounds in seconds of the latencies that are told, each of which is one of those counted */
  constructor(numbers: RouterNumbers, latencyBounds: readonly number[]) {
    const registers = [this.registry];
    this.#count('router_requests_total', 'Requests to a revision by how they ended', 'outcome', numbers, (counter) => ({
      success: counter.requests - counter.errors,
      error: counter.errors,
      cancelled: counter.cancelled + counter.withdrawn,
    }));
    this.#count(
      'router_mirrored_total',
      'Copies of requests to a revision by what became of them',
      'outcome',
      numbers,
      ({ mirror }) => ({
        success: mirror.requests - mirror.errors,
        error: mirror.errors,
        dropped: mirror.dropped,
      }),
    );
    this.#count('router_compared_total', 'Answers to copies that were compared', 'agreed', numbers, ({ mirror }) => ({
      true: mirror.agreed,
      false: mirror.compared - mirror.agreed,
    }));
    new Counter({
      name: 'router_passed_over_total',
      help: 'Requests that were a revision’s own by match, unit or weight and went elsewhere because it had no endpoint',
      labelNames: REVISION_LABELS,
      registers,
      collect(): void {
        this.reset();
        for (const revision of numbers.counted()) this.inc(labelsOf(revision), revision.counter.passedOver);
      },
    });
    new FastHistogram<RevisionLabel>(
      {
        name: 'router_request_latency_seconds',
        help: 'Time from the whole head of a request to the head of its answer, or until its client gave up, of requests without an error',
        labelNames: [...REVISION_LABELS],
        buckets: [...latencyBounds],
        registers,
      },
      function* () {
        for (const revision of numbers.counted())
          yield { labels: labelsOf(revision), series: revision.counter.latency.merged(latencyBounds) };
      },
    );
    this.#gauge(
      'router_weight_percent',
      'Share of the requests that a revision is to get',
      numbers,
      ({ weight }) => weight,
    );
    this.#gauge('router_endpoints', 'Pods of a revision that are known to be ready', numbers, ({ pool }) => pool.size);
    this.#gauge(
      'router_endpoints_ejected',
      'Pods that are passed over for a while',
      numbers,
      ({ pool }) => pool.ejected,
    );
    this.#gauge('router_in_flight', 'Requests that are with a revision now', numbers, ({ pool }) => pool.inFlight);
    this.#gauge(
      'router_queue_depth',
      'Requests that wait for a pod of a revision',
      numbers,
      ({ pool }) => pool.waiting,
    );
    this.#total(
      'router_retries_total',
      'Requests that were asked again of another pod of a revision, because they had reached no model',
      numbers,
      ({ pool }) => pool.retries,
    );
    this.#total(
      'router_ejections_total',
      'Times that a pod of a revision was passed over for a while, because it failed or could not be reached',
      numbers,
      ({ pool }) => pool.ejections,
    );
    new Counter({
      name: 'router_unroutable_total',
      help: 'Requests that no revision could be asked for, because none that may answer had a pod',
      labelNames: ['model_deployment'],
      registers,
      collect(): void {
        this.reset();
        for (const [name, requests] of numbers.unroutable()) this.inc({ model_deployment: name }, requests);
      },
    });
    new Gauge({
      name: 'router_applied_generation',
      help: 'Generation of the route that is in force',
      labelNames: ['model_deployment'],
      registers,
      collect(): void {
        this.reset();
        for (const [name, generation] of Object.entries(numbers.report().applied)) {
          this.set({ model_deployment: name }, generation);
        }
      },
    });
    new Gauge({
      name: 'router_routes_refused',
      help: 'Routes that are written and not applied; the log and the Lease say why',
      registers,
      collect(): void {
        this.set(Object.keys(numbers.report().refused).length);
      },
    });
  }

  /** Process metrics (CPU, memory, event loop) beside the routes'. */
  withProcessMetrics(): this {
    // The default precision of 10 ms would wake an idle process a hundred times a second.
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: 100 });
    return this;
  }

  #count<L extends string>(
    name: string,
    help: string,
    label: L,
    numbers: RouterNumbers,
    valuesOf: (counter: RevisionNumbers['counter']) => Readonly<Record<string, number>>,
  ): void {
    new Counter<RevisionLabel | L>({
      name,
      help,
      labelNames: [...REVISION_LABELS, label],
      registers: [this.registry],
      collect(): void {
        this.reset();
        for (const revision of numbers.counted()) {
          for (const [value, count] of Object.entries(valuesOf(revision.counter))) {
            const labels = { ...labelsOf(revision), [label]: value } as Record<RevisionLabel | L, string>;
            this.inc(labels, count);
          }
        }
      },
    });
  }

  #total(name: string, help: string, numbers: RouterNumbers, numberOf: (state: RevisionState) => number): void {
    new Counter({
      name,
      help,
      labelNames: REVISION_LABELS,
      registers: [this.registry],
      collect(): void {
        this.reset();
        for (const state of numbers.routed()) this.inc(labelsOf(state), numberOf(state));
      },
    });
  }

  #gauge(name: string, help: string, numbers: RouterNumbers, numberOf: (state: RevisionState) => number): void {
    new Gauge({
      name,
      help,
      labelNames: REVISION_LABELS,
      registers: [this.registry],
      collect(): void {
        this.reset();
        for (const state of numbers.routed()) this.set(labelsOf(state), numberOf(state));
      },
    });
  }
}
