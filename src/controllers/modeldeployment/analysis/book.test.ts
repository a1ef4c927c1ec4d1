import { describe, expect, test } from 'vitest';
import { type CountsSnapshot, LATENCY_BOUNDS_SECONDS, type RevisionCounts } from '../../../api/counts.ts';
import type { Traffic } from '../../../rollout/analysis/policy.ts';
import { type ObjectKey, objectKey } from '../../../runtime/types.ts';
import { specOf } from '../../testing/spec.ts';
import type { RequestSource } from '../counts/counting.ts';
import { CountsReader } from '../counts/reader.ts';
import { type AdvanceInput, AnalysisBook } from './book.ts';
import { parseRecord } from './record.ts';

const spec = specOf({
  model: { uri: 's3://models/churn/1/' },
  rollout: {
    strategy: 'Canary',
    analysis: {
      interval: '10s',
      metrics: [
        { name: 'errors', builtin: 'ErrorRate', maxIncrease: { absolute: '1%' } },
        {
          name: 'revenue',
          prometheus: { address: 'http://prometheus:9090', query: 'revenue{revision="$(canary)"}', timeout: '1m' },
          success: 'result > 1',
        },
      ],
    },
  },
});
const request = {
  canary: 'churn-2',
  stable: 'churn-1',
  metrics: ['errors', 'revenue'],
  sinceMs: 0,
  isMirrored: false,
  limitsOnly: false,
};
const pod = (name: string) => ({ uid: name, name, address: '127.0.0.1' });

function counted(requests: number): RevisionCounts {
  return {
    requests,
    errors: 0,
    latency: { buckets: [requests, ...LATENCY_BOUNDS_SECONDS.map(() => 0)], sumSeconds: 0 },
  };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A book whose router and Prometheus answer as the test says. */
class PlayedBook {
  nowMs = 1_000;
  /** How far the wall clock was set back. */
  behindMs = 0;
  requests = 0;
  /** Whether the router answers; what is asked meanwhile never gets an answer. */
  isRouterThere = true;
  prometheus: (signal: AbortSignal) => Promise<readonly number[]> = async () => [2];
  readonly asked = { counts: 0, queries: [] as string[] };
  readonly woken: ObjectKey[] = [];
  readonly stop = new AbortController();
  readonly book: AnalysisBook;

  constructor() {
    const reader = new CountsReader({
      fetch: () => this.#counts(),
      clock: { monotonic: () => this.nowMs + this.behindMs },
    });
    this.book = new AnalysisBook(reader, async ({ query }, signal) => {
      this.asked.queries.push(query);
      return await this.prometheus(signal);
    });
  }

  #counts(): Promise<string> {
    this.asked.counts += 1;
    this.requests += 100;
    if (!this.isRouterThere) return new Promise(() => undefined);
    const revisions = { churn: { 'churn-1': counted(9 * this.requests), 'churn-2': counted(this.requests) } };
    return Promise.resolve(JSON.stringify({ instance: 'a', inFlight: 0, revisions } satisfies CountsSnapshot));
  }

  /** What a reconcile does. */
  advance(more: Partial<AdvanceInput> = {}) {
    const key = more.key ?? objectKey({ namespace: 'shop', name: 'churn' });
    const requestsFrom: RequestSource = 'Routers';
    const sources = { requestsFrom, routers: [pod('router')], servers: [], last: [] };
    const traffic: Traffic = 'Split';
    const [nowMs, signal] = [this.nowMs, this.stop.signal];
    const whenMeasured = () => this.woken.push(key);
    const input = { key, spec, request, traffic, sources, nowMs, signal, whenMeasured, ...more };
    return this.book.advance(input, this.book.recordOf(key, []));
  }

  /** So many intervals, with a reconcile at the beginning of each and whenever something was measured. */
  async pass(intervals: number, more: Partial<AdvanceInput> = {}) {
    for (let interval = 0; interval < intervals; interval += 1) {
      this.advance(more);
      await settled();
      this.advance(more);
      this.nowMs += 10_000;
    }
  }

  get state() {
    const record = this.book.recordOf(objectKey({ namespace: 'shop', name: 'churn' }), []);
    if (record === undefined) throw new Error('nothing is analysed');
    return record.state;
  }
}

