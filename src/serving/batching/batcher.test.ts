import { expect, test } from 'vitest';
import type { Tensor } from '../tensor.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { rowsOfTwo } from '../testing/fake-session.ts';
import { Batcher, type BatcherOptions } from './batcher.ts';

/** A batcher whose engine answers when the test says so. */
function setUp(options: Partial<BatcherOptions> = {}, engine?: (inputs: readonly Tensor[]) => readonly Tensor[]) {
  const clock = new FakeClock();
  const runs: { readonly rows: number; readonly finish: () => Promise<void> }[] = [];
  const observed: { rowCounts: readonly number[]; waitedMs: readonly number[] }[] = [];
  const run = (inputs: readonly Tensor[]): Promise<readonly Tensor[]> => {
    const { promise, resolve, reject } = Promise.withResolvers<readonly Tensor[]>();
    const finish = async (): Promise<void> => {
      try {
        resolve(engine?.(inputs) ?? inputs);
      } catch (error) {
        reject(error);
      }
      await clock.advance(0);
    };
    runs.push({ rows: inputs[0]?.shape[0] ?? 0, finish });
    return promise;
  };
  const batcher = new Batcher(
    run,
    { maxBatchSize: 8, maxDelayMs: 0, maxQueueSize: 100, ...options },
    { batchStarted: (rowCounts, waitedMs) => observed.push({ rowCounts, waitedMs }) },
    clock,
  );
  const submit = (rows = 1, first = 0) => batcher.submit([rowsOfTwo(rows, first)], ['y']);
  return { clock, runs, observed, batcher, submit };
}

const values = async (job: { outputs: Promise<readonly Tensor[]> }) =>
  Array.from((await job.outputs)[0]?.data as Float32Array);

test('a request that finds the batcher idle runs at the end of the turn, whatever the configured delay', async () => {
  const { clock, runs, submit } = setUp({ maxDelayMs: 1000 });
  const job = submit();
  await clock.endTurn();
  expect(runs.map(({ rows }) => rows)).toEqual([1]);
  expect(clock.waiting).toBe(0);
  await runs[0]?.finish();
  expect(await values(job)).toEqual([0, 1]);
});

test('requests of one turn share a run, and each gets its own rows', async () => {
  const { clock, runs, observed, submit } = setUp();
  const jobs = [submit(1, 10), submit(2, 20), submit(1, 30)];
  await clock.endTurn();
  expect(observed).toEqual([{ rowCounts: [1, 2, 1], waitedMs: [0, 0, 0] }]);
  await runs[0]?.finish();
  expect(await Promise.all(jobs.map(values))).toEqual([
    [10, 11],
    [20, 21, 22, 23],
    [30, 31],
  ]);
});

test('requests that come while the engine is busy share the next run', async () => {
  const { clock, runs, observed, submit } = setUp();
  submit();
  await clock.endTurn();
  submit();
  await clock.advance(5);
  submit();
  await clock.endTurn();
  expect(runs).toHaveLength(1);
  await runs[0]?.finish();
  await clock.endTurn();
  expect(observed[1]).toEqual({ rowCounts: [1, 1], waitedMs: [5, 0] });
});

test('a run never has more rows than allowed, but a larger request runs alone', async () => {
  const { clock, runs, submit } = setUp({ maxBatchSize: 4 });
  for (const rows of [3, 2, 9, 1, 1]) submit(rows);
  for (let turn = 0; turn < 4; turn++) {
    await clock.endTurn();
    await runs[turn]?.finish();
  }
  expect(runs.map(({ rows }) => rows)).toEqual([3, 2, 9, 2]);
});

test('a batch size of 1 turns batching off', async () => {
  const { clock, runs, submit } = setUp({ maxBatchSize: 1 });
  submit(2);
  submit(1);
  await clock.endTurn();
  await runs[0]?.finish();
  await clock.endTurn();
  expect(runs.map(({ rows }) => rows)).toEqual([2, 1]);
});

test('under load a batch waits for more, at most the delay from its first request, and not once it is full', async () => {
  const { clock, runs, submit } = setUp({ maxBatchSize: 3, maxDelayMs: 10 });
  submit();
  submit();
  await clock.endTurn();
  await runs[0]?.finish();
  submit();
  await clock.endTurn();
  expect(runs).toHaveLength(1);
  await clock.advance(9);
  expect(runs).toHaveLength(1);
  await clock.advance(1);
  expect(runs).toHaveLength(2);
  await runs[1]?.finish();
  submit();
  submit();
  await clock.endTurn();
  await runs[2]?.finish();
  for (let count = 0; count < 3; count++) submit();
  await clock.endTurn();
  expect(runs.map(({ rows }) => rows)).toEqual([2, 1, 2, 3]);
  expect(clock.waiting).toBe(0);
});

