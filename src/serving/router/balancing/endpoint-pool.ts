import type {
  Endpoint,
  EndpointAddress,
  EndpointListener,
  EndpointPoolLike,
  EndpointResult,
  EndpointWaiter,
  RouterClock,
  WaitingRoom,
} from '../types.ts';

/** So many failures in a row, and an endpoint is passed over for a while. */
const FAILURES_TO_EJECT = 5;
/** The first time for so long, each further time for twice as long. */
const FIRST_EJECTION_MS = 1_000;
const MAX_EJECTION_MS = 60_000;

class PooledEndpoint implements Endpoint {
  readonly address: string;
  readonly ports: EndpointAddress['ports'];
  inFlight = 0;
  isRemoved = false;
  failuresInARow = 0;
  ejectedUntilMs = 0;
  ejectedForMs = 0;

  constructor({ address, ports }: EndpointAddress) {
    this.address = address;
    this.ports = ports;
  }
}

export interface EndpointPoolOptions {
  readonly clock: RouterClock;
  readonly maxInFlight: number;
  readonly room: WaitingRoom;
}

/**
 * The pods of one revision. The endpoint with the fewest requests in flight is next, and of equals each in turn. One that
 * cannot be reached is passed over at once, one that fails `FAILURES_TO_EJECT` times in a row too, as long as at most half
 * of the endpoints are. An endpoint that comes back is on probation: its next failure ejects it again, for twice as long.
 * Where every endpoint is passed over, none is: a bad chance is better than none.
 */
export class EndpointPool implements EndpointPoolLike {
  readonly #clock: RouterClock;
  #maxInFlight: number;
  #room: WaitingRoom;
  #endpoints: readonly PooledEndpoint[] = [];
  #next = 0;
  #inFlight = 0;
  #retries = 0;
  #ejections = 0;
  /** No endpoint is ejected any more from then on. */
  #ejectionsEndMs = 0;
  /** A Set keeps them in the order in which they came, and lets any of them leave. */
  readonly #waiters = new Set<EndpointWaiter>();
  /** While somebody waits and an endpoint is ejected: no release tells that it may be taken again. */
  #cancelReturn: (() => void) | undefined;
  readonly #listeners: EndpointListener[] = [];

  constructor({ clock, maxInFlight, room }: EndpointPoolOptions) {
    this.#clock = clock;
    this.#maxInFlight = maxInFlight;
    this.#room = room;
  }

