import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What one GET path answers. */
export type ProbeHandler = () => Promise<ProbeAnswer> | ProbeAnswer;

export interface ProbeAnswer {
  readonly status: number;
  readonly contentType?: string;
  readonly body: string;
}

/** A plain HTTP server for probes and metrics. `/healthz`, `/readyz` and `/metrics` are all it ever serves. */
export class ProbeServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens on all addresses; port 0 takes a free one. @throws Error when the port is taken. */
  static async listen(port: number, paths: Readonly<Record<string, ProbeHandler>>): Promise<ProbeServer> {
    const server = createServer((request, response) => {
      const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
      const handler = Object.hasOwn(paths, path) ? paths[path] : undefined;
      const answer = async (): Promise<ProbeAnswer> => {
        if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, body: 'only GET\n' };
        return handler === undefined ? { status: 404, body: 'not found\n' } : await handler();
      };
      answer()
        .catch((error: unknown): ProbeAnswer => ({ status: 500, body: `${String(error)}\n` }))
        .then(({ status, contentType, body }) => {
          response.writeHead(status, { 'content-type': contentType ?? 'text/plain; charset=utf-8' });
          response.end(request.method === 'HEAD' ? undefined : body);
        });
    });
    server.requestTimeout = 10_000;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, () => {
        server.off('error', reject);
        resolve();
      });
    });
    return new ProbeServer(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
