import { createServer } from 'node:http';
import { Pool } from 'undici';

/** What one would write first: node:http in front, undici behind. `undici-relay.ts PORT BACKEND BACKEND`. */
const [port, stable, canary] = process.argv.slice(2).map(Number);
const pools = [stable, canary].map(
  (backend) => new Pool(`http://127.0.0.1:${backend}`, { connections: 256, pipelining: 1 }),
);
const [toStable, toCanary] = pools;
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade']);

createServer((request, response) => {
  const pool = Math.random() < 0.1 ? toCanary : toStable;
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined && !HOP_BY_HOP.has(name)) headers[name] = value;
  }
  pool
    ?.stream(
      {
        path: request.url ?? '/',
        method: request.method === 'GET' ? 'GET' : 'POST',
        headers,
        body: request.method === 'GET' ? null : request,
      },
      ({ statusCode, headers: answered }) => {
        for (const name of HOP_BY_HOP) delete answered[name];
        response.writeHead(statusCode, answered);
        return response;
      },
    )
    .catch(() => response.destroy());
}).listen(port, '127.0.0.1', () => console.log('listening'));
