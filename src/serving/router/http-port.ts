import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { HttpRelay, type HttpRelayOptions } from './http1/http-relay.ts';
import type { PortListener } from './route-table.ts';

const TCP_KEEP_ALIVE_AFTER_MS = 60_000;
/** A port that closes takes new connections for a moment more: clients that were told to end one may open another. */
const LINGER_MS = 1_000;
const MAX_CONNECTIONS = 10_000;

/** The port of a ModelDeployment's REST clients. */
export class HttpPort implements PortListener {
  readonly #relay: HttpRelay;
  readonly #server: Server;
  readonly #clock: HttpRelayOptions['clock'];

  constructor(options: HttpRelayOptions) {
    this.#relay = new HttpRelay(options);
    this.#clock = options.clock;
    this.#server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_AFTER_MS },
      (socket) => this.#relay.accept(socket),
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  async listen(host: string, port: number): Promise<number> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  askToClose(): void {
    this.#relay.askToClose();
  }

  async close(): Promise<void> {
    await Promise.all([
      this.#relay.drain(),
      new Promise<void>((resolve) => this.#clock.afterDelay(LINGER_MS, resolve)),
    ]);
    this.#server.close();
    await this.#relay.drain();
  }

  kill(): void {
    this.#server.close();
    this.#relay.kill();
  }
}
