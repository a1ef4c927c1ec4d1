import { expect, test } from 'vitest';
import { parseReading, type RecordedReading } from '../../rollout/analysis/record.ts';
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

test('what queries give is recorded too, also where it is no number of JSON, so that it can be judged again', async () => {
  const answers = [
    { samples: [0.97, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY] },
    { failure: 'no answer' },
  ];
  const ask = async () => new Map([['revenue', answers.shift() ?? { samples: [] }]]);
  const readings = await recorded({ ...options(), ask });
  expect(readings.map(({ queries }) => queries?.revenue)).toEqual([
    { samples: [0.97, 'NaN', '+Inf', '-Inf'] },
    { failure: 'no answer' },
    { samples: [] },
  ]);
  for (const reading of readings) expect(parseReading(JSON.stringify(reading), 1)).toEqual(reading);
});
