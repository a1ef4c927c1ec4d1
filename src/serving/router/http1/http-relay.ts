import type { Socket } from 'node:net';
import type { RequestRouter, RouterClock } from '../types.ts';
import { ClientConnection } from './client-connection.ts';
import { OutBuffer } from './out-buffer.ts';
import type { ClientTimes, RelaySurroundings } from './relay-surroundings.ts';
import { RequestHead } from './request-head.ts';
import type { HttpUpstreams } from './upstreams.ts';

/** Idle connections are kept longer than usual proxies and clients keep them, so that they, who know, close first. */
const TIMES: ClientTimes = { headMs: 10_000, idleMs: 75_000, silenceMs: 300_000, lingerMs: 2_000 };
/** When a relay drains, idle connections may be used once more and be told to close for so long. */
const DRAIN_LINGER_MS = 1_000;

export interface HttpRelayOptions {
  readonly router: RequestRouter;
  /** Shared by all relays of a process. */
  readonly upstreams: HttpUpstreams;
  readonly clock: RouterClock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly times?: Partial<ClientTimes>;
}

/** Relays the HTTP/1.1 requests of one port to the revisions that its router chooses. */
export class HttpRelay {
  readonly #surroundings: RelaySurroundings;
  readonly #connections = new Set<ClientConnection>();
  #onEmpty: (() => void) | undefined;

  constructor({ router, upstreams, clock, random, times }: HttpRelayOptions) {
    this.#surroundings = {
      router,
      upstreams,
      clock,
      random,
      times: { ...TIMES, ...times },
      head: new RequestHead(),
      out: new OutBuffer(),
      budget: upstreams.budget,
      copies: 0,
      isDraining: false,
    };
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Serves a connection, of a `node:net` server with `noDelay`, until it ends. */
  accept(socket: Socket): void {
    this.#connections.add(new ClientConnection(socket, this.#surroundings, this.#closed));
  }

  /** Each connection ends with its next answer from now on. */
  askToClose(): void {
    this.#surroundings.isDraining = true;
  }

  /**
   * Ends every connection with its next answer, and idle ones after a moment. Connections may still be accepted; each gets
   * one answer. Resolves when none is left; `kill` ends those that do not end.
   */
  drain(): Promise<void> {
    this.askToClose();
    this.#surroundings.clock.afterDelay(DRAIN_LINGER_MS, () => {
      for (const connection of this.#connections) if (connection.isIdle) connection.destroy();
    });
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  /** Closes every connection now, whatever it waits for. */
  kill(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  readonly #closed = (connection: ClientConnection): void => {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#onEmpty?.();
  };
}