  get size(): number {
    return this.#endpoints.length;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** Requests that were asked again of another endpoint, from the start. */
  get retries(): number {
    return this.#retries;
  }

  /** How often an endpoint was ejected, from the start. */
  get ejections(): number {
    return this.#ejections;
  }

  /** Endpoints that are passed over now. */
  get ejected(): number {
    const nowMs = this.#clock.nowMs();
    return this.#endpoints.filter(({ ejectedUntilMs }) => ejectedUntilMs > nowMs).length;
  }

  update(addresses: readonly EndpointAddress[]): void {
    const before = new Map(this.#endpoints.map((endpoint) => [identity(endpoint), endpoint]));
    const after = new Map<string, PooledEndpoint>();
    for (const address of addresses) {
      const key = identity(address);
      if (!after.has(key)) after.set(key, before.get(key) ?? new PooledEndpoint(address));
    }
    this.#endpoints = [...after.values()];
    this.#next = 0;
    for (const [key, endpoint] of before) {
      if (after.has(key)) continue;
      endpoint.isRemoved = true;
      for (const listener of this.#listeners) listener.removed(endpoint);
    }
    for (const [key, endpoint] of after) {
      if (!before.has(key)) for (const listener of this.#listeners) listener.added(endpoint);
    }
    if (after.size > 0) this.#serveWaiters();
    else this.#strandWaiters();
  }

  configure({ maxInFlight, room }: { readonly maxInFlight: number; readonly room: WaitingRoom }): void {
    this.#maxInFlight = maxInFlight;
    this.#room.waiting -= this.#waiters.size;
    this.#room = room;
    room.waiting += this.#waiters.size;
    this.#serveWaiters();
  }

  take(except?: Endpoint): Endpoint | undefined {
    // Who waits is served before who comes.
    return except === undefined && this.#waiters.size > 0 ? undefined : this.#take(except);
  }

  #take(except?: Endpoint): Endpoint | undefined {
    const nowMs = this.#ejectionsEndMs === 0 ? 0 : this.#clock.nowMs();
    const endpoints = this.#endpoints;
    const count = endpoints.length;
    let best: PooledEndpoint | undefined;
    let bestIndex = 0;
    let bestEjected: PooledEndpoint | undefined;
    let areAllEjected = true;
    for (let step = 0, index = this.#next; step < count; step++, index++) {
      if (index >= count) index = 0;
      const endpoint = endpoints[index];
      if (endpoint === undefined || endpoint === except) continue;
      const isEjected = endpoint.ejectedUntilMs > nowMs;
      areAllEjected &&= isEjected;
      const { inFlight } = endpoint;
      if (inFlight >= this.#maxInFlight) continue;
      if (isEjected) {
        if (bestEjected === undefined || inFlight < bestEjected.inFlight) bestEjected = endpoint;
      } else if (best === undefined || inFlight < best.inFlight) {
        best = endpoint;
        bestIndex = index;
      }
    }
    if (best !== undefined) this.#next = bestIndex + 1;
    else if (areAllEjected && except === undefined) best = bestEjected;
    if (best === undefined) return undefined;
    if (except !== undefined) this.#retries++;
    best.inFlight++;
    this.#inFlight++;
    return best;
  }

  release(endpoint: Endpoint, result: EndpointResult): void {
    if (!(endpoint instanceof PooledEndpoint) || endpoint.inFlight === 0) {
      throw new Error(`endpoint ${endpoint.address} is released but was not taken`);
    }
    endpoint.inFlight--;
    this.#inFlight--;
    if (result === 'ok') endpoint.failuresInARow = 0;
    else if (result !== 'neutral' && !endpoint.isRemoved) this.#blame(endpoint, result);
    if (this.#waiters.size > 0) this.#serveWaiters();
  }

  wait(waiter: EndpointWaiter): boolean {
    if (this.#room.waiting >= this.#room.max) return false;
    this.#room.waiting++;
    this.#waiters.add(waiter);
    if (this.#cancelReturn === undefined) this.#awaitReturn();
    return true;
  }

  leave(waiter: EndpointWaiter): void {
    if (!this.#waiters.delete(waiter)) return;
    this.#room.waiting--;
    if (this.#waiters.size === 0) this.#cancelReturn?.();
  }

  watch(listener: EndpointListener): void {
    this.#listeners.push(listener);
    for (const endpoint of this.#endpoints) listener.added(endpoint);
  }

  #serveWaiters(): void {
    for (const waiter of this.#waiters) {
      const endpoint = this.#take();
      if (endpoint === undefined) return;
      this.leave(waiter);
      waiter.granted(endpoint);
    }
  }

  /** Serves who waits when the next ejection ends. */
  #awaitReturn(): void {
    this.#cancelReturn?.();
    const nowMs = this.#clock.nowMs();
    if (this.#waiters.size === 0 || this.#ejectionsEndMs <= nowMs) return;
    let atMs = Number.POSITIVE_INFINITY;
    for (const { ejectedUntilMs } of this.#endpoints) if (ejectedUntilMs > nowMs) atMs = Math.min(atMs, ejectedUntilMs);
    if (atMs === Number.POSITIVE_INFINITY) return;
    const cancel = this.#clock.afterDelay(atMs - nowMs, () => {
      this.#cancelReturn = undefined;
      this.#serveWaiters();
      this.#awaitReturn();
    });
    this.#cancelReturn = () => {
      this.#cancelReturn = undefined;
      cancel();
    };
  }

  #strandWaiters(): void {
    for (const waiter of [...this.#waiters]) {
      // One that was told before may have made this one leave.
      if (!this.#waiters.has(waiter)) continue;
      this.leave(waiter);
      waiter.stranded();
    }
  }

  #blame(endpoint: PooledEndpoint, result: 'failed' | 'unreachable'): void {
    const nowMs = this.#clock.nowMs();
    if (endpoint.ejectedUntilMs > nowMs) return;
    endpoint.failuresInARow++;
    if (result === 'failed') {
      if (endpoint.failuresInARow < FAILURES_TO_EJECT) return;
      if (this.ejected + 1 > this.#endpoints.length / 2) return;
    }
    this.#ejections++;
    const behavedForMs = nowMs - endpoint.ejectedUntilMs;
    endpoint.ejectedForMs =
      endpoint.ejectedForMs === 0 || behavedForMs > endpoint.ejectedForMs
        ? FIRST_EJECTION_MS
        : Math.min(2 * endpoint.ejectedForMs, MAX_EJECTION_MS);
    endpoint.ejectedUntilMs = nowMs + endpoint.ejectedForMs;
    endpoint.failuresInARow = FAILURES_TO_EJECT - 1;
    this.#ejectionsEndMs = Math.max(this.#ejectionsEndMs, endpoint.ejectedUntilMs);
    this.#awaitReturn();
  }
}

function identity({ address, ports }: EndpointAddress): string {
  return `${address} ${ports.http} ${ports.grpc ?? ''}`;
}
