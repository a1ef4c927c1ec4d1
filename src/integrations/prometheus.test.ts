import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type PrometheusClient, PrometheusError, prometheusClient } from './prometheus.ts';

/** What only a fake server does; a real one is asked in prometheus-server.test.ts. */

let client: PrometheusClient;
let answer: RequestListener;
let asked: URL[] = [];
const server = createServer((request, response) => {
  asked.push(new URL(request.url ?? '', 'http://server'));
  answer(request, response);
});
let address: string;

beforeEach(async () => {
  asked = [];
  client = prometheusClient();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await client.close();
});

const says =
  (body: unknown, status = 200): RequestListener =>
  (_, response) => {
    response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));
  };
const ask = (more: { timeoutMs?: number; address?: string } = {}, signal = new AbortController().signal) =>
  client.query({ address, query: 'rate(x[5m]) > 0', timeoutMs: 20_000, ...more }, signal);

test('numbers are asked for with the query and the time that an answer may take, under any path', async () => {
  answer = says({ status: 'success', data: { resultType: 'scalar', result: [1, '1'] } });
  await ask({ address: `${address}/prometheus/` });
  expect(asked[0]?.pathname).toBe('/prometheus/api/v1/query');
  expect(asked[0]?.searchParams.get('query')).toBe('rate(x[5m]) > 0');
  expect(asked[0]?.searchParams.get('timeout')).toBe('20000ms');
});

test.each(['x?y=', 'x#', 'x?y#z', 'x?'])('nothing but a query is asked for, also at the address /%s', async (path) => {
  answer = says({ status: 'success', data: { resultType: 'scalar', result: [1, '1'] } });
  await ask({ address: `${address}/${path}` });
  expect(asked[0]?.pathname).toBe('/x/api/v1/query');
  expect([...(asked[0]?.searchParams.keys() ?? [])]).toEqual(['query', 'timeout']);
});

test('many are asked at once: none waits for the answers of others while its time runs out', async () => {
  const waiting: (() => void)[] = [];
  answer = (_request, response) => {
    waiting.push(() =>
      response.end(JSON.stringify({ status: 'success', data: { resultType: 'scalar', result: [1, '1'] } })),
    );
    if (waiting.length === 16) for (const end of waiting) end();
  };
  await expect(Promise.all(Array.from({ length: 16 }, () => ask()))).resolves.toHaveLength(16);
});

describe('no numbers, with the reason', () => {
  test.each<[string, unknown, number, RegExp]>([
    [
      'histograms',
      { status: 'success', data: { resultType: 'vector', result: [{ metric: {}, histogram: [] }] } },
      200,
      /gives histograms;/,
    ],
    ['another server', '<html>secret</html>', 200, /^the answer \(status 200\) is not that of a Prometheus server$/],
    ['other JSON', { token: 'secret' }, 200, /^the answer \(status 200\) is not that of a Prometheus server$/],
    ['a server that is starting', 'Service Unavailable', 503, /^the server is not ready \(status 503\)$/],
    ['a redirect, which is not followed', '', 302, /^the answer \(status 302\) is not that/],
    ['an answer without end', 'x'.repeat(2 * 1024 * 1024), 200, /more than 1048576 bytes/],
  ])('%s', async (_, body, status, reason) => {
    answer = says(body, status);
    const refused = ask();
    await expect(refused).rejects.toThrow(PrometheusError);
    await expect(refused).rejects.toThrow(reason);
  });

  test('no answer in time', async () => {
    answer = () => undefined;
    await expect(ask({ timeoutMs: 100 })).rejects.toThrow(/did not answer within 100 ms/);
  });

  test('an answer that begins and does not end', async () => {
    answer = (_, response) => response.writeHead(200).write('{"status":');
    await expect(ask({ timeoutMs: 100 })).rejects.toThrow(/did not answer within 100 ms/);
  });

  test('an operator that stops', async () => {
    answer = () => undefined;
    const stop = new AbortController();
    const refused = ask({}, stop.signal);
    stop.abort(new Error('the operator stops'));
    await expect(refused).rejects.toThrow(/cannot be asked: the operator stops/);
  });
});
