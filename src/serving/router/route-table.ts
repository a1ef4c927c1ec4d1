import type { Backend, Route } from '../../api/route.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { RevisionCounter } from '../counts/revision-counter.ts';
import type { RevisionCounters } from '../counts/revision-counters.ts';
import { EndpointPool } from './balancing/endpoint-pool.ts';
import { parseRoute, RouteRefused } from './checked-route.ts';
import { type Protocol, RoutePlan } from './route-plan.ts';
import type { Choice, RequestFields, RequestRouter, RouterClock, Target, Unroutable, WaitingRoom } from './types.ts';

/** The front of one port. */
export interface PortListener {
  /** Resolves to the port. @throws Error when it is taken. */
  listen(host: string, port: number): Promise<number>;
  /** Where an answer can say so: each asks its client to connect anew from now on. New connections are still taken. */
  askToClose?(): void;
  /** Takes no new connections, asks clients to go elsewhere, and resolves once every request is answered. */
  close(): Promise<void>;
  /** Ends every connection now. */
  kill(): void;
}

export interface RouteTableOptions {
  readonly host: string;
  readonly clock: RouterClock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly counters: RevisionCounters;
  readonly open: Readonly<Record<Protocol, (router: RequestRouter) => PortListener>>;
  /** A revision may be sent to from now on. */
  readonly onPool: (pool: EndpointPool) => void;
  /** What is applied or refused has changed. */
  readonly onChange: () => void;
}

/** What a router does of what it was told, by ModelDeployment. */
export interface RouteReport {
  readonly applied: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, string>>;
}

/** One revision of a route, for metrics. */
export interface RoutedRevision {
  readonly modelDeployment: string;
  readonly revision: string;
  readonly weight: number;
  readonly pool: EndpointPool;
}

/** A port that is taken outside this table may become free. */
const RETRY_MS = 1_000;

interface RevisionTarget extends Target {
  readonly pool: EndpointPool;
  readonly observer: RevisionCounter;
}

/** A port's router, whose plan changes between two requests. */
class SwitchedRouter implements RequestRouter {
  plan: RoutePlan;
  /** Requests that no revision could be asked for. */
  unroutable = 0;

  constructor(plan: RoutePlan) {
    this.plan = plan;
  }

  choose(fields: RequestFields, lost?: Target): Choice | Unroutable {
    const choice = this.plan.choose(fields, lost);
    if ('reason' in choice) this.unroutable++;
    return choice;
  }
}

interface OpenPort {
  readonly port: number;
  readonly router: SwitchedRouter;
  readonly listener: PortListener;
}

/** A route in force. */
interface Applied {
  readonly text: string;
  readonly route: Route;
  readonly room: WaitingRoom;
  readonly targets: ReadonlyMap<string, RevisionTarget>;
  readonly plans: Readonly<Record<Protocol, RoutePlan>>;
  readonly ports: Readonly<Partial<Record<Protocol, OpenPort>>>;
}

interface Refused {
  readonly text: string;
  readonly reason: string;
  /** It may be applied as it is once a port is free. */
  readonly waitsForPort: boolean;
}

/** A port that another route has, or that could not be opened. */
class PortTaken extends RouteRefused {}

const PROTOCOLS: readonly Protocol[] = ['http', 'grpc'];

/**
 * The routes of a namespace and the ports they own. A ModelDeployment's route is applied as a whole, between two requests,
 * or not at all: one that is refused leaves the one before in force. Of two routes that want one port the first keeps it.
 */
export class RouteTable {
  readonly #options: RouteTableOptions;
  readonly #applied = new Map<string, Applied>();
  readonly #refused = new Map<string, Refused>();
  /** Addresses of ready pods, by revision. */
  readonly #addresses = new Map<string, readonly string[]>();
  /** Ports that close, until their last request is answered. */
  readonly #closing = new Map<PortListener, Promise<void>>();
  #last: Promise<void> = Promise.resolve();
  #cancelRetry: (() => void) | undefined;
  #isClosed = false;

  constructor(options: RouteTableOptions) {
    this.#options = options;
  }