describe('a reconcile waits for no measurement', () => {
  test('it begins them, is told when they are done, and takes them in', async () => {
    const played = new PlayedBook();
    expect(played.advance()).toMatchObject({ hasNews: false, nextAtMs: 11_000 });
    await settled();
    expect(played.woken).toEqual(['shop/churn']);
    expect(played.advance()).toMatchObject({ hasNews: false, nextAtMs: 11_000 });
    played.nowMs = 11_000;
    expect(played.advance()).toMatchObject({ hasNews: false, nextAtMs: undefined });
    await settled();
    expect(played.woken).toHaveLength(3);
    const { hasNews, record, nextAtMs } = played.advance();
    expect({ hasNews, nextAtMs }).toEqual({ hasNews: true, nextAtMs: 21_000 });
    expect(record.state.blocks).toMatchObject([{ durationMs: 10_000, canary: { requests: 100 } }]);
    expect(record.state.queries.revenue).toMatchObject({ successful: 1 });
    expect(played.asked.queries).toEqual(['revenue{revision="churn-2"}']);
  });

  test('a server that never answers is asked once, and keeps no counts from being judged', async () => {
    const played = new PlayedBook();
    played.prometheus = () => new Promise(() => undefined);
    await played.pass(20);
    expect(played.asked.queries).toHaveLength(1);
    expect(played.state.blocks).toHaveLength(19);
  });

  test('a router that never answers is asked once, and keeps no query from being judged', async () => {
    const played = new PlayedBook();
    played.isRouterThere = false;
    await played.pass(20);
    expect(played.asked.counts).toBe(1);
    expect(played.state.queries.revenue).toMatchObject({ successful: 19 });
  });

  test('many at a server that hangs hold up none of another namespace', async () => {
    const played = new PlayedBook();
    let isHanging = true;
    played.prometheus = () => (isHanging ? new Promise(() => undefined) : Promise.resolve([2]));
    const all = Array.from({ length: 100 }, (_, k) => objectKey({ namespace: 'bad', name: `model-${k}` }));
    for (const key of all) played.advance({ key });
    played.nowMs += 10_000;
    for (const key of all) played.advance({ key });
    await settled();
    isHanging = false;
    await played.pass(3);
    expect(played.state.queries.revenue).toMatchObject({ successful: 2 });
  });
});

test('a query whose analysis is over is cut short', async () => {
  const played = new PlayedBook();
  const signals: AbortSignal[] = [];
  played.prometheus = (signal) => {
    signals.push(signal);
    return new Promise(() => undefined);
  };
  await played.pass(2);
  expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
  played.book.forget(objectKey({ namespace: 'shop', name: 'churn' }));
  expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
});

test('what cannot be asked is an error of the query', async () => {
  const played = new PlayedBook();
  played.prometheus = () => Promise.reject(new Error('connection refused'));
  await played.pass(4);
  expect(played.state.queries.revenue).toMatchObject({ consecutiveErrors: 3, last: 'connection refused' });
});

describe('an analysis begins anew', () => {
  test.each<[string, Partial<AdvanceInput>]>([
    ['with another step', { request: { ...request, sinceMs: 7 } }],
    ['where stable has lost all of its traffic, or has some again', { traffic: 'Whole' }],
  ])('%s', async (_, change) => {
    const played = new PlayedBook();
    await played.pass(5);
    expect(played.state.blocks).toHaveLength(4);
    expect(played.advance(change).record.state.blocks).toEqual([]);
  });

  test('and not for a change of whose counts are read, which are then compared with what is read next', async () => {
    const played = new PlayedBook();
    await played.pass(5);
    const sources = { requestsFrom: 'Servers' as const, routers: [], servers: [pod('server')], last: [] };
    await played.pass(2, { sources });
    expect(played.state.blocks.map(({ canary }) => canary.requests)).toEqual([100, 100, 100, 100, 100]);
  });
});

describe('what is remembered is written', () => {
  test('when it begins, when the verdict changes, and now and then', async () => {
    const played = new PlayedBook();
    const writtenAtMs: number[] = [];
    for (let k = 0; k < 8; k += 1) {
      for (const _when of ['due', 'measured']) {
        if (played.advance().text !== undefined) writtenAtMs.push(played.nowMs);
        await settled();
      }
      played.nowMs += 10_000;
    }
    expect(writtenAtMs).toEqual([1_000, 31_000, 61_000]);
  });

  test('also where the clock was set back, over which counts and queries go on', async () => {
    const played = new PlayedBook();
    played.nowMs = 7_200_000;
    await played.pass(5);
    expect(played.state.queries.revenue).toMatchObject({ successful: 4 });
    [played.nowMs, played.behindMs] = [1_000, played.nowMs - 1_000];
    expect(played.advance().text).toBeUndefined();
    await settled();
    expect(played.advance().text).toBeDefined();
    expect(played.state.blocks).toHaveLength(5);
    expect(played.state.queries.revenue).toMatchObject({ successful: 5 });
  });

  test('and another process goes on from there', async () => {
    const played = new PlayedBook();
    await played.pass(5);
    played.nowMs += 60_000;
    played.advance();
    await settled();
    const { text } = played.advance();
    const after = new PlayedBook();
    const key = objectKey({ namespace: 'shop', name: 'churn' });
    const sources = { requestsFrom: 'Routers' as const, routers: [], servers: [], last: [] };
    const { record } = after.book.advance(
      {
        ...{ key, spec, request, traffic: 'Split', sources, nowMs: played.nowMs },
        ...{ signal: after.stop.signal, whenMeasured: () => undefined },
      },
      parseRecord(text),
    );
    expect(record.state.blocks).toHaveLength(5);
  });
});
