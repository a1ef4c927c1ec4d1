import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PrometheusOptions, startPrometheusServer } from '../../e2e/services/prometheus-server.ts';
import type { RunningService } from '../../e2e/services/service.ts';
import { PrometheusError, prometheusClient } from './prometheus.ts';

/** What a real server answers. */

/** A first run on a machine fetches Prometheus. */
const WITH_DOWNLOAD_MS = 300_000;
/** Takes a server seconds: a sample a millisecond. */
const LONG_QUERY = 'max(sum_over_time(vector(1)[10m:1ms]))';
const client = prometheusClient();
const started: RunningService[] = [];
let server: RunningService;

async function start(options: PrometheusOptions = {}): Promise<RunningService> {
  const service = await startPrometheusServer(options);
  started.push(service);
  return service;
}

beforeAll(async () => {
  server = await start();
}, WITH_DOWNLOAD_MS);
afterAll(async () => {
  await client.close();
  for (const service of started) await service.stop();
});

const ask = (query: string, timeoutMs = 20_000, address = server.url) =>
  client.query({ address, query, timeoutMs }, new AbortController().signal);

test.each<[string, string, readonly number[]]>([
  ['a scalar', '0.0003', [0.0003]],
  ['a series', 'vector(1.5)', [1.5]],
  ['several series', 'sort(label_replace(vector(-2), "a", "b", "", "") or vector(1.5))', [-2, 1.5]],
  ['no series', 'absent(vector(1))', []],
  ['no number', 'vector(0) / 0', [Number.NaN]],
  ['infinite ones', 'sort(vector(1) / 0 or label_replace(vector(-1) / 0, "a", "b", "", ""))', [-Infinity, Infinity]],
  ['a comparison that holds for no series', 'vector(1) > 2', []],
])('the numbers of %s', async (_, query, numbers) => {
  await expect(ask(query)).resolves.toEqual(numbers);
});

test.each<[string, string, RegExp]>([
  ['a range vector', 'up[5m]', /^the query gives a matrix; a scalar or an instant vector of plain numbers is needed$/],
  ['a text', '"text"', /^the query gives a string;/],
  [
    'a query that is none',
    'rate(',
    /^the query was refused \(status 400\): bad_data: .*parse error: unclosed left paren/,
  ],
  [
    'a query that cannot be computed',
    'vector(1) + on() (vector(1) or label_replace(vector(1), "a", "b", "", ""))',
    /^the query was refused \(status 422\): execution: found duplicate series .*many-to-many matching not allowed/,
  ],
])('%s gives no numbers, and the reason is told', async (_, query, reason) => {
  const refused = ask(query);
  await expect(refused).rejects.toThrow(PrometheusError);
  await expect(refused).rejects.toThrow(reason);
});

test('a server that gives a query up earlier than it would have to says so itself', async () => {
  const impatient = await start({ queryTimeout: '1ms' });
  const refused = ask(LONG_QUERY, 60_000, impatient.url);
  await expect(refused).rejects.toThrow(/^the query was refused \(status 503\): timeout: query timed out/);
}, 300_000);

test('a server that has stopped cannot be asked, and can when it is back', async () => {
  const first = await start();
  await expect(ask('1', 20_000, first.url)).resolves.toEqual([1]);
  await first.stop();
  await expect(ask('1', 20_000, first.url)).rejects.toThrow(/cannot be asked: .*ECONNREFUSED/);
  const second = await start({ port: Number(first.address.split(':')[1]) });
  await expect(ask('1', 20_000, second.url)).resolves.toEqual([1]);
}, 300_000);
