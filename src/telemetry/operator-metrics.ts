import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** What one controller and its work queue tell; the names are controller-runtime's and client-go's. */
export interface ControllerMetrics {
  reconciled(result: 'success' | 'requeue' | 'requeue_after' | 'error', seconds: number): void;
  failed(terminal: boolean): void;
  panicked(): void;
  activeWorkers(count: number): void;
  maxConcurrentReconciles(count: number): void;
  readonly queue: {
    depth(waiting: number): void;
    added(): void;
    retried(): void;
    queued(seconds: number): void;
    worked(seconds: number): void;
  };
}

/** client-go's buckets: ten powers of ten from 10 ns to 10 s would be too coarse above a millisecond. */
const QUEUE_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const RECONCILE_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** The metrics of the operator process, in a registry of their own. */
export class OperatorMetrics {
  readonly registry = new Registry();
  readonly #reconciles = this.#counter('controller_runtime_reconcile_total', 'Reconciles by result', [
    'controller',
    'result',
  ]);
  readonly #errors = this.#counter('controller_runtime_reconcile_errors_total', 'Reconciles that failed', [
    'controller',
  ]);
  readonly #terminalErrors = this.#counter(
    'controller_runtime_terminal_reconcile_errors_total',
    'Reconciles that failed in a way that only a change can help',
    ['controller'],
  );
  readonly #panics = this.#counter(
    'controller_runtime_reconcile_panics_total',
    'Failures outside of what a reconcile may throw',
    ['controller'],
  );
  readonly #reconcileSeconds = this.#histogram(
    'controller_runtime_reconcile_time_seconds',
    'How long a reconcile takes',
    'controller',
    RECONCILE_SECONDS,
  );
  readonly #active = this.#gauge('controller_runtime_active_workers', 'Workers in use', ['controller']);
  readonly #workers = this.#gauge('controller_runtime_max_concurrent_reconciles', 'Workers', ['controller']);
  readonly #depth = this.#gauge('workqueue_depth', 'Items that wait', ['name']);
  readonly #adds = this.#counter('workqueue_adds_total', 'Items added', ['name']);
  readonly #retries = this.#counter('workqueue_retries_total', 'Items added again after a failure', ['name']);
  readonly #queueSeconds = this.#histogram(
    'workqueue_queue_duration_seconds',
    'How long an item waits before it is processed',
    'name',
    QUEUE_SECONDS,
  );
  readonly #workSeconds = this.#histogram(
    'workqueue_work_duration_seconds',
    'How long processing an item takes',
    'name',
    QUEUE_SECONDS,
  );
  readonly #requests = this.#counter('rest_client_requests_total', 'Requests to the API server by status', [
    'code',
    'method',
    'host',
  ]);
  readonly #leader = this.#gauge('leader_election_master_status', 'Whether this process leads (1) or not (0)', [
    'name',
  ]);
  readonly #eventsDropped = this.#counter('fairlead_events_dropped_total', 'Events not told, by why', ['reason']);

  constructor() {
    // The event loop is sampled seldom: an operator at rest should not wake a hundred times a second.
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: 500 });
  }

  forController(name: string): ControllerMetrics {
    return {
      reconciled: (result, seconds) => {
        this.#reconciles.inc({ controller: name, result });
        this.#reconcileSeconds.observe({ controller: name }, seconds);
      },
      failed: (terminal) => {
        this.#errors.inc({ controller: name });
        if (terminal) this.#terminalErrors.inc({ controller: name });
      },
      panicked: () => this.#panics.inc({ controller: name }),
      activeWorkers: (count) => this.#active.set({ controller: name }, count),
      maxConcurrentReconciles: (count) => this.#workers.set({ controller: name }, count),
      queue: {
        depth: (waiting) => this.#depth.set({ name }, waiting),
        added: () => this.#adds.inc({ name }),
        retried: () => this.#retries.inc({ name }),
        queued: (seconds) => this.#queueSeconds.observe({ name }, seconds),
        worked: (seconds) => this.#workSeconds.observe({ name }, seconds),
      },
    };
  }

  /** A request ended; `status` 0 means that no answer came, which client-go names `<error>`. */
  requested(method: string, status: number, host: string): void {
    this.#requests.inc({ code: status === 0 ? '<error>' : String(status), method, host });
  }

  leading(name: string, leads: boolean): void {
    this.#leader.set({ name }, leads ? 1 : 0);
  }

  eventDropped(reason: 'rate-limited' | 'buffer-full' | 'refused'): void {
    this.#eventsDropped.inc({ reason });
  }

  #counter<L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #gauge<L extends string>(name: string, help: string, labelNames: readonly L[]): Gauge<L> {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  #histogram<L extends string>(name: string, help: string, labelName: L, buckets: number[]): Histogram<L> {
    return new Histogram({ name, help, labelNames: [labelName], buckets, registers: [this.registry] });
  }
}
