import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApiError, ConnectionError } from './api-error.ts';
import { type ApiCall, KubeTransport, type TransportOptions } from './kube-transport.ts';
import { FakeClock } from './testing/fake-clock.ts';

let directory: string;
let tokenFile: string;
let server: Server | undefined;
let transport: KubeTransport | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fairlead-transport-'));
  tokenFile = join(directory, 'token');
  await writeFile(tokenFile, 'first\n');
});
afterEach(async () => {
  await transport?.close();
  server?.closeAllConnections();
  server?.close();
  await rm(directory, { recursive: true });
});

async function connect(listener: RequestListener, options: Partial<TransportOptions> = {}) {
  const listening = createServer(listener);
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'c', server: `http://127.0.0.1:${(listening.address() as AddressInfo).port}/prefix/`, skipTLSVerify: true },
    { name: 'u', authProvider: { name: 'tokenFile', config: { tokenFile } } },
  );
  const calls: ApiCall[] = [];
  const clock = new FakeClock();
  transport = new KubeTransport(config, { clock, onCall: (call) => calls.push(call), ...options });
  return { transport, calls, clock };
}

describe('the transport', () => {
  test('sends the token without its newline, below the path of the server, and JSON both ways', async () => {
    const { transport, calls } = await connect((request, response) => {
      request.setEncoding('utf8').on('data', (body) => {
        const { url, headers } = request;
        response.end(
          JSON.stringify({ url, authorization: headers.authorization, type: headers['content-type'], body }),
        );
      });
    });
    const answer = await transport.json({
      method: 'PATCH',
      path: '/api/x?y=1',
      body: { a: 1 },
      contentType: 'application/merge-patch+json',
    });
    expect(answer).toEqual({
      url: '/prefix/api/x?y=1',
      authorization: 'Bearer first',
      type: 'application/merge-patch+json',
      body: '{"a":1}',
    });
    expect(calls).toMatchObject([{ method: 'PATCH', path: '/api/x?y=1', status: 200 }]);
  });

  test('turns a refusal into its reason, its causes and when to come back', async () => {
    const { transport } = await connect((_request, response) => {
      response.writeHead(429, { 'retry-after': '7' });
      response.end(JSON.stringify({ kind: 'Status', reason: 'TooManyRequests', message: 'slow down', code: 429 }));
    });
    const error = await transport.json({ method: 'GET', path: '/x' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 429, reason: 'TooManyRequests', retryAfterMs: 7_000 });
    expect(String(error)).toContain('GET /x: 429 TooManyRequests: slow down');
  });

  test('keeps the words of a proxy that answers in no JSON', async () => {
    const { transport } = await connect((_request, response) => {
      response.writeHead(502);
      response.end('<html>bad gateway</html>');
    });
    await expect(transport.json({ method: 'GET', path: '/x' })).rejects.toThrow(
      '502 Unknown: <html>bad gateway</html>',
    );
  });

  test('gives up on a server that takes the request and stays silent', async () => {
    const { transport, calls } = await connect(() => undefined, { requestTimeoutMs: 100 });
    await expect(transport.json({ method: 'GET', path: '/x' })).rejects.toBeInstanceOf(ConnectionError);
    expect(calls).toMatchObject([{ status: 0 }]);
  });

  test('takes another connection after a request that was cut off', async () => {
    const ports = new Set<number | undefined>();
    const { transport } = await connect(
      (request, response) => {
        ports.add(request.socket.remotePort);
        if (ports.size > 1) response.end('{}');
        else cut.abort(new Error('too late'));
      },
      { maxConnections: 1 },
    );
    const cut = new AbortController();
    const hanging = transport.json({ method: 'GET', path: '/x', signal: cut.signal });
    await expect(hanging).rejects.toThrow('GET /x: too late');
    expect(await transport.json({ method: 'GET', path: '/x' })).toEqual({});
    expect(ports.size).toBe(2);
  });

  test('names the address when nothing listens', async () => {
    const { transport } = await connect(() => undefined);
    server?.close();
    await expect(transport.json({ method: 'GET', path: '/x' })).rejects.toThrow(/GET \/x: .*ECONNREFUSED/);
  });

  test('reads credentials again when they are half a minute old', async () => {
    const seen: (string | undefined)[] = [];
    const { transport, clock } = await connect((request, response) => {
      seen.push(request.headers.authorization);
      response.end('{}');
    });
    await transport.json({ method: 'GET', path: '/x' });
    await writeFile(tokenFile, 'second\n');
    await clock.advance(29_000);
    await transport.json({ method: 'GET', path: '/x' });
    await clock.advance(2_000);
    await transport.json({ method: 'GET', path: '/x' });
    expect(seen).toEqual(['Bearer first', 'Bearer first', 'Bearer second']);
  });

  test('reads credentials again when they are half a minute old though the wall clock was put back', async () => {
    const seen: (string | undefined)[] = [];
    const { transport, clock } = await connect((request, response) => {
      seen.push(request.headers.authorization);
      response.end('{}');
    });
    await transport.json({ method: 'GET', path: '/x' });
    await writeFile(tokenFile, 'second\n');
    clock.putBack(7_200_000);
    await clock.advance(31_000);
    await transport.json({ method: 'GET', path: '/x' });
    expect(seen).toEqual(['Bearer first', 'Bearer second']);
  });

  test('signs in with the token that is there now when the one before is refused', async () => {
    const { transport } = await connect((request, response) => {
      if (request.headers.authorization !== 'Bearer second') response.writeHead(401);
      response.end('{"reason":"Unauthorized"}');
    });
    await expect(transport.json({ method: 'GET', path: '/x' })).rejects.toMatchObject({ status: 401 });
    await writeFile(tokenFile, 'second\n');
    expect(await transport.json({ method: 'GET', path: '/x' })).toBeDefined();
  });

  test('tries once more with fresh credentials when they are refused, and then says so', async () => {
    let requests = 0;
    const { transport } = await connect((_request, response) => {
      requests += 1;
      response.writeHead(401);
      response.end('{"reason":"Unauthorized","message":"token has expired"}');
    });
    await expect(transport.json({ method: 'GET', path: '/x' })).rejects.toMatchObject({ status: 401 });
    expect(requests).toBe(2);
  });

  test('a stream that goes silent ends with an error', async () => {
    const { transport } = await connect((_request, response) => void response.write('{"a":1}\n'), {
      watchIdleTimeoutMs: 600,
    });
    const chunks: string[] = [];
    const read = async (): Promise<void> => {
      for await (const chunk of transport.stream('/x', new AbortController().signal))
        chunks.push(Buffer.from(chunk).toString());
    };
    await expect(read()).rejects.toBeInstanceOf(ConnectionError);
    expect(chunks).toEqual(['{"a":1}\n']);
  });
});
