import { once } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ServedModel } from '../api/serving-config.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ServingMetrics } from '../telemetry/serving-metrics.ts';
import { aborted } from './aborted.ts';
import { systemClock } from './batching/batcher.ts';
import { ServerCounts } from './counts/server-counts.ts';
import { InferenceGrpcServer } from './grpc/inference-grpc-server.ts';
import { InferenceHttpServer } from './http/inference-http-server.ts';
import { createMetricsServer } from './http/metrics-http-server.ts';
import { preparePredictor } from './load-predictor.ts';
import { MemoryBudget } from './memory-budget.ts';
import { ModelSet } from './model-set.ts';
import type { PredictionLog } from './prediction-log.ts';
import { MAX_CACHE_BYTES, MAX_WAITING_STRING_BYTES } from './protocol/heap-limits.ts';
import { PART_BEFORE_CLOSING, Readiness } from './readiness.ts';
import type { ServerOptions } from './server-options.ts';
import type { SessionLike } from './session.ts';

/** Connections that clients keep open get so long to be used once more and be told to close, before they are closed. */
const MAX_LINGER_MS = 1_000;
/** How long a stopping server that has answered everything waits for requests to be finished and answers to be read. */
const MAX_UNFINISHED_MS = 5_000;
/** Memory for large requests and answers of all connections together, by REST and by gRPC each; at least two of the largest fit. */
const MAX_BODY_BYTES = 256 * 2 ** 20;

export interface ServerDependencies {
  readonly logger: Logger;
  readonly metrics: ServingMetrics;
  readonly log: PredictionLog | undefined;
  readonly serverVersion: string;
  /** Unlike that of any other process, this one's predecessor in the same pod included. */
  readonly instance: string;
  /** Fetches and opens a model. @throws LoadFailure. */
  readonly openSession: (model: ServedModel) => Promise<SessionLike>;
  /** Waits; resolves early when the signal aborts. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** The ports a server listens on. */
export interface ServerPorts {
  readonly http: number;
  readonly grpc: number;
  readonly metrics: number;
}

/** The inference server: its front ends, its models, and the order in which they start and stop. */
export class InferenceServer {
  readonly #options: ServerOptions;
  readonly #dependencies: ServerDependencies;
  readonly #readiness = new Readiness();
  readonly #models: ModelSet;
  readonly #http: InferenceHttpServer;
  readonly #grpc: InferenceGrpcServer;
  readonly #metricsServer: HttpServer;
  readonly #counts: ServerCounts;

