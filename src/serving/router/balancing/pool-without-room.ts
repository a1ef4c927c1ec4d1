import type { Endpoint, EndpointAddress, EndpointListener, EndpointPoolLike, EndpointResult } from '../types.ts';

/** A pool as one copy of a request sees it: it may take an endpoint that is free, and never waits among the requests of users. */
export class PoolWithoutRoom implements EndpointPoolLike {
  readonly #pool: EndpointPoolLike;
  #hasTaken = false;
  #hadToWait = false;

  constructor(pool: EndpointPoolLike) {
    this.#pool = pool;
  }

  /** The copy was sent nowhere, since it would have had to wait. */
  get wasDropped(): boolean {
    return this.#hadToWait && !this.#hasTaken;
  }

  get size(): number {
    return this.#pool.size;
  }

  get inFlight(): number {
    return this.#pool.inFlight;
  }

  get waiting(): number {
    return this.#pool.waiting;
  }

  take(except?: Endpoint): Endpoint | undefined {
    const endpoint = this.#pool.take(except);
    this.#hasTaken ||= endpoint !== undefined;
    return endpoint;
  }

  release(endpoint: Endpoint, result: EndpointResult): void {
    this.#pool.release(endpoint, result);
  }

  wait(): boolean {
    this.#hadToWait = true;
    return false;
  }

  leave(): void {}

  update(endpoints: readonly EndpointAddress[]): void {
    this.#pool.update(endpoints);
  }

  configure(limits: Parameters<EndpointPoolLike['configure']>[0]): void {
    this.#pool.configure(limits);
  }

  watch(listener: EndpointListener): void {
    this.#pool.watch(listener);
  }
}
