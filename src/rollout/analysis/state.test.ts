import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LATENCY_BOUNDS_SECONDS, type RevisionCounts } from '../../api/counts.ts';
import { total } from '../../stats/histogram.ts';
import { predictionDistance } from './distribution.ts';
import type { Interval } from './interval.ts';
import {
  type AnalysisState,
  beginAnalysis,
  decodeState,
  encodeState,
  observe,
  observeQuery,
  requestsOf,
} from './state.ts';
import { policyOf } from './testing/policy.ts';

const buckets = (at: number, count: number) =>
  Array.from({ length: LATENCY_BOUNDS_SECONDS.length + 1 }, (_, bucket) => (bucket === at ? count : 0));

function counts(requests: number, more: Partial<RevisionCounts> = {}): RevisionCounts {
  return { requests, errors: 0, latency: { buckets: buckets(12, requests), sumSeconds: 0 }, ...more };
}

const interval = (canary?: RevisionCounts, stable?: RevisionCounts): Interval => ({
  endMs: 10_000,
  durationMs: 10_000,
  ...(canary && { canary }),
  ...(stable && { stable }),
});

const observeAll = (state: AnalysisState, intervals: readonly Interval[]) => intervals.reduce(observe, state);

test('however many intervals are observed, all requests are kept in at most 32 blocks of equal length but the last', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 400 }), (intervals) => {
      const state = observeAll(
        beginAnalysis('Split'),
        Array.from({ length: intervals }, () => interval(counts(3), counts(7))),
      );
      expect(state.blocks.length).toBeLessThanOrEqual(32);
      expect(requestsOf(state, 'canary')).toBe(3 * intervals);
      expect(requestsOf(state, 'stable')).toBe(7 * intervals);
      expect((state.blocks.length - 1) * state.intervalsPerBlock + state.inLastBlock).toBe(intervals);
      expect(new Set(state.blocks.slice(0, -1).map((block) => block.canary.requests)).size).toBeLessThanOrEqual(1);
      expect(total(state.blocks.map((block) => block.durationMs))).toBe(10_000 * intervals);
    }),
    { numRuns: 30 },
  );
});

describe('minutes in which a revision that is compared answers nothing count for nothing', () => {
  test.each<[string, 'Split' | 'Whole', Interval, number]>([
    ['no traffic at all', 'Split', interval(counts(0), counts(0)), 0],
    ['nothing counted of either', 'Split', interval(), 0],
    ['none to the canary', 'Split', interval(undefined, counts(5)), 0],
    ['none to stable', 'Split', interval(counts(5), undefined), 0],
    ['none to stable, where the canary has all', 'Whole', interval(counts(5), undefined), 1],
    ['both', 'Split', interval(counts(5), counts(5)), 1],
  ])('%s', (_, traffic, observed, blocks) => {
    const state = observe(beginAnalysis(traffic), observed);
    expect(state.blocks).toHaveLength(blocks);
    expect(state.lastIdle).toBe(blocks === 0);
  });
});

test('requests that clients gave up are requests: a revision that answers nothing is not idle', () => {
  const hung = counts(0, { cancelled: 40 });
  const state = observe(beginAnalysis('Split'), interval(hung, counts(90, { cancelled: 1 })));
  expect(state.blocks[0]).toMatchObject({
    canary: { requests: 40, cancelled: 40 },
    stable: { requests: 91, cancelled: 1 },
  });
});

test('of a mirror, what users gave up is kept of stable, and copies are given up by nobody', () => {
  const mirror = { requests: 9, errors: 0, dropped: 0, compared: 9, agreed: 9, latency: counts(9).latency };
  const state = observe(
    beginAnalysis('Mirror'),
    interval(counts(0, { mirror, cancelled: 3 }), counts(90, { cancelled: 5 })),
  );
  expect(state.blocks[0]).toMatchObject({
    canary: { requests: 9, cancelled: 0 },
    stable: { requests: 95, cancelled: 5 },
  });
});

