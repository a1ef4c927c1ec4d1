import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { CountsReader, httpCounts, MAX_COUNTS_BYTES } from './reader.ts';

const COUNTS = JSON.stringify({ instance: 'a1', inFlight: 0, revisions: {} });
const source = { uid: 'u-1', name: 'router-a', address: '127.0.0.1' };
const signal = new AbortController().signal;

let tidy: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(tidy.map((end) => end()));
  tidy = [];
});

async function readerOf(answer: (server: { asked: number }) => { status?: number; body: string }) {
  const seen = { asked: 0 };
  const server: Server = createServer((_request, response) => {
    seen.asked += 1;
    const { status = 200, body } = answer(seen);
    response.writeHead(status);
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const http = httpCounts();
  tidy.push(
    () => new Promise((resolve) => server.close(resolve)),
    () => http.close(),
  );
  let nowMs = 0;
  const reader = new CountsReader({
    fetch: http.fetch,
    clock: { monotonic: () => nowMs },
    port: (server.address() as AddressInfo).port,
    timeoutMs: 60_000,
  });
  return { reader, seen, wait: (ms: number) => (nowMs += ms) };
}

describe('the counts of a pod', () => {
  test('are what it tells', async () => {
    const { reader } = await readerOf(() => ({ body: COUNTS }));
    expect(await reader.read([source], signal)).toEqual([{ source, snapshot: JSON.parse(COUNTS) }]);
  });

  test.each([
    ['an answer that is no JSON', { body: '<html>' }, 'Unexpected token'],
    ['another status', { status: 503, body: COUNTS }, 'status 503'],
    ['counts without what they must have', { body: '{"instance":"a"}' }, 'not counts as they should be'],
    ['more than is taken in', { body: ' '.repeat(MAX_COUNTS_BYTES + 1) }, `more than ${MAX_COUNTS_BYTES} bytes`],
  ])('are a failure with its reason for %s', async (_rule, answer, reason) => {
    const { reader } = await readerOf(() => answer);
    const [reading] = await reader.read([source], signal);
    expect(reading).toMatchObject({ failure: expect.stringContaining(reason) });
    expect(reading).toMatchObject({ failure: expect.stringContaining('pod router-a') });
  });

  test('are read once for all that ask within a moment, and anew after it', async () => {
    const { reader, seen, wait } = await readerOf(() => ({ body: COUNTS }));
    await Promise.all([reader.read([source], signal), reader.read([source], signal)]);
    await reader.read([source], signal);
    expect(seen.asked).toBe(1);
    wait(500);
    await reader.read([source], signal);
    expect(seen.asked).toBe(2);
  });
});