  get report(): RouteReport {
    return {
      applied: Object.fromEntries([...this.#applied].map(([name, { route }]) => [name, route.generation])),
      refused: Object.fromEntries([...this.#refused].map(([name, { reason }]) => [name, reason])),
    };
  }

  /** The routes in force, as they were written. */
  get texts(): ReadonlyMap<string, string> {
    return new Map([...this.#applied].map(([name, { text }]) => [name, text]));
  }

  get addresses(): ReadonlyMap<string, readonly string[]> {
    return this.#addresses;
  }

  *revisions(): Generator<RoutedRevision> {
    for (const [modelDeployment, { route, targets }] of this.#applied) {
      for (const { revision, weight } of route.backends) {
        const target = targets.get(revision);
        if (target !== undefined) yield { modelDeployment, revision, weight, pool: target.pool };
      }
    }
  }

  /** Requests that no revision could be asked for, since their ports were opened. */
  *unroutable(): Generator<readonly [modelDeployment: string, requests: number]> {
    for (const [name, { ports }] of this.#applied) {
      yield [name, Object.values(ports).reduce((sum, { router }) => sum + router.unroutable, 0)];
    }
  }

  /** Requests that are with pods or wait for one, by ModelDeployment and revision. */
  get load(): Readonly<Record<string, Readonly<Record<string, number>>>> {
    const load: Record<string, Record<string, number>> = {};
    for (const { modelDeployment, revision, pool } of this.revisions()) {
      load[modelDeployment] = { ...load[modelDeployment], [revision]: pool.inFlight + pool.waiting };
    }
    return load;
  }

  /** Applies what is written for a ModelDeployment, after everything that was told before; resolves when it is done. */
  apply(modelDeployment: string, text: string): Promise<void> {
    return this.#inTurn(() => this.#apply(modelDeployment, text));
  }

  /** Closes the ports of a ModelDeployment once what came before is answered. */
  remove(modelDeployment: string): Promise<void> {
    return this.#inTurn(() => this.#remove(modelDeployment));
  }

  /** Resolves once everything that was told so far is done. */
  settled(): Promise<void> {
    return this.#last;
  }

  /** The ready pods of a revision from now on. */
  setAddresses(revision: string, addresses: readonly string[]): void {
    if (addresses.length === 0) this.#addresses.delete(revision);
    else this.#addresses.set(revision, addresses);
    for (const { route, targets } of this.#applied.values()) {
      const backend = route.backends.find((candidate) => candidate.revision === revision);
      const target = targets.get(revision);
      if (backend !== undefined && target !== undefined) this.#fill(target.pool, backend);
    }
  }

  /** Asks clients to connect anew, while new connections are still taken. */
  askToClose(): void {
    for (const { ports } of this.#applied.values())
      for (const { listener } of Object.values(ports)) listener.askToClose?.();
  }

  /** Closes every port; resolves once every request is answered. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelRetry?.();
    await this.#last;
    for (const { ports } of this.#applied.values()) for (const port of Object.values(ports)) this.#closePort(port);
    await Promise.all(this.#closing.values());
  }

  /** Ends every connection now. */
  kill(): void {
    for (const { ports } of this.#applied.values()) for (const { listener } of Object.values(ports)) listener.kill();
    for (const listener of this.#closing.keys()) listener.kill();
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(async () => {
      if (!this.#isClosed) await work();
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #apply(name: string, text: string): Promise<void> {
    if (this.#refused.get(name)?.text === text) return;
    if (this.#applied.get(name)?.text === text) {
      // What was refused in between is taken back.
      if (this.#refused.delete(name)) this.#options.onChange();
      return;
    }
    await this.#tryToApply(name, text);
    this.#options.onChange();
  }

  async #tryToApply(name: string, text: string): Promise<void> {
    const { logger } = this.#options;
    try {
      const route = parseRoute(text);
      if (route.modelDeployment !== name) {
        throw new RouteRefused(`/modelDeployment is ${route.modelDeployment}, but the route is that of ${name}`);
      }
      const freed = await this.#switch(name, text, route);
      this.#refused.delete(name);
      logger.info('route applied', { modelDeployment: name, generation: route.generation });
      if (freed) await this.#retryRefused();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const waitsForPort = error instanceof PortTaken;
      this.#refused.set(name, { text, reason, waitsForPort });
      logger.warn('route refused: the one before stays in force', { modelDeployment: name, reason });
      if (waitsForPort) this.#retryLater();
    }
  }

  /** Puts a route in force. Answers whether it gave up a port. @throws PortTaken */
  async #switch(name: string, text: string, route: Route): Promise<boolean> {
    const before = this.#applied.get(name);
    const room = before?.room ?? { waiting: 0, max: 0 };
    const targets = new Map<string, RevisionTarget>();
    for (const backend of route.backends) {
      const { revision } = backend;
      targets.set(revision, before?.targets.get(revision) ?? this.#newTarget(name, backend, route, room));
    }
    const plans = { http: this.#plan(route, 'http', targets), grpc: this.#plan(route, 'grpc', targets) };
    const ports = await this.#openPorts(name, route, before, plans);
    // From here to the end nothing waits: requests meet the whole of the old route or the whole of the new one.
    room.max = route.limits.maxQueue;
    this.#applied.set(name, { text, route, room, targets, plans, ports });
    for (const protocol of PROTOCOLS) {
      const port = ports[protocol];
      if (port !== undefined) port.router.plan = plans[protocol];
    }
    for (const backend of route.backends) {
      const pool = targets.get(backend.revision)?.pool;
      if (pool === undefined) continue;
      pool.configure({ maxInFlight: route.limits.maxInFlight, room });
      this.#fill(pool, backend);
      if (before?.targets.has(backend.revision) !== true) this.#options.onPool(pool);
    }
    for (const [revision, { pool }] of before?.targets ?? []) if (!targets.has(revision)) pool.update([]);
    this.#options.counters.retain(name, [...targets.keys()]);
    const given = PROTOCOLS.map((protocol) => before?.ports[protocol]).filter(
      (port) => port !== undefined && !Object.values(ports).includes(port),
    );
    for (const port of given) if (port !== undefined) this.#closePort(port);
    return given.length > 0;
  }

  #plan(route: Route, protocol: Protocol, targets: ReadonlyMap<string, RevisionTarget>): RoutePlan {
    return new RoutePlan(route, protocol, {
      targets,
      random: this.#options.random,
      onPassedOver: (revision) => {
        const target = targets.get(revision);
        if (target !== undefined) target.observer.passedOver++;
      },
      planOf: (other, by) => this.#applied.get(other)?.plans[by],
    });
  }

  #newTarget(modelDeployment: string, backend: Backend, route: Route, room: WaitingRoom): RevisionTarget {
    const { clock, counters } = this.#options;
    const { revision } = backend;
    const pool = new EndpointPool({ clock, maxInFlight: route.limits.maxInFlight, room });
    this.#fill(pool, backend);
    return { modelDeployment, revision, pool, observer: counters.of(modelDeployment, revision) };
  }

  #fill(pool: EndpointPool, { revision, ports }: Backend): void {
    pool.update((this.#addresses.get(revision) ?? []).map((address) => ({ address, ports })));
  }

  /** The ports of a route: those that it has already, and new ones. Opens all that it wants or none. @throws PortTaken */
  async #openPorts(
    name: string,
    route: Route,
    before: Applied | undefined,
    plans: Applied['plans'],
  ): Promise<Applied['ports']> {
    const ports: Partial<Record<Protocol, OpenPort>> = {};
    const opened: PortListener[] = [];
    try {
      for (const protocol of PROTOCOLS) {
        const port = route.ports[protocol];
        if (port === undefined) continue;
        const known = before?.ports[protocol];
        if (known?.port === port) {
          ports[protocol] = known;
          continue;
        }
        const owner = this.#ownerOf(port);
        if (owner !== undefined) {
          throw new PortTaken(
            `/ports/${protocol} ${port} is that of ModelDeployment ${owner}${owner === name ? ' already' : ''}`,
          );
        }
        const router = new SwitchedRouter(plans[protocol]);
        const listener = this.#options.open[protocol](router);
        await listener.listen(this.#options.host, port).catch((error: unknown) => {
          throw new PortTaken(`/ports/${protocol} ${port}: ${error instanceof Error ? error.message : String(error)}`);
        });
        opened.push(listener);
        ports[protocol] = { port, router, listener };
      }
    } catch (error) {
      for (const listener of opened) listener.kill();
      throw error;
    }
    return ports;
  }

  #ownerOf(port: number): string | undefined {
    for (const [name, { ports }] of this.#applied) {
      if (Object.values(ports).some((open) => open.port === port)) return name;
    }
    return undefined;
  }

  async #remove(name: string): Promise<void> {
    const before = this.#applied.get(name);
    const wasRefused = this.#refused.delete(name);
    if (before === undefined) {
      if (wasRefused) this.#options.onChange();
      return;
    }
    this.#applied.delete(name);
    const closed = Object.values(before.ports).map((port) => this.#closePort(port));
    // Requests on connections that are still open are answered; then nothing is connected any more.
    void Promise.all(closed).then(() => {
      for (const { pool } of before.targets.values()) pool.update([]);
    });
    this.#options.counters.removed(name);
    this.#options.logger.info('route removed', { modelDeployment: name });
    await this.#retryRefused();
    this.#options.onChange();
  }

  #closePort({ listener }: OpenPort): Promise<void> {
    const closed = listener.close().finally(() => this.#closing.delete(listener));
    this.#closing.set(listener, closed);
    return closed;
  }

  /** Tries again what waits for a port. */
  async #retryRefused(): Promise<void> {
    for (const [name, { text, waitsForPort }] of [...this.#refused]) {
      if (waitsForPort) await this.#tryToApply(name, text);
    }
  }

  #retryLater(): void {
    if (this.#cancelRetry !== undefined || this.#isClosed) return;
    this.#cancelRetry = this.#options.clock.afterDelay(RETRY_MS, () => {
      this.#cancelRetry = undefined;
      const before = JSON.stringify(this.report);
      void this.#inTurn(async () => {
        await this.#retryRefused();
        if (JSON.stringify(this.report) !== before) this.#options.onChange();
      });
    });
  }
}
