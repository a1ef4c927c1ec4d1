import { BufferBudget, MAX_BUFFERED_BYTES } from '../buffered/collected-bytes.ts';
import type { Endpoint, EndpointListener, RouterClock } from '../types.ts';
import { ResponseHead } from './response-head.ts';
import { type AnswerReceiver, UpstreamConnection, type UpstreamSurroundings } from './upstream-connection.ts';

/** What one read of a socket takes at most. */
const READ_BYTES = 65_536;
const CONNECT_TIMEOUT_MS = 2_000;
const IDLE_TIMEOUT_MS = 60_000;
/** An answer that nobody wants, and that does not end by then, costs more than a new connection. */
const DISCARD_TIMEOUT_MS = 1_000;
/** Connections that an endpoint's bursts leave behind beyond these are closed. */
const MAX_IDLE_CONNECTIONS = 256;

export interface UpstreamsOptions {
  readonly clock: RouterClock;
  readonly connectTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
}

/**
 * The warm HTTP/1.1 connections of a router, by endpoint: the one used last is used next, so that a burst's connections
 * get old and are closed. Every pool whose endpoints are asked over HTTP tells it of them: `pool.watch(upstreams)`.
 */
export class HttpUpstreams implements EndpointListener {
  /** Shared, as the connections are, by all relays of the process. */
  readonly budget = new BufferBudget(MAX_BUFFERED_BYTES);
  readonly #surroundings: UpstreamSurroundings;
  readonly #idle = new Map<Endpoint, UpstreamConnection[]>();

  constructor({ clock, connectTimeoutMs = CONNECT_TIMEOUT_MS, idleTimeoutMs = IDLE_TIMEOUT_MS }: UpstreamsOptions) {
    const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
    this.#surroundings = { clock, connectTimeoutMs, idleTimeoutMs, head: new ResponseHead(), readBuffer };
  }

  /** Opens a connection, so that the first request does not wait for one. */
  added(endpoint: Endpoint): void {
    this.#idle.set(endpoint, []);
    const connection = this.open(endpoint);
    connection.begin(new Warming(() => this.giveBack(connection)), false);
  }

  removed(endpoint: Endpoint): void {
    const connections = this.#idle.get(endpoint) ?? [];
    this.#idle.delete(endpoint);
    for (const connection of connections) connection.destroy();
  }

  /** A connection that waits for a request; undefined where there is none. */
  take(endpoint: Endpoint): UpstreamConnection | undefined {
    const connections = this.#idle.get(endpoint);
    if (connections === undefined) return undefined;
    for (let connection = connections.pop(); connection !== undefined; connection = connections.pop()) {
      if (connection.isReusable) return connection;
    }
    return undefined;
  }

  /** A new connection, on its way to be connected. */
  open(endpoint: Endpoint): UpstreamConnection {
    return new UpstreamConnection(endpoint, this.#surroundings, this.#forget);
  }

  /** Keeps a connection, whose answer is whole, for the next request. */
  giveBack(connection: UpstreamConnection): void {
    const connections = this.#idle.get(connection.endpoint);
    if (connections === undefined || connections.length >= MAX_IDLE_CONNECTIONS || !connection.isReusable) {
      connection.destroy();
      return;
    }
    connection.rest();
    connections.push(connection);
  }

  /** Lets what is left of an answer that nobody wants pass by, and keeps the connection, unless that takes too long. */
  discard(connection: UpstreamConnection): void {
    const cancel = this.#surroundings.clock.afterDelay(DISCARD_TIMEOUT_MS, () => connection.destroy());
    connection.begin(new Discarding(cancel, () => this.giveBack(connection)), false);
  }

  /** Closes all idle connections. */
  close(): void {
    for (const endpoint of [...this.#idle.keys()]) this.removed(endpoint);
  }

  readonly #forget = (connection: UpstreamConnection): void => {
    const connections = this.#idle.get(connection.endpoint);
    const index = connections?.indexOf(connection) ?? -1;
    if (index !== -1) connections?.splice(index, 1);
  };
}

class Warming implements AnswerReceiver {
  readonly #done: () => void;

  constructor(done: () => void) {
    this.#done = done;
  }

  connected(): void {
    this.#done();
  }

  interim(): void {}
  answered(): void {}
  drained(): void {}
  /** Requests will find out themselves, and tell the pool. */
  broken(): void {}

  flush(): boolean {
    return true;
  }
}

class Discarding implements AnswerReceiver {
  readonly #over: () => void;
  readonly #done: () => void;

  /** @param over the answer has come to an end, whole or not; `done` follows when it is whole */
  constructor(over: () => void, done: () => void) {
    this.#over = over;
    this.#done = done;
  }

  answered(_head: unknown, _bytes: unknown, _start: unknown, _end: unknown, isLast: boolean): void {
    if (!isLast) return;
    this.#over();
    this.#done();
  }

  broken(): void {
    this.#over();
  }

  connected(): void {}
  interim(): void {}
  drained(): void {}

  flush(): boolean {
    return true;
  }
}
