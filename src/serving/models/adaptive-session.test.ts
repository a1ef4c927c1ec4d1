import { describe, expect, it } from 'vitest';
import type { SessionLike } from '../session.ts';
import { AdaptiveSession, INTOLERABLE_MS, MAX_BLOCKING_MS } from './adaptive-session.ts';
import { silent } from './load-fixture.ts';

class FakeSession implements SessionLike {
  readonly inputs = [];
  readonly outputs = [];
  readonly provider = 'cpu';
  readonly rowEvidence = { verdict: 'independent' } as const;
  runs = 0;
  closed = false;
  readonly #onRun: () => void;

  constructor(onRun: () => void = () => {}) {
    this.#onRun = onRun;
  }

  async run() {
    this.runs += 1;
    this.#onRun();
    return [];
  }

  async close() {
    this.closed = true;
  }
}

/** Plays runs of the given lengths; `openWorker` may fail. */
async function play(runsMs: readonly number[], openWorker?: (worker: FakeSession) => Promise<SessionLike>) {
  let nowMs = 0;
  let nextMs = 0;
  const inThread = new FakeSession(() => {
    nowMs += nextMs;
  });
  const worker = new FakeSession();
  const session = new AdaptiveSession(inThread, {
    openWorker: () => openWorker?.(worker) ?? Promise.resolve(worker),
    logger: silent,
    now: () => nowMs,
  });
  for (const runMs of runsMs) {
    nextMs = runMs;
    await session.run([], []);
    await session.settled;
  }
  return { session, inThread, worker };
}

const LONG = MAX_BLOCKING_MS * 2;

it.each([
  ['short runs stay', Array(50).fill(0.1), 0],
  ['runs just at the bound stay', Array(50).fill(MAX_BLOCKING_MS), 0],
  ['long runs move after a few', Array(10).fill(LONG), 3],
  ['one pause of the machine moves nothing', [...Array(10).fill(0.1), 500, ...Array(10).fill(0.1)], 0],
  ['runs that become long move', [...Array(20).fill(0.1), ...Array(8).fill(LONG)], 4],
])('%s', async (_name, runsMs, inWorker) => {
  const { inThread, worker } = await play(runsMs);
  expect(worker.runs).toBe(inWorker);
  expect(inThread.runs).toBe(runsMs.length - inWorker);
  expect(inThread.closed).toBe(inWorker > 0);
});

describe('one intolerable run', () => {
  /** Runs of the given length and number of rows, in this order; tells how many went to the worker. */
  async function playRows(runs: readonly (readonly [ms: number, rows: number])[]): Promise<number> {
    let nowMs = 0;
    let nextMs = 0;
    const worker = new FakeSession();
    const inThread = new FakeSession(() => {
      nowMs += nextMs;
    });
    const session = new AdaptiveSession(inThread, {
      openWorker: async () => worker,
      logger: silent,
      now: () => nowMs,
    });
    for (const [ms, rows] of runs) {
      nextMs = ms;
      await session.run([{ name: 'x', datatype: 'FP32', shape: [rows], data: new Float32Array(rows) }], []);
      await session.settled;
    }
    return worker.runs;
  }
  const short = Array.from({ length: 20 }, () => [0.1, 100] as const);
  const intolerable = INTOLERABLE_MS * 2;

  it.each([
    ['moves the model when its input is larger than any that was short', [...short, [intolerable, 101], [0.1, 1]], 1],
    ['is a pause of the machine when an input as large was short', [...short, [intolerable, 100], [0.1, 1]], 0],
    ['moves nothing when it is the very first', [[intolerable, 100], ...short], 0],
    [
      'moves a model whose every run is so',
      [
        [intolerable, 1],
        [intolerable, 1],
        [intolerable, 1],
      ],
      1,
    ],
    ['moves nothing when it is just at the bound', [...short, [INTOLERABLE_MS, 101], [0.1, 1]], 0],
  ] as const)('%s', async (_name, runs, inWorker) => {
    expect(await playRows(runs)).toBe(inWorker);
  });
});

it('until the worker stands, this thread answers', async () => {
  const stands = Promise.withResolvers<SessionLike>();
  let nowMs = 0;
  const inThread = new FakeSession(() => {
    nowMs += LONG;
  });
  const session = new AdaptiveSession(inThread, { openWorker: () => stands.promise, logger: silent, now: () => nowMs });
  for (let run = 0; run < 20; run++) await session.run([], []);
  expect(inThread.runs).toBe(20);
  const worker = new FakeSession();
  stands.resolve(worker);
  await session.settled;
  await session.run([], []);
  expect([inThread.runs, inThread.closed, worker.runs]).toEqual([20, true, 1]);
});

it('a worker that does not open leaves the model where it is', async () => {
  const { inThread } = await play(Array(20).fill(LONG), () => Promise.reject(new Error('no memory')));
  expect([inThread.runs, inThread.closed]).toEqual([20, false]);
});
