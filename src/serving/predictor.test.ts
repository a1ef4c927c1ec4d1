import { expect, test } from 'vitest';
import { ServingMetrics } from '../telemetry/serving-metrics.ts';
import { ServedCounter } from './counts/server-counts.ts';
import { type Client, Predictor } from './predictor.ts';
import { ModelSignature } from './protocol/model-signature.ts';
import type { Tensor } from './tensor.ts';
import { FakeClock } from './testing/fake-clock.ts';
import { FakeSession } from './testing/fake-session.ts';

const y: Tensor = { name: 'y', datatype: 'INT32', shape: [1], data: Int32Array.of(7) };

function setUp() {
  const clock = new FakeClock();
  const run = Promise.withResolvers<readonly Tensor[]>();
  const session = new FakeSession({ run: () => run.promise });
  const counts = new ServedCounter();
  const predictor = new Predictor({
    name: 'm',
    version: undefined,
    signature: new ModelSignature(session.inputs, session.outputs),
    session,
    batching: { maxBatchSize: 1, maxDelayMs: 0, maxQueueSize: 10 },
    cache: undefined,
    log: undefined,
    metrics: (queueDepth) => new ServingMetrics().forModel('m', '', queueDepth, 0),
    counts,
    clock,
  });
  const ask = () => {
    const client: Client = { onGone: undefined };
    const question = { inputs: [{ ...y, name: 'x' }], outputNames: ['y'] };
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
