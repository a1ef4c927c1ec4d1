import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import type { ModelDeployment } from '../controllers/kinds.ts';
import { ApiClient } from '../runtime/api-client.ts';
import { ApiError, ConnectionError } from '../runtime/api-error.ts';
import type { ApiRequest, Transport } from '../runtime/kube-transport.ts';
import { FakeClock } from '../runtime/testing/fake-clock.ts';
import { watchRollout } from './watched-rollout.ts';

/** What the command line says when the API server cannot be followed. */

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
const churn = {
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'ModelDeployment',
  metadata: { name: 'churn', namespace: 'shop', uid: 'u1', resourceVersion: '5' },
  spec: { model: { uri: 's3://models/churn/7/' }, rollout: { strategy: 'Canary' } },
  status: { rollout: { action: '@churn-9c1d#3' } },
};

/** An API server with one ModelDeployment, that goes away, or lists no pods, once an action was written. */
async function abortAt(trouble: 'pods are forbidden' | 'the server goes away') {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      const answer = (status: number, json: object): void => {
        response.writeHead(status, { 'Content-Type': 'application/json' });
        response.end(JSON.stringify(json));
      };
      const url = request.url ?? '';
      if (url.includes('selfsubjectreviews')) {
        answer(201, { metadata: { name: '' }, status: { userInfo: { username: 'dana' } } });
      } else if (url.includes('/pods')) {
        const message = 'pods is forbidden: User "dana" cannot list resource "pods"';
        answer(403, { kind: 'Status', reason: 'Forbidden', code: 403, message });
      } else {
        answer(200, churn);
        if (request.method === 'PATCH' && trouble === 'the server goes away') {
          response.once('finish', () => {
            server.close();
            server.closeAllConnections();
          });
        }
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const directory = await mkdtemp(join(tmpdir(), 'lost-server-'));
  onTestFinished(async () => {
    server.close();
    server.closeAllConnections();
    await rm(directory, { recursive: true });
  });
  const kubeconfig = join(directory, 'kubeconfig');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const config = {
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u', namespace: 'shop' } }],
    clusters: [{ name: 'c', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user: { token: 't' } }],
  };
  await writeFile(kubeconfig, JSON.stringify(config));
  const child = spawn(process.execPath, [MAIN, 'abort', 'churn', '--kubeconfig', kubeconfig]);
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const [code] = await once(child, 'close');
  return { code, errors };
}

test.each([
  ['pods are forbidden', /cannot list resource "pods"/],
  ['the server goes away', /ECONNREFUSED|closed|reset|hang up|terminated/i],
] as const)(
  'an action whose outcome cannot be followed, since %s, is told as written, with why',
  async (trouble, why) => {
    const { code, errors } = await abortAt(trouble);
    expect(errors).toMatch(/^error: asked for abort@churn-9c1d#3, but what comes of it cannot be seen: /);
    expect(errors).toMatch(why);
    expect(code).toBe(1);
  },
  60_000,
);

/** Answers reads as long as it is there, and never a watch. */
class Server implements Transport {
  trouble: Error | undefined;

  async json({ path }: ApiRequest): Promise<unknown> {
    if (this.trouble !== undefined) throw this.trouble;
    if (path.includes('/modeldeployments/churn')) return churn;
    return { metadata: { resourceVersion: '5' }, items: path.includes('/pods') ? [] : [churn] };
  }

  async *stream(_path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    await once(signal, 'abort');
    yield* [];
  }

  async close(): Promise<void> {}
}

function follow(server: Server) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const seen: (ModelDeployment | undefined)[] = [];
  const lost: (string | undefined)[] = [];
  const watcher = {
    changed: (view: { readonly object: ModelDeployment } | undefined) => seen.push(view?.object),
    lost: (problem: string | undefined) => lost.push(problem),
  };
  const client = new ApiClient(server, 'test');
  const watching = watchRollout(client, { namespace: 'shop', name: 'churn' }, stop.signal, watcher, clock);
  return { clock, stop, seen, lost, watching };
}

test('a watch says when the API server is not heard from any more, and when it is again', async () => {
  const server = new Server();
  const { clock, stop, seen, lost, watching } = follow(server);
  await expect.poll(() => seen).toHaveLength(1);
  await clock.advance(30_000);
  expect(lost).toEqual([]);
  server.trouble = new ConnectionError('GET /', new Error('connect ECONNREFUSED'));
  await clock.advance(10_000);
  await clock.advance(10_000);
  expect(lost).toEqual(['GET /: connect ECONNREFUSED']);
  server.trouble = undefined;
  await clock.advance(10_000);
  expect(lost).toEqual(['GET /: connect ECONNREFUSED', undefined]);
  stop.abort();
  await watching;
});

test('a watch that could never begin ends when it is told to', async () => {
  const server = new Server();
  server.trouble = new ApiError('GET /', 403, { reason: 'Forbidden', message: 'pods is forbidden' });
  const { clock, stop, seen, lost, watching } = follow(server);
  await clock.advance(10_000);
  expect(lost).toHaveLength(1);
  stop.abort();
  await watching;
  expect(seen).toEqual([]);
});