  constructor(options: ServerOptions, dependencies: ServerDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#models = new ModelSet(options.config.models, () => dependencies.metrics.unroutable.inc());
    const frontEnd = {
      models: this.#models,
      readiness: this.#readiness,
      maxRequestBytes: options.maxRequestBytes,
      serverVersion: dependencies.serverVersion,
    };
    this.#http = new InferenceHttpServer({
      ...frontEnd,
      maxBodyBytes: Math.max(MAX_BODY_BYTES, 2 * options.maxRequestBytes),
      clock: systemClock,
      random: Math.random,
      onRefused: (code) => dependencies.metrics.refused.inc({ code }),
    });
    // gRPC holds each message twice.
    const maxMessageBytes = Math.max(MAX_BODY_BYTES, 4 * options.maxRequestBytes);
    this.#grpc = new InferenceGrpcServer({ ...frontEnd, maxMessageBytes });
    this.#counts = new ServerCounts(dependencies.instance, options.config.revision);
    this.#metricsServer = createMetricsServer(dependencies.metrics.registry, () =>
      this.#counts.snapshot(this.#models.predictors.reduce((sum, { inFlight }) => sum + inFlight, 0)),
    );
  }

  /** Listens on every port: alive from now on, ready only after `load`. */
  async listen(): Promise<ServerPorts> {
    const { host, httpPort, grpcPort, metricsPort } = this.#options;
    return {
      http: await listen(this.#http.server, host, httpPort),
      grpc: await this.#grpc.listen(host, grpcPort),
      metrics: await listen(this.#metricsServer, host, metricsPort),
    };
  }

  /** Loads every model, one after the other, and becomes ready. @throws LoadFailure of the first that fails. */
  async load(): Promise<void> {
    const { logger, metrics, log, openSession } = this.#dependencies;
    const { models } = this.#options.config;
    const caches = models.filter(({ cache }) => cache !== undefined).length;
    const maxCacheBytes = MAX_CACHE_BYTES / Math.max(1, caches);
    const strings = new MemoryBudget('strings', MAX_WAITING_STRING_BYTES);
    for (const model of models) {
      const startedAtMs = systemClock.nowMs();
      const session = await openSession(model);
      const surroundings = {
        defaults: this.#options,
        metrics,
        counts: this.#counts,
        log,
        maxCacheBytes,
        strings,
        clock: systemClock,
        logger,
      };
      this.#models.add(await preparePredictor(model, session, startedAtMs, surroundings));
    }
    if (this.#readiness.phase === 'loading') this.#readiness.phase = 'ready';
  }

  /**
   * Stops without losing a request: fails the readiness probe and goes on until endpoints have followed, asks
   * connections to close, answers what it has, and closes everything. An abort of `hurry` cuts it short: then an engine
   * may still compute. Resolves to whether it came to its end, with every request answered and logged.
   */
  async stop(hurry: AbortSignal): Promise<boolean> {
    const { logger, delay } = this.#dependencies;
    const { drainDelayMs } = this.#options;
    logger.info('stopping: not ready any more, still serving', { drainDelayMs });
    this.#readiness.phase = 'draining';
    await delay(drainDelayMs * PART_BEFORE_CLOSING, hurry);
    this.#readiness.phase = 'closing';
    await delay(drainDelayMs * (1 - PART_BEFORE_CLOSING), hurry);
    const grpcStopped = this.#grpc.stop();
    await this.#lingerHttp(hurry);
    const httpStopped = closed(this.#http.server);
    const ended = new AbortController();
    await Promise.race([
      Promise.all([grpcStopped, httpStopped]),
      this.#onlyUnfinished(AbortSignal.any([hurry, ended.signal])),
    ]);
    ended.abort();
    this.kill();
    if (hurry.aborted) return false;
    await Promise.race([this.#release(), aborted(hurry)]);
    return !hurry.aborted;
  }

  /** The log first: an engine may still compute for a client that has gone, and is freed only after that. */
  async #release(): Promise<void> {
    await this.#dependencies.log?.flush();
    await Promise.all(this.#models.predictors.map((predictor) => predictor.close()));
  }

  /**
   * Resolves once no whole request has been waiting for its answer for a while: what still is open then are requests
   * that their clients do not finish, and answers that they do not read. Resolves early when the signal aborts.
   */
  async #onlyUnfinished(signal: AbortSignal): Promise<void> {
    for (let quietMs = 0; quietMs < MAX_UNFINISHED_MS && !signal.aborted; quietMs += 100) {
      await this.#dependencies.delay(100, signal);
      if (this.#models.predictors.some(({ inFlight }) => inFlight > 0)) quietMs = 0;
    }
  }

  /** Closes every connection now, whatever it waits for. */
  kill(): void {
    this.#grpc.kill();
    this.#http.server.close();
    this.#http.server.closeAllConnections();
    this.#metricsServer.close();
    this.#metricsServer.closeAllConnections();
  }

  /** Keep-alive connections that are in use learn from their next answer that they end; idle ones are not waited for long. */
  async #lingerHttp(hurry: AbortSignal): Promise<void> {
    const { server } = this.#http;
    for (let waitedMs = 0; waitedMs < MAX_LINGER_MS && !hurry.aborted; waitedMs += 100) {
      if ((await connections(server)) === 0) return;
      await this.#dependencies.delay(100, hurry);
    }
  }
}

async function listen(server: HttpServer, host: string, port: number): Promise<number> {
  server.listen(port, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function connections(server: HttpServer): Promise<number> {
  return new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
  );
}

/** Stops listening, closes idle connections, and resolves when the last one that is in use has ended. */
function closed(server: HttpServer): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
