import { createServer, type Server } from 'node:http';
import type { Registry } from 'prom-client';
import type { CountsSnapshot } from '../../api/counts.ts';

/** Serves `/metrics` and `/counts` on a port of its own, so that scrapes neither meet clients nor are published with them. */
export function createMetricsServer(registry: Registry, counts: () => CountsSnapshot): Server {
  return createServer({ headersTimeout: 10_000, requestTimeout: 10_000 }, (request, response) => {
    request.resume();
    const path = request.url?.split('?')[0];
    if (path === '/counts') {
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(counts()));
      return;
    }
    if (path !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'Content-Type': registry.contentType }).end(text),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
}
