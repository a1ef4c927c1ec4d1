import { COARSE_LATENCY_BOUNDS_SECONDS, type CountsSnapshot } from '../api/counts.ts';
import type { ApiClient } from '../runtime/api-client.ts';
import { type Clock, sleep } from '../runtime/clock.ts';
import { describeError } from '../runtime/outcome.ts';
import { ProbeServer } from '../runtime/probe-server.ts';
import { aborted } from '../serving/aborted.ts';
import { systemClock as routerClock } from '../serving/batching/batcher.ts';
import { RevisionCounters } from '../serving/counts/revision-counters.ts';
import { PART_BEFORE_CLOSING } from '../serving/readiness.ts';
import { GrpcRelay } from '../serving/router/grpc/grpc-relay.ts';
import { GrpcUpstreams } from '../serving/router/grpc/grpc-upstreams.ts';
import { HttpPort } from '../serving/router/http-port.ts';
import { HttpUpstreams } from '../serving/router/http1/upstreams.ts';
import type { KeptState } from '../serving/router/kept-state.ts';
import { RouteTable } from '../serving/router/route-table.ts';
import type { Logger } from '../telemetry/logger.ts';
import { RouterMetrics } from '../telemetry/router-metrics.ts';
import { ClusterFeed } from './cluster-feed.ts';
import { LeaseReport } from './lease-report.ts';
import { StateKeeper } from './state-keeper.ts';

export interface RouterProcessOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly namespace: string;
  readonly podName: string;
  readonly podUid: string | undefined;
  /** Unlike that of any other process, this one's predecessor in the same pod included. */
  readonly instance: string;
  /** Where ports of routes listen. */
  readonly host: string;
  readonly metricsPort: number;
  /** Undefined: nothing is kept, and a start needs the API server. */
  readonly kept: KeptState | undefined;
  readonly drainDelayMs: number;
  /** How long leaving the last counts may take; 2 s where nothing else is said. */
  readonly reportLimitMs?: number;
}

/** How long a start waits for the API server before what was kept will do. */
const API_PATIENCE_MS = 2_000;
const REPORT_LIMIT_MS = 2_000;

/** The routers' one process: the table of routes, what feeds it, what it keeps, what it tells, and how it stops. */
export class RouterProcess {
  readonly #options: RouterProcessOptions;
  readonly #counters = new RevisionCounters();
  readonly #table: RouteTable;
  readonly #feed: ClusterFeed;
  readonly #report: LeaseReport;
  readonly #keeper: StateKeeper;
  readonly #grpc: GrpcUpstreams;
  readonly #following = new AbortController();
  #probes: ProbeServer | undefined;
  #isReady = false;
  #isStopping = false;