test('a full batch does not wait behind an older one that is held back', async () => {
  const { clock, runs, batcher, submit } = setUp({ maxBatchSize: 3, maxDelayMs: 10 });
  const wide: Tensor = { name: 'x', datatype: 'FP32', shape: [3, 3], data: new Float32Array(9) };
  submit();
  submit();
  await clock.endTurn();
  submit();
  await clock.advance(1);
  batcher.submit([wide], ['y']);
  await runs[0]?.finish();
  await clock.endTurn();
  expect(runs.map(({ rows }) => rows)).toEqual([2, 3]);
  await runs[1]?.finish();
  await clock.endTurn();
  expect(runs.map(({ rows }) => rows)).toEqual([2, 3, 1]);
});

test('a delay that passes after the load has gone is not waited again', async () => {
  const { clock, runs, submit } = setUp({ maxDelayMs: 10 });
  submit();
  submit();
  await clock.endTurn();
  await runs[0]?.finish();
  submit();
  await clock.endTurn();
  await clock.advance(10);
  await runs[1]?.finish();
  submit();
  await clock.endTurn();
  expect(runs).toHaveLength(3);
});

test('requests of different shapes or outputs never meet; the oldest goes first', async () => {
  const { clock, runs, batcher, submit } = setUp();
  const wide: Tensor = { name: 'x', datatype: 'FP32', shape: [1, 3], data: Float32Array.of(1, 2, 3) };
  submit();
  await clock.endTurn();
  const jobs = [batcher.submit([wide], ['y']), submit(), batcher.submit([wide], ['y']), batcher.submit([wide], ['z'])];
  for (let turn = 0; turn < 4; turn++) {
    await runs[turn]?.finish();
    await clock.advance(1);
    await clock.endTurn();
  }
  expect(runs.map(({ rows }) => rows)).toEqual([1, 2, 1, 1]);
  expect((await Promise.all(jobs.map(values))).map(({ length }) => length)).toEqual([3, 2, 3, 3]);
});

test('inputs that disagree in the number of rows run alone', async () => {
  const { clock, runs, batcher } = setUp();
  const uneven = [rowsOfTwo(1), { ...rowsOfTwo(2), name: 'b' }];
  batcher.submit(uneven, ['y']);
  batcher.submit(uneven, ['y']);
  await clock.endTurn();
  expect(runs).toHaveLength(1);
});

test('when a shared run fails each request is tried alone, so only the guilty one fails', async () => {
  const { clock, runs, observed, submit } = setUp({}, (inputs) => {
    if (Array.from(inputs[0]?.data as Float32Array).includes(13)) throw new Error('index 13 is out of bounds');
    return inputs;
  });
  const jobs = [submit(1, 0), submit(1, 12), submit(1, 20)];
  const results = Promise.allSettled(jobs.map(values));
  await clock.endTurn();
  for (let run = 0; run < 4; run++) await runs[run]?.finish();
  expect(await results).toEqual([
    { status: 'fulfilled', value: [0, 1] },
    { status: 'rejected', reason: new Error('index 13 is out of bounds') },
    { status: 'fulfilled', value: [20, 21] },
  ]);
  expect(observed).toEqual([{ rowCounts: [1, 1, 1], waitedMs: [0, 0, 0] }]);
});

test('outputs without a row for each row are never handed out: each request is run alone', async () => {
  const { clock, runs, submit } = setUp({}, (inputs) =>
    inputs.map((input) => ({ ...input, shape: [1, 2], data: input.data.slice(0, 2) })),
  );
  const jobs = [submit(1, 5), submit(1, 7)];
  const results = Promise.all(jobs.map(values));
  await clock.endTurn();
  for (let run = 0; run < 3; run++) await runs[run]?.finish();
  expect(await results).toEqual([
    [5, 6],
    [7, 8],
  ]);
});

test('a full queue refuses at once, and takes requests again when the engine has caught up', async () => {
  const { clock, runs, submit, batcher } = setUp({ maxQueueSize: 2 });
  submit();
  await clock.endTurn();
  submit();
  submit();
  expect(submit).toThrow(expect.objectContaining({ code: 'QueueFull' }));
  expect(batcher.queued).toBe(2);
  await runs[0]?.finish();
  await clock.endTurn();
  expect(batcher.queued).toBe(0);
  submit();
});

test('a cancelled request leaves the queue and is never run; one that runs already is not disturbed', async () => {
  const { clock, runs, submit, batcher } = setUp();
  const running = submit(1, 1);
  await clock.endTurn();
  const waiting = submit(1, 2);
  const kept = submit(1, 3);
  waiting.cancel();
  running.cancel();
  waiting.cancel();
  await expect(waiting.outputs).rejects.toMatchObject({ code: 'Cancelled' });
  expect(batcher.queued).toBe(1);
  await runs[0]?.finish();
  await clock.endTurn();
  await runs[1]?.finish();
  expect(runs.map(({ rows }) => rows)).toEqual([1, 1]);
  expect(await values(running)).toEqual([1, 2]);
  expect(await values(kept)).toEqual([3, 4]);
});
