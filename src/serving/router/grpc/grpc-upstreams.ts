import { type ClientHttp2Session, connect } from 'node:http2';
import { BufferBudget, MAX_BUFFERED_BYTES } from '../buffered/collected-bytes.ts';
import type { Endpoint, EndpointListener, RouterClock } from '../types.ts';

/** What a stream, and a connection, may send us before it waits for us to read. */
const STREAM_WINDOW_BYTES = 256 * 2 ** 10;
const SESSION_WINDOW_BYTES = 4 * 2 ** 20;
/** A connection whose other end does not answer a ping by then is gone. */
const PING_TIMEOUT_MS = 2_000;
const TCP_KEEP_ALIVE_AFTER_MS = 15_000;
/** A connection that is not there by then will not come. */
const CONNECT_TIMEOUT_MS = 2_000;

/** One connection to a pod, and whether it ever was there. */
export interface Upstream {
  readonly session: ClientHttp2Session;
  readonly wasConnected: boolean;
}

/**
 * Warm HTTP/2 connections to pods, one each, shared by all calls; made anew when one is needed and the last has ended. Every
 * pool whose endpoints are asked over gRPC tells it of them: `pool.watch(upstreams)`.
 */
export class GrpcUpstreams implements EndpointListener {
  /** Of the requests and answers that are kept for mirrors. */
  readonly budget: BufferBudget;
  readonly #clock: RouterClock;
  readonly #upstreams = new Map<Endpoint, PodConnection>();

  constructor(clock: RouterClock, budget = new BufferBudget(MAX_BUFFERED_BYTES)) {
    this.#clock = clock;
    this.budget = budget;
  }

  /** Connects, so that the first call does not wait for it. */
  added(endpoint: Endpoint): void {
    this.to(endpoint);
  }

  /** Calls on its connection may end; no new one begins. */
  removed(endpoint: Endpoint): void {
    this.#upstreams.get(endpoint)?.session.close();
    this.#upstreams.delete(endpoint);
  }

  /** The connection to an endpoint, perhaps one that is still being made; undefined where it speaks no gRPC, or is gone. */
  to(endpoint: Endpoint): Upstream | undefined {
    const { address, ports, isRemoved } = endpoint;
    if (ports.grpc === undefined || isRemoved) return undefined;
    const known = this.#upstreams.get(endpoint);
    if (known !== undefined && !known.session.closed && !known.session.destroyed) return known;
    const authority = `${address.includes(':') ? `[${address}]` : address}:${ports.grpc}`;
    const upstream = new PodConnection(`http://${authority}`, this.#clock);
    this.#upstreams.set(endpoint, upstream);
    upstream.session.once('close', () => {
      if (this.#upstreams.get(endpoint) === upstream) this.#upstreams.delete(endpoint);
    });
    return upstream;
  }

  /** An answer did not come in time: finds out whether anyone is still there. */
  suspect(endpoint: Endpoint): void {
    this.#upstreams.get(endpoint)?.suspect();
  }

  /** Ends every connection now. */
  destroy(): void {
    for (const { session } of this.#upstreams.values()) session.destroy();
    this.#upstreams.clear();
  }
}

class PodConnection implements Upstream {
  readonly session: ClientHttp2Session;
  wasConnected = false;
  readonly #clock: RouterClock;
  #isSuspect = false;

  constructor(authority: string, clock: RouterClock) {
    this.#clock = clock;
    this.session = connect(authority, { settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES } });
    const cancelTimeout = clock.afterDelay(CONNECT_TIMEOUT_MS, () => this.session.destroy());
    this.session.once('connect', (session, socket) => {
      cancelTimeout();
      this.wasConnected = true;
      // Its pod may have been removed while it was being made: Node tells of the connection all the same.
      if (session.destroyed) return;
      session.setLocalWindowSize(SESSION_WINDOW_BYTES);
      socket.setNoDelay(true).setKeepAlive(true, TCP_KEEP_ALIVE_AFTER_MS);
    });
    this.session.once('close', cancelTimeout);
    // Its streams tell of their own ends; a connection without any has nobody to tell.
    this.session.on('error', () => undefined);
  }

  suspect(): void {
    if (this.#isSuspect || this.session.closed) return;
    this.#isSuspect = true;
    const cancel = this.#clock.afterDelay(PING_TIMEOUT_MS, () => this.session.destroy());
    const isSent = this.session.ping(() => {
      cancel();
      this.#isSuspect = false;
    });
    if (isSent) return;
    cancel();
    this.session.destroy();
  }
}
