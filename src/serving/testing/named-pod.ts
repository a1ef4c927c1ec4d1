import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A pod that answers every request over HTTP with its name. */
export class NamedPod {
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(name: string, host = '127.0.0.1'): Promise<NamedPod> {
    const server = createServer((_request, response) => response.end(name)).listen(0, host);
    await once(server, 'listening');
    return new NamedPod(server);
  }

  /** Breaks off what it has, as SIGKILL does. */
  kill(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