test('of a mirror, the copies that the canary answered are what is judged', () => {
  const mirror = {
    requests: 9,
    errors: 2,
    dropped: 1,
    compared: 7,
    agreed: 6,
    latency: { buckets: buckets(3, 7), sumSeconds: 1 },
  };
  const state = observe(beginAnalysis('Mirror'), interval(counts(100, { mirror }), counts(90)));
  expect(state.blocks[0]).toMatchObject({ canary: { requests: 9, errors: 2 }, compared: 7, agreed: 6 });
});

test('readings that fail are counted in a row, and leave what was counted alone', () => {
  const counted = observe(beginAnalysis('Split'), interval(counts(5), counts(5)));
  const failed = observeAll(counted, [
    { endMs: 1, failure: 'no route to host' },
    { endMs: 2, failure: 'timed out' },
  ]);
  expect(failed).toMatchObject({ consecutiveFailures: 2, failure: 'timed out', blocks: counted.blocks });
  expect(observe(failed, interval(counts(1), counts(1)))).toMatchObject({ consecutiveFailures: 0 });
  expect(observe(failed, interval(counts(1), counts(1))).failure).toBeUndefined();
});

test('a clock that goes back adds no time', () => {
  const state = observe(beginAnalysis('Split'), { ...interval(counts(5), counts(5)), durationMs: -30_000 });
  expect(state.blocks[0]?.durationMs).toBe(0);
});

describe('predictions', () => {
  const labels = (all: Record<string, number>) => ({
    predictions: { y: { kind: 'Label' as const, counts: all, other: 0 } },
  });
  const numbers = (all: Record<string, number>) => ({
    predictions: { y: { kind: 'Number' as const, counts: all, other: 0 } },
  });

  test('are kept label by label until stable has predicted enough, and then by its most frequent labels', () => {
    const many = Object.fromEntries(Array.from({ length: 60 }, (_, k) => [`label-${k}`, 60 - k]));
    const first = observe(beginAnalysis('Split'), interval(counts(9, labels({ a: 9 })), counts(50, labels({ a: 50 }))));
    expect(first.groupings).toEqual({});
    const second = observe(first, interval(counts(9, labels(many)), counts(500, labels(many))));
    expect(second.groupings.y).toMatchObject({ kind: 'Label' });
    const kept = second.blocks[1]?.stable.predictions.y;
    expect(Object.keys(kept?.counts ?? {})).toHaveLength(31);
    expect(total(Object.values(kept?.counts ?? {})) + (kept?.other ?? 0)).toBe(1830);
  });

  test('that are numbers are kept in groups of about equal size, with groups for what stable never predicts', () => {
    const spread = Object.fromEntries(Array.from({ length: 100 }, (_, k) => [String(300 + k), 5]));
    const state = observe(
      beginAnalysis('Split'),
      interval(counts(9, numbers({ 10: 4, 790: 3, NaN: 2 })), counts(500, numbers(spread))),
    );
    const { canary, stable } = state.blocks[0] ?? {};
    const sizes = Object.values(stable?.predictions.y?.counts ?? {});
    expect(sizes.length).toBeGreaterThanOrEqual(14);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(40);
    const names = Object.keys(canary?.predictions.y?.counts ?? {});
    expect(names.filter((name) => stable?.predictions.y?.counts[name] !== undefined)).toEqual([]);
    expect(canary?.predictions.y?.counts).toMatchObject({ 0: 4, NaN: 2 });
  });

  test('of the canary are kept only beside those of stable in the same interval', () => {
    const told = counts(100, labels({ a: 100 }));
    const zero = counts(900, labels({ b: 0 }));
    const state = observeAll(beginAnalysis('Split'), [
      ...Array<Interval>(9).fill(interval(told, zero)),
      interval(told, counts(900, labels({ b: 900 }))),
    ]);
    expect(state.blocks.map(({ canary }) => Object.keys(canary.predictions).length)).toEqual([...Array(9).fill(0), 1]);
    expect(state.groupings.y).toMatchObject({ kind: 'Label', labels: [expect.anything()] });
  });

  test('of another kind than stable has are other ones', () => {
    const state = observe(
      beginAnalysis('Split'),
      interval(counts(9, labels({ a: 9 })), counts(500, numbers({ 400: 500 }))),
    );
    expect(state.blocks[0]?.canary.predictions.y).toEqual({ kind: 'Number', counts: {}, other: 9 });
  });
});

