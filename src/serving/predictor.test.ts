import { expect, test } from 'vitest';
import { ServingMetrics } from '../telemetry/serving-metrics.ts';
import { ServedCounter } from './counts/server-counts.ts';
import { MemoryBudget } from './memory-budget.ts';
import { type Client, Predictor } from './predictor.ts';
import { STRING_HEAP_BYTES } from './protocol/heap-limits.ts';
import { ModelSignature } from './protocol/model-signature.ts';
import type { Tensor, TensorData, TensorSpec } from './tensor.ts';
import { FakeClock } from './testing/fake-clock.ts';
import { FakeSession } from './testing/fake-session.ts';

const y: Tensor = { name: 'y', datatype: 'INT32', shape: [1], data: Int32Array.of(7) };

const X: TensorSpec = { name: 'x', datatype: 'INT32', shape: [1] };

function setUp({ input = X, maxStringBytes = 0 } = {}) {
  const clock = new FakeClock();
  const run = Promise.withResolvers<readonly Tensor[]>();
  const session = new FakeSession({ inputs: [input], run: () => run.promise });
  const counts = new ServedCounter();
  const predictor = new Predictor({
    name: 'm',
    version: undefined,
    signature: new ModelSignature(session.inputs, session.outputs),
    session,
    batching: { maxBatchSize: 1, maxDelayMs: 0, maxQueueSize: 10 },
    cache: undefined,
    strings: new MemoryBudget('strings', maxStringBytes),
    log: undefined,
    metrics: (queueDepth) => new ServingMetrics().forModel('m', '', queueDepth, 0),
    counts,
    clock,
  });
  const ask = (data: TensorData = y.data) => {
    const client: Client = { onGone: undefined };
    const question = { inputs: [{ ...input, data }], outputNames: ['y'] };
    const answer = predictor.serve(
      client,
      () => question,
      () => 'answered',
    );
    return { client, answer };
  };
  return { clock, run, session, counts, ask };
}

test('a request whose client gave up while the model ran is counted then: a model that hangs never ends it', async () => {
  const { clock, run, session, counts, ask } = setUp();
  const { client, answer } = ask();
  await clock.endTurn();
  expect(session.runs).toHaveLength(1);
  await clock.advance(1_500);
  client.onGone?.();
  expect(counts.requests.snapshot()).toMatchObject({ requests: 0, cancelled: 1, latency: { sumSeconds: 1.5 } });
  run.resolve([y]);
  expect(await answer).toBe('answered');
  expect(counts.requests.snapshot()).toMatchObject({ requests: 0, cancelled: 1, latency: { sumSeconds: 1.5 } });
  expect(counts.predictions.snapshot()).toMatchObject({ y: { counts: { 7: 1 } } });
});

test('a request that leaves the queue with its client is counted once', async () => {
  const { clock, counts, ask } = setUp();
  ask();
  await clock.endTurn();
  const { client, answer } = ask();
  client.onGone?.();
  await expect(answer).rejects.toMatchObject({ code: 'Cancelled' });
  expect(counts.requests.snapshot()).toMatchObject({ requests: 0, cancelled: 1 });
});

test('the strings of all requests that wait are bounded; usual requests, of a few, always pass', async () => {
  const input: TensorSpec = { name: 'x', datatype: 'BYTES', shape: [-1] };
  const { clock, run, ask } = setUp({ input, maxStringBytes: 100 * STRING_HEAP_BYTES });
  const strings = (count: number) => new Array<Uint8Array>(count).fill(Buffer.from('a'));
  const waiting = ask(strings(80)).answer;
  await expect(ask(strings(80)).answer).rejects.toMatchObject({
    code: 'QueueFull',
    message: 'strings of other requests fill 16000 of 20000 bytes',
  });
  const usual = ask(strings(64)).answer;
  run.resolve([y]);
  await clock.endTurn();
  expect(await waiting).toBe('answered');
  await clock.endTurn();
  expect(await usual).toBe('answered');
  const later = ask(strings(80)).answer;
  await clock.endTurn();
  expect(await later).toBe('answered');
});