  constructor(options: RouterProcessOptions) {
    const { client, clock, random, logger, namespace, podName, podUid, host, kept } = options;
    this.#options = options;
    const http = new HttpUpstreams({ clock: routerClock });
    this.#grpc = new GrpcUpstreams(routerClock, http.budget);
    this.#table = new RouteTable({
      host,
      clock: routerClock,
      random,
      logger,
      counters: this.#counters,
      open: {
        http: (router) => new HttpPort({ router, upstreams: http, clock: routerClock, random }),
        grpc: (router) => new GrpcRelay({ router, upstreams: this.#grpc, clock: routerClock, random }),
      },
      onPool: (pool) => {
        pool.watch(http);
        pool.watch(this.#grpc);
      },
      onChange: () => this.#keeper.routesChanged(),
    });
    this.#feed = new ClusterFeed({
      client,
      clock,
      random,
      logger,
      namespace,
      table: this.#table,
      onAddresses: () => this.#keeper.endpointsChanged(),
    });
    this.#report = new LeaseReport({ client, clock, random, logger, namespace, podName, podUid });
    this.#keeper = new StateKeeper({ kept, table: this.#table, report: this.#report, clock, logger });
  }

  /** Serves what was kept, then what the API server says. Resolves to the metrics port once it is ready, or stops. */
  async start(): Promise<number> {
    const { clock, logger, metricsPort } = this.#options;
    this.#probes = await ProbeServer.listen(metricsPort, this.#paths());
    const restored = await this.#restore();
    void this.#feed.start(this.#following.signal);
    const synced = this.#feed.synced().then(() => 'the API server' as const);
    const patience = new AbortController();
    const source = await Promise.race([
      synced,
      ...(restored ? [sleep(clock, API_PATIENCE_MS, patience.signal).then(() => 'what was kept' as const)] : []),
    ]);
    patience.abort();
    this.#isReady = true;
    logger.info('ready', {
      metrics: this.#probes.port,
      routes: Object.keys(this.#table.report.applied).length,
      source,
    });
    void synced.then(() => logger.info('in step with the API server'));
    return this.#probes.port;
  }

  /**
   * Stops without losing a request, as the server does (docs/decisions/0024): fails its readiness and serves on while
   * endpoints follow, then takes no more, answers what it has, and leaves its last counts. An abort of `hurry` cuts it short.
   * Resolves to whether every request was answered.
   */
  async stop(hurry: AbortSignal): Promise<boolean> {
    const { clock, logger, drainDelayMs, reportLimitMs = REPORT_LIMIT_MS } = this.#options;
    logger.info('stopping: not ready any more, still serving', { drainDelayMs });
    this.#isStopping = true;
    await sleep(clock, drainDelayMs * PART_BEFORE_CLOSING, hurry);
    this.#table.askToClose();
    await sleep(clock, drainDelayMs * (1 - PART_BEFORE_CLOSING), hurry);
    await Promise.race([this.#table.close(), aborted(hurry)]);
    const isComplete = !hurry.aborted;
    this.#table.kill();
    this.#grpc.destroy();
    this.#keeper.stop();
    await this.#report.end(this.#counts(), AbortSignal.any([hurry, AbortSignal.timeout(reportLimitMs)]));
    this.#following.abort();
    await this.#probes?.close();
    return isComplete;
  }

  #paths() {
    const metrics = new RouterMetrics(
      {
        counted: () => this.#counters.entries(),
        routed: () => this.#table.revisions(),
        unroutable: () => this.#table.unroutable(),
        report: () => this.#table.report,
      },
      COARSE_LATENCY_BOUNDS_SECONDS,
    ).withProcessMetrics();
    return {
      '/healthz': () => ({ status: 200, body: 'ok\n' }),
      '/readyz': () => {
        if (this.#isStopping) return { status: 503, body: 'stopping\n' };
        return this.#isReady ? { status: 200, body: 'ok\n' } : { status: 503, body: 'routes are not known yet\n' };
      },
      '/metrics': async () => ({
        status: 200,
        contentType: metrics.registry.contentType,
        body: await metrics.registry.metrics(),
      }),
      '/counts': () => ({ status: 200, contentType: 'application/json', body: JSON.stringify(this.#counts()) }),
    };
  }

  #counts(): CountsSnapshot {
    const { instance } = this.#options;
    const { load } = this.#table;
    const inFlight = Object.values(load)
      .flatMap(Object.values<number>)
      .reduce((sum, count) => sum + count, 0);
    return { instance, inFlight, load, revisions: this.#counters.snapshot() };
  }

  /** Puts in force what was kept. Answers whether there was anything. */
  async #restore(): Promise<boolean> {
    const { kept, logger } = this.#options;
    try {
      const state = await kept?.read();
      if (state === undefined) return false;
      for (const [revision, addresses] of Object.entries(state.addresses))
        this.#table.setAddresses(revision, addresses);
      await Promise.all(Object.entries(state.routes).map(([name, text]) => this.#table.apply(name, text)));
      return true;
    } catch (error) {
      logger.warn(`what was kept cannot be used: ${describeError(error)}`);
      return false;
    }
  }
}
