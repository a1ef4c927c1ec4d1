import { setMaxListeners } from 'node:events';
import type { Logger } from 'winston';
import type { OperatorMetrics } from '../telemetry/operator-metrics.ts';
import type { ApiClient, WriteFence } from './api-client.ts';
import { Applier } from './apply.ts';
import { type Clock, sleep } from './clock.ts';
import { Controller } from './controller.ts';
import { EventRecorder } from './events.ts';
import { Informers } from './informers.ts';
import { type LeaderElectionOptions, LeaderElector } from './leader-election.ts';
import { StoppedError } from './outcome.ts';
import { ProbeServer } from './probe-server.ts';
import type { ControllerDefinition } from './reconcile-context.ts';

export interface ManagerOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  /** From 0 up to 1, as Math.random. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: OperatorMetrics;
  readonly controllers: readonly ControllerDefinition[];
  /** Empty: all namespaces. */
  readonly namespaces: readonly string[];
  /** Names this process among its replicas and in Events; different after every start. */
  readonly identity: string;
  /** `reportingController` of Events: `fairlead.dev/operator`. */
  readonly reportingController: string;
  /** The annotation by which applied objects carry the hash of their manifest. */
  readonly hashAnnotation: string;
  /** Absent: this process leads alone. */
  readonly leaderElection?: Pick<LeaderElectionOptions, 'client' | 'namespace' | 'name' | 'timing'>;
  /** How often every object is looked at again although nothing changed. */
  readonly resyncPeriodMs: number;
  /** How long running reconciles may still take after a stop. */
  readonly shutdownGraceMs: number;
  /** Absent: no probes. 0 takes a free port. */
  readonly healthPort?: number;
  readonly metricsPort?: number;
}

/** Leadership went to another process, or could not be kept. This process holds stale plans and has to end. */
export class LeadershipLostError extends Error {
  override readonly name = 'LeadershipLostError';
}

/** Everything of an operator process: caches, controllers, leadership, probes; started and stopped as one. */
export class Manager {
  readonly #options: ManagerOptions;
  readonly #elector: LeaderElector | undefined;
  /** Ends informers. */
  readonly #end = new AbortController();
  /** Ends reconciles, and with them all writing. */
  readonly #giveUp = new AbortController();
  readonly #informers: Informers;
  readonly #controllers: readonly Controller[];
  readonly #events: EventRecorder;
  #servers: { readonly health?: ProbeServer; readonly metrics?: ProbeServer } = {};

