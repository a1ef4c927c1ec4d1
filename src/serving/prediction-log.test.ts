import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { PredictionLog, type PredictionLogOptions } from './prediction-log.ts';
import { rowsOfTwo } from './testing/fake-session.ts';

const prediction = {
  model: 'm',
  version: '7',
  id: 'a',
  inputs: [rowsOfTwo(1)],
  outputs: [rowsOfTwo(1)],
  latencyMs: 1.23456,
};

function setUp(options: Partial<PredictionLogOptions> = {}) {
  const written: string[] = [];
  let dropped = 0;
  const log = new PredictionLog({
    samplingRate: 1,
    write: async (text) => void written.push(text),
    random: () => 0,
    now: () => new Date(0),
    onDropped: (records) => {
      dropped += records;
    },
    ...options,
  });
  return { log, written, dropped: () => dropped };
}

test('a prediction is one line of JSON', async () => {
  const { log, written } = setUp();
  log.record(prediction);
  await log.flush();
  expect(written.join('').endsWith('\n')).toBe(true);
  expect(JSON.parse(written.join(''))).toEqual({
    timestamp: '1970-01-01T00:00:00.000Z',
    message: 'prediction',
    model: 'm',
    version: '7',
    id: 'a',
    latencyMs: 1.235,
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [0, 1] }],
    outputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [0, 1] }],
  });
});

test('the sampling rate is the share of predictions that are logged', async () => {
  const draws = [0.05, 0.1, 0.5, 0.09];
  const { log, written } = setUp({ samplingRate: 0.1, random: () => draws.shift() ?? 1 });
  for (let count = 0; count < 4; count++) log.record(prediction);
  await log.flush();
  expect(written.join('').trim().split('\n')).toHaveLength(2);
});

test('large tensors are cut, and say so; bytes that are not text do no harm', async () => {
  const { log, written } = setUp();
  const bytes = { name: 't', datatype: 'BYTES', shape: [1], data: [Uint8Array.of(0xff)] } as const;
  log.record({ ...prediction, inputs: [rowsOfTwo(5000), bytes] });
  await log.flush();
  const [large] = JSON.parse(written.join('')).inputs;
  expect(large).toMatchObject({ shape: [5000, 2], isTruncated: true });
  expect(large.data).toHaveLength(1024);
});

test('when nobody reads the log, records are dropped and counted; memory is bounded and nobody waits', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { log, dropped } = setUp({ write: () => promise });
  for (let count = 0; count < 3000; count++) log.record({ ...prediction, inputs: [rowsOfTwo(400)] });
  expect(dropped()).toBeGreaterThan(1000);
  resolve();
  await log.flush();
});

test('a sink that fails loses records but not the server', async () => {
  const { log, dropped } = setUp({ write: async () => Promise.reject(new Error('EPIPE')) });
  log.record(prediction);
  await log.flush();
  log.record(prediction);
  await log.flush();
  log.record(prediction);
  log.record(prediction);
  log.record(prediction);
  await log.flush();
  expect(dropped()).toBe(5);
});

test('a reader of stdout that is slow gets every record whole, and the event loop never waits for it', async () => {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('testing/log-predictions.ts', import.meta.url)), '2000'],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  child.stdout.pause();
  // The program says so only once everything is recorded, though nothing is read yet.
  await once(child.stderr, 'data');
  const lines = (await text(child.stdout)).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line).id)).toEqual(Array.from({ length: 2000 }, (_, index) => String(index)));
});
