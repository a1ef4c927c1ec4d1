import { expect, test } from 'vitest';
import type { RecordedReading } from '../../rollout/analysis/record.ts';
import { type RecordOptions, recordCounts } from './record-counts.ts';

const counts = { instance: 'one', inFlight: 0, revisions: {} };

function options(stopAfterMs = Number.POSITIVE_INFINITY) {
  let nowMs = 1_000;
  const stop = new AbortController();
  return {
    signal: stop.signal,
    routers: ['http://router/counts'],
    servers: ['http://server/counts'],
    intervalMs: 10_000,
    durationMs: 25_000,
    now: () => nowMs,
    delay: async (ms: number) => {
      nowMs += ms;
      if (nowMs >= stopAfterMs) stop.abort();
    },
    read: async (url: string) => {
      nowMs += 300;
      if (url.includes('server')) throw new Error('connection refused');
      return counts;
    },
  };
}

async function recorded({ signal, ...options }: RecordOptions & { readonly signal: AbortSignal }) {
  const readings: RecordedReading[] = [];
  for await (const reading of recordCounts(options, signal)) readings.push(reading);
  return readings;
}

test('a reading is made now and after each interval, however long reading takes, and what failed is recorded as such', async () => {
  const readings = await recorded(options());
  expect(readings.map(({ atMs }) => atMs)).toEqual([1_000, 11_000, 21_000]);
  expect(readings[0]).toMatchObject({
    routers: [{ source: 'http://router/counts', counts }],
    servers: [{ source: 'http://server/counts', failure: 'connection refused' }],
  });
});

test('it ends when it is told to', async () => {
  expect(await recorded(options(11_000))).toHaveLength(1);
});