  constructor(options: ManagerOptions) {
    this.#options = options;
    const { client, clock, random, logger, metrics, controllers, namespaces, leaderElection, identity } = options;
    for (const signal of [this.#end.signal, this.#giveUp.signal]) setMaxListeners(0, signal);
    this.#elector =
      leaderElection &&
      new LeaderElector({
        ...leaderElection,
        clock,
        random,
        logger,
        identity,
        onLeading: (leads) => metrics.leading(leaderElection.name, leads),
      });
    if (leaderElection !== undefined) metrics.leading(leaderElection.name, false);
    const fence = new Fence(this.#giveUp, this.#elector);
    const fenced = client.fencedBy(fence);
    this.#informers = new Informers(
      controllers.flatMap((definition) => [definition.primary, ...definition.owns, ...definition.watches]),
      { client, clock, random, logger, namespaces: namespaces.length === 0 ? [undefined] : namespaces },
    );
    this.#events = new EventRecorder({
      client: fenced,
      clock,
      random,
      logger,
      controller: options.reportingController,
      instance: identity,
      onDropped: (reason) => metrics.eventDropped(reason),
    });
    const applier = new Applier(fenced, options.hashAnnotation);
    for (const informer of this.#informers.all()) {
      informer.onChange(({ old, new: now }) => {
        if (old?.metadata.uid !== undefined && old.metadata.uid !== now?.metadata.uid) applier.forget(old.metadata.uid);
      });
    }
    this.#controllers = controllers.map(
      (definition) =>
        new Controller(definition, {
          client: fenced,
          informers: this.#informers,
          applier,
          events: this.#events,
          clock,
          logger,
          metrics: metrics.forController(definition.name),
          signal: fence.signal,
        }),
    );
  }

  /** Where probes and metrics are served, once `run` has begun to. */
  get ports(): { readonly health: number | undefined; readonly metrics: number | undefined } {
    return { health: this.#servers.health?.port, metrics: this.#servers.metrics?.port };
  }

  get hasSynced(): boolean {
    return this.#informers.hasSynced;
  }

  get leads(): boolean {
    return this.#elector === undefined || this.#elector.isLeader;
  }

  /** Nothing waits and nothing is being reconciled; what is only due later does not count. */
  get isIdle(): boolean {
    return this.#controllers.every((controller) => controller.isIdle);
  }

  /** Looks at every object again, behind what really changes. */
  resync(): void {
    for (const informer of this.#informers.all()) informer.resync();
  }

  /**
   * Runs until `stop` aborts; then finishes what runs, releases the lease and resolves.
   * @throws LeadershipLostError when leadership is lost, Error when a port is taken.
   */
  async run(stop: AbortSignal): Promise<void> {
    try {
      await this.#listen();
      for (const informer of this.#informers.all()) informer.start(this.#end.signal);
      // A replica that waits keeps its caches warm, so that it can take over at once.
      await Promise.race([Promise.all(this.#informers.all().map((informer) => informer.synced)), onAbort(stop)]);
      if (stop.aborted) return;
      this.#options.logger.info('caches are in sync', { objects: this.#sizes() });
      await this.#elector?.acquire(stop);
      if (stop.aborted) return;
      for (const controller of this.#controllers) controller.start();
      const cancelResync = this.#scheduleResync();
      const ended = this.#elector === undefined ? await onAbort(stop) : await this.#elector.hold(stop);
      cancelResync();
      if (ended === 'lost')
        throw new LeadershipLostError('leadership is lost; this process ends so that it starts afresh');
    } finally {
      await this.#shutDown();
    }
  }

  async #shutDown(): Promise<void> {
    const { clock, shutdownGraceMs, logger } = this.#options;
    const working = Promise.all(this.#controllers.map((controller) => controller.stop()));
    // Renewal has ended with the stop, so the lease bounds how long may still be written; the fence sees to it.
    const late = new AbortController();
    const grace = this.#elector === undefined || this.#elector.isLeader ? shutdownGraceMs : 0;
    await Promise.race([working.then(() => this.#events.flushed()), sleep(clock, grace, late.signal)]);
    late.abort();
    await this.#elector?.release();
    this.#giveUp.abort(new StoppedError('this process is stopping'));
    this.#end.abort();
    await Promise.all([...this.#informers.all().map((informer) => informer.stopped())]);
    await Promise.all([this.#servers.health?.close(), this.#servers.metrics?.close()]);
    logger.info('stopped');
  }

  async #listen(): Promise<void> {
    const { healthPort, metricsPort, metrics } = this.#options;
    const health =
      healthPort === undefined
        ? undefined
        : await ProbeServer.listen(healthPort, {
            '/healthz': () => ({ status: 200, body: 'ok\n' }),
            '/readyz': () => this.#readiness(),
          });
    this.#servers = { health };
    if (metricsPort === undefined) return;
    const server = await ProbeServer.listen(metricsPort, {
      '/metrics': async () => ({
        status: 200,
        contentType: metrics.registry.contentType,
        body: await metrics.registry.metrics(),
      }),
    });
    this.#servers = { health, metrics: server };
  }

  #readiness(): { status: number; body: string } {
    const unlisted = this.#informers.unlisted().join(', ');
    if (!this.hasSynced) return { status: 503, body: `not listed yet: ${unlisted}\n` };
    return { status: 200, body: unlisted === '' ? 'ok\n' : `ok, but not followed: ${unlisted}\n` };
  }

  #scheduleResync(): () => void {
    const { clock, random, resyncPeriodMs } = this.#options;
    // Up to a tenth later, so that replicas of many clusters or restarts do not fall in step.
    let cancel = clock.after(resyncPeriodMs * (1 + random() / 10), () => {
      this.resync();
      cancel = this.#scheduleResync();
    });
    return () => cancel();
  }

  #sizes(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#informers.all().map((informer) => [informer.watch.resource.plural, informer.size]));
  }
}

/** Lets writes pass while this process leads and was not told to give up. */
class Fence implements WriteFence {
  readonly signal: AbortSignal;
  readonly #elector: LeaderElector | undefined;

  constructor(giveUp: AbortController, elector: LeaderElector | undefined) {
    this.signal = giveUp.signal;
    this.#elector = elector;
    // One controller and not AbortSignal.any: requests come and go on it by the million.
    elector?.signal.addEventListener('abort', () => giveUp.abort(elector.signal.reason), { once: true });
  }

  assertMayWrite(): void {
    if (this.signal.aborted) throw new StoppedError('this process is stopping and may not write');
    this.#elector?.assertMayWrite();
  }
}

function onAbort(signal: AbortSignal): Promise<'stopped'> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve('stopped');
    else signal.addEventListener('abort', () => resolve('stopped'), { once: true });
  });
}