describe('what is remembered', () => {
  const full = observeQuery(
    observeAll(
      beginAnalysis('Split'),
      Array.from({ length: 320 }, (_, k) => {
        const all = Object.fromEntries(
          Array.from({ length: 300 }, (_, label) => [`${'long-'.repeat(20)}${label}`, 100_000 + k]),
        );
        const predictions = Object.fromEntries(
          Array.from({ length: 8 }, (_, output) => [`y${output}`, { kind: 'Label' as const, counts: all, other: 0 }]),
        );
        const latency = { buckets: buckets(0, 0).map(() => 123_456_789), sumSeconds: 1 };
        return interval(counts(1e12, { latency, predictions }), counts(1e12, { latency, predictions }));
      }),
    ),
    'revenue',
    { failure: 'x'.repeat(5_000) },
  );

  const one = { kind: 'Label' as const, counts: { a: 1 }, other: 0 };
  test.each([
    ['is bounded as long as stable predicts nothing', counts(1)],
    [
      'is bounded as long as stable predicts too little for groups',
      counts(1, { predictions: { y0: one, y1: one, y2: one, y3: one } }),
    ],
  ])('%s', (_, stable) => {
    const many = Object.fromEntries(
      Array.from({ length: 256 }, (_, label) => [`${'long-'.repeat(20)}${label}`, 1_000]),
    );
    const all = Object.fromEntries(
      Array.from({ length: 8 }, (_, output) => [`y${output}`, { kind: 'Label' as const, counts: many, other: 0 }]),
    );
    const states = Array.from({ length: 40 }).reduce<AnalysisState[]>((sum) => {
      const last = sum.at(-1) ?? beginAnalysis('Split');
      return [...sum, observe(last, interval(counts(256_000, { predictions: all }), stable))];
    }, []);
    expect(Math.max(...states.map((state) => encodeState(state).length))).toBeLessThan(150_000);
  });

  test('is bounded, whatever was counted', () => {
    // All annotations of an object may have 256 KiB.
    expect(encodeState(full).length).toBeLessThan(220_000);
  });

  test('is the same after an operator has restarted', () => {
    expect(decodeState(encodeState(full))).toEqual(full);
  });

  test.each(['', '{', '{}', '{"version":2}', 'null'])('is none where it cannot be read: %s', (text) => {
    expect(decodeState(text)).toBeUndefined();
  });
});

test('outputs and queries may have the names of what every object has', () => {
  const labels = { kind: 'Label' as const, counts: { a: 500 }, other: 0 };
  const others = interval(
    counts(500, { predictions: { constructor: labels } }),
    counts(500, { predictions: { y: labels } }),
  );
  const state = observeAll(beginAnalysis('Split'), Array(8).fill(others));
  expect(state.blocks[0]?.canary.predictions).toEqual({});
  const inStable = interval(counts(500), counts(500, { predictions: { constructor: labels } }));
  const measure = { kind: 'PredictionDistribution', max: 0.1 } as const;
  const seen = observe(beginAnalysis('Split'), inStable);
  expect(predictionDistance(seen, policyOf({ m: measure }), 0.1)?.brief).toContain('predictions of constructor');
  const { queries } = observeQuery(state, 'constructor', { outcome: 'Failed', samples: [1] });
  expect(queries.constructor).toMatchObject({ successful: 0, failed: 1 });
});
