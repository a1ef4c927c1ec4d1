import { describe, expect, test } from 'vitest';
import { LATENCY_BOUNDS_SECONDS, type RevisionCounts } from '../../api/counts.ts';
import { compileConditions } from './conditions.ts';
import type { Interval } from './interval.ts';
import { judge } from './judge.ts';
import type { AnalysisPolicy, Measure, Traffic } from './policy.ts';
import { type AnalysisState, beginAnalysis, observe, observeQuery } from './state.ts';
import { policyOf } from './testing/policy.ts';
import { worst } from './verdict.ts';

interface Answers {
  readonly requests: number;
  readonly errors?: number;
  /** Index of the bucket of all latencies. */
  readonly bucket?: number;
  readonly agreed?: number;
}

function counts({ requests, errors = 0, bucket = 12, agreed }: Answers): RevisionCounts {
  const buckets = Array.from({ length: LATENCY_BOUNDS_SECONDS.length + 1 }, (_, k) =>
    k === bucket ? requests - errors : 0,
  );
  const latency = { buckets, sumSeconds: 0 };
  const mirror = { requests, errors, dropped: 0, compared: requests, agreed: agreed ?? 0, latency };
  return { requests, errors, latency, ...(agreed !== undefined && { mirror }) };
}

function observed(
  intervals: number,
  canary: Answers,
  stable: Answers | undefined,
  traffic: Traffic = 'Split',
): AnalysisState {
  let state = beginAnalysis(traffic, 0);
  for (let k = 1; k <= intervals; k += 1) {
    const interval: Interval = {
      endMs: k * 10_000,
      durationMs: 10_000,
      unread: 0,
      canary: counts(canary),
      ...(stable && { stable: counts(stable) }),
    };
    state = observe(state, interval);
  }
  return state;
}

const errors = (absolute: number, more = {}): Measure => ({ kind: 'ErrorRate', allowed: { absolute }, ...more });
const latency = (relative: number): Measure => ({ kind: 'Latency', quantile: 0.99, allowed: { relative } });
const both = policyOf({ errors: errors(0.01), latency: latency(0.25) });

describe('the message carries the arithmetic', () => {
  test('while requests are missing: how many, and what was measured so far', () => {
    const state = observed(4, { requests: 78, errors: 1 }, { requests: 700, errors: 2 });
    expect(judge(state, both)).toMatchObject({
      verdict: 'InsufficientData',
      requests: 312,
      message: '312 of 500 requests; errors 1.28% against 0.286%, p99 11 ms against 11 ms',
    });
  });

  test('of a canary that errs more: between what the difference lies, and what is allowed', () => {
    const state = observed(10, { requests: 100, errors: 20 }, { requests: 900, errors: 9 });
    const { verdict, message, metrics } = judge(state, both);
    expect(verdict).toBe('Unhealthy');
    expect(message).toMatch(
      /^1000 requests; errors 20% against 1%: between 14\.\d% and \d+\.?\d*% more, 1% more is allowed, p99 11 ms against 11 ms$/,
    );
    expect(metrics[0]).toMatchObject({
      name: 'errors',
      canary: 0.2,
      stable: 0.01,
      estimate: 0.19,
      limit: 0.01,
      isHardLimit: false,
    });
    expect(metrics[0]?.lower).toBeGreaterThan(0.01);
  });

  test('of a healthy one: the values', () => {
    const state = observed(40, { requests: 100, errors: 1 }, { requests: 900, errors: 9 });
    expect(judge(state, policyOf({ errors: errors(0.02) }))).toMatchObject({
      verdict: 'Healthy',
      message: '4000 requests; errors 1% against 1%',
    });
  });

  test('of one that has requests enough and is not told apart: what is still possible', () => {
    const state = observed(10, { requests: 60, errors: 1 }, { requests: 500, errors: 9 });
    expect(judge(state, policyOf({ errors: errors(0.001) })).message).toMatch(
      /^600 requests; errors 1\.67% against 1\.8%: between -?\d.*% and \d.*% more, 0\.1% more is allowed$/,
    );
  });
});

describe('nothing is claimed', () => {
  test.each<[string, AnalysisState, string]>([
    ['of no traffic at all', beginAnalysis('Split', 0), '0 of 500 requests; no requests yet that could be judged'],
    [
      'where only the canary had traffic',
      observed(50, { requests: 100, errors: 100 }, undefined),
      '0 of 500 requests, no requests in the last interval; no requests yet that could be judged',
    ],
    [
      'where only stable had traffic',
      observed(50, { requests: 0 }, { requests: 1_000 }),
      '0 of 500 requests, no requests in the last interval; no requests yet that could be judged',
    ],
  ])('%s', (_, state, message) => {
    expect(judge(state, policyOf({ errors: errors(0) }))).toMatchObject({ verdict: 'InsufficientData', message });
  });

  test.each([1, 2, 5])('of %d intervals, however bad they were', (intervals) => {
    const state = observed(intervals, { requests: 500, errors: 500 }, { requests: 4_500 });
    expect(judge(state, policyOf({ errors: errors(0) })).verdict).toBe('InsufficientData');
  });

  test('for the canary before both revisions have answered the wanted number of requests', () => {
    const policy = policyOf({ errors: errors(0.5) });
    expect(judge(observed(10, { requests: 49 }, { requests: 500 }), policy).verdict).toBe('InsufficientData');
    expect(judge(observed(10, { requests: 500 }, { requests: 49 }), policy).verdict).toBe('InsufficientData');
    expect(judge(observed(10, { requests: 50 }, { requests: 50 }), policy).verdict).toBe('Healthy');
  });

  test('but harm is, before that', () => {
    const state = observed(6, { requests: 40, errors: 40 }, { requests: 360 });
    expect(judge(state, policyOf({ errors: errors(0) }))).toMatchObject({ verdict: 'Unhealthy', requests: 240 });
  });

  test('for a canary that is as good as stable, where nothing more is allowed', () => {
    const state = observed(1_000, { requests: 1_000, errors: 10 }, { requests: 9_000, errors: 90 });
    expect(judge(state, policyOf({ errors: errors(0) })).verdict).toBe('InsufficientData');
  });

  test('against a canary for errors that all come in one burst', () => {
    let state = observed(20, { requests: 100 }, { requests: 900 });
    const burst = { canary: counts({ requests: 100, errors: 60 }), stable: counts({ requests: 900 }) };
    state = observe(state, { endMs: 1, durationMs: 10_000, unread: 0, ...burst });
    expect(judge(state, policyOf({ errors: errors(0) })).verdict).toBe('InsufficientData');
  });
});

describe('each built-in metric', () => {
  const mirrored = (agreed: number) => observed(20, { requests: 100, agreed }, { requests: 900 }, 'Mirror');
  test.each<[string, AnalysisState, Record<string, Measure>, Partial<AnalysisPolicy>, string, boolean]>([
    [
      'errors within a relative increase',
      observed(60, { requests: 1_000, errors: 50 }, { requests: 9_000, errors: 450 }),
      { m: { kind: 'ErrorRate', allowed: { relative: 0.5 } } },
      {},
      'Healthy',
      false,
    ],
    [
      'errors beyond a relative increase',
      observed(20, { requests: 1_000, errors: 100 }, { requests: 9_000, errors: 450 }),
      { m: { kind: 'ErrorRate', allowed: { relative: 0.5 } } },
      {},
      'Unhealthy',
      false,
    ],
    [
      'errors below a hard limit',
      observed(20, { requests: 100 }, undefined, 'Whole'),
      { m: { kind: 'ErrorRate', max: 0.02 } },
      { traffic: 'Whole' },
      'Healthy',
      false,
    ],
    [
      'errors above a hard limit',
      observed(20, { requests: 100, errors: 10 }, undefined, 'Whole'),
      { m: { kind: 'ErrorRate', max: 0.02 } },
      { traffic: 'Whole' },
      'Unhealthy',
      true,
    ],
    [
      'errors within the increase and above the hard limit',
      observed(20, { requests: 100, errors: 10 }, { requests: 900, errors: 90 }),
      { m: errors(0.05, { max: 0.02 }) },
      {},
      'Unhealthy',
      true,
    ],
    [
      'latency below a hard limit',
      observed(20, { requests: 100 }, undefined, 'Whole'),
      { m: { kind: 'Latency', quantile: 0.95, max: 0.02 } },
      { traffic: 'Whole' },
      'Healthy',
      false,
    ],
    [
      'latency above a hard limit',
      observed(20, { requests: 100, bucket: 20 }, undefined, 'Whole'),
      { m: { kind: 'Latency', quantile: 0.95, max: 0.02 } },
      { traffic: 'Whole' },
      'Unhealthy',
      true,
    ],
    [
      'latency within an absolute increase',
      observed(20, { requests: 500, bucket: 13 }, { requests: 900 }),
      { m: { kind: 'Latency', quantile: 0.95, allowed: { absolute: 0.01 } } },
      {},
      'Healthy',
      false,
    ],
    [
      'latency beyond an absolute increase',
      observed(20, { requests: 500, bucket: 16 }, { requests: 900 }),
      { m: { kind: 'Latency', quantile: 0.95, allowed: { absolute: 0.01 } } },
      {},
      'Unhealthy',
      false,
    ],
    [
      'throughput above the least',
      observed(20, { requests: 100 }, { requests: 900 }),
      { m: { kind: 'Throughput', min: 8 } },
      {},
      'Healthy',
      false,
    ],
    [
      'throughput below the least',
      observed(20, { requests: 100 }, { requests: 900 }),
      { m: { kind: 'Throughput', min: 12 } },
      {},
      'Unhealthy',
      true,
    ],
    [
      'throughput above the most',
      observed(20, { requests: 100 }, { requests: 900 }),
      { m: { kind: 'Throughput', max: 8 } },
      {},
      'Unhealthy',
      true,
    ],
    [
      'agreement above the least',
      mirrored(100),
      { m: { kind: 'Agreement', min: 0.98 } },
      { traffic: 'Mirror' },
      'Healthy',
      false,
    ],
    [
      'agreement below the least',
      mirrored(90),
      { m: { kind: 'Agreement', min: 0.98 } },
      { traffic: 'Mirror' },
      'Unhealthy',
      false,
    ],
    [
      'agreement about the least',
      mirrored(98),
      { m: { kind: 'Agreement', min: 0.98 } },
      { traffic: 'Mirror' },
      'InsufficientData',
      false,
    ],
    [
      'predictions that nobody counted',
      observed(20, { requests: 100 }, { requests: 900 }),
      { m: { kind: 'PredictionDistribution', max: 0.1 } },
      {},
      'InsufficientData',
      false,
    ],
  ])('%s', (_, state, measures, more, verdict, isHardLimit) => {
    const judged = judge(state, policyOf(measures, more));
    expect(judged.verdict).toBe(verdict);
    expect(judged.metrics[0]?.isHardLimit && verdict === 'Unhealthy').toBe(isHardLimit);
  });
});

describe('latencies that change for both together', () => {
  const slowed = (requests: number, slow: number): RevisionCounts => {
    const all = counts({ requests, bucket: 4 });
    const late = Math.round(requests * slow);
    const buckets = all.latency.buckets.map((count, k) => (k === 4 ? count - late : k === 8 ? late : 0));
    return { ...all, latency: { buckets, sumSeconds: 0 } };
  };

  test('hide no canary that is slower than stable ever is', () => {
    let state = beginAnalysis('Split', 0);
    for (let k = 1; k <= 64; k += 1) {
      const stable = slowed(400, k % 16 < 8 ? 0.2 : 0.6);
      state = observe(state, {
        endMs: k,
        durationMs: 1_000,
        unread: 0,
        canary: counts({ requests: 100, bucket: 16 }),
        stable,
      });
    }
    const p50: Measure = { kind: 'Latency', quantile: 0.5, allowed: { absolute: 0.002 } };
    expect(judge(state, policyOf({ p50 })).verdict).toBe('Unhealthy');
  });

  test('leave no wide margin open, as they leave no narrow one', () => {
    let state = beginAnalysis('Split', 0);
    for (let k = 1; k <= 64; k += 1) {
      // A machine that is busy for some minutes, and then is not.
      const share = k % 16 < 8 ? 0.2 : 0.6;
      state = observe(state, {
        endMs: k,
        durationMs: 1_000,
        unread: 0,
        canary: slowed(100, share),
        stable: slowed(400, share),
      });
    }
    for (const absolute of [0.01, 0.1, 1]) {
      const p50: Measure = { kind: 'Latency', quantile: 0.5, allowed: { absolute } };
      expect(judge(state, policyOf({ p50 })).verdict, `${absolute} s allowed`).toBe('Healthy');
    }
  });
});

describe('predictions of several outputs', () => {
  const labels = (rows: number) => ({ kind: 'Label' as const, counts: { yes: rows / 2, no: rows / 2 }, other: 0 });
  const predicting = (canary: readonly [number, number], stable: readonly [number, number]) => {
    let state = beginAnalysis('Split', 0);
    for (let k = 1; k <= 30; k += 1) {
      const side = ([usual, seldom]: readonly [number, number]) => ({
        ...counts({ requests: usual }),
        predictions: { label: labels(usual), ...(seldom > 0 && { probabilities: labels(seldom) }) },
      });
      state = observe(state, { endMs: k, durationMs: 1_000, unread: 0, canary: side(canary), stable: side(stable) });
    }
    return judge(state, policyOf({ m: { kind: 'PredictionDistribution', max: 0.25 } })).verdict;
  };

  test('are judged by those that enough requests ask for: a few for another leave no verdict open', () => {
    expect(predicting([100, 0], [400, 4])).toBe('Healthy');
    expect(predicting([100, 0], [400, 200])).toBe('InsufficientData');
  });
});

describe('what cannot be read', () => {
  const good = observed(40, { requests: 100 }, { requests: 900 });
  const failing = (state: AnalysisState, times: number) =>
    Array.from({ length: times }).reduce<AnalysisState>(
      (sum) => observe(sum, { endMs: 0, failure: 'connection refused' }),
      state,
    );
  const policy = policyOf({ errors: errors(0.05) });

  test('is an error after more readings in a row than may fail, and never a pass', () => {
    expect(judge(failing(good, 4), policy).verdict).toBe('Healthy');
    expect(judge(failing(good, 5), policy)).toMatchObject({
      verdict: 'Error',
      message: '4000 requests; could not be read 5 times in a row, more than 4: connection refused',
    });
    expect(judge(failing(beginAnalysis('Split', 0), 4), policy).verdict).toBe('InsufficientData');
  });

  test('is none any more once it was read again', () => {
    const again: Interval = {
      endMs: 0,
      durationMs: 1,
      unread: 0,
      canary: counts({ requests: 1 }),
      stable: counts({ requests: 1 }),
    };
    expect(judge(observe(failing(good, 9), again), policy).verdict).toBe('Healthy');
  });
});

test('a metric in a dry run is judged and shown, and decides nothing', () => {
  const state = observed(10, { requests: 100, errors: 50 }, { requests: 900 });
  const policy = policyOf({ errors: errors(0), latency: latency(0.9) });
  const dry = { ...policy, metrics: policy.metrics.map((metric) => ({ ...metric, dryRun: metric.name === 'errors' })) };
  const { verdict, metrics, message } = judge(state, dry);
  expect(verdict).not.toBe('Unhealthy');
  expect(metrics[0]).toMatchObject({ verdict: 'Unhealthy', dryRun: true });
  expect(message).toMatch(/\(dry run\) errors 50% against 0%/);
});

test('queries and counts are judged together', () => {
  const conditions = compileConditions({ success: 'result > 1' }, 'metrics[1]');
  const query: Measure = {
    kind: 'Query',
    address: '',
    query: '',
    timeoutMs: 1,
    conditions,
    failureLimit: 0,
    inconclusiveLimit: 0,
  };
  const policy = policyOf({ errors: errors(0.05), revenue: query });
  const good = observed(40, { requests: 100 }, { requests: 900 });
  expect(judge(good, policy).verdict).toBe('InsufficientData');
  const measured = observeQuery(good, 'revenue', { outcome: 'Successful', samples: [2] });
  expect(judge(measured, policy).verdict).toBe('Healthy');
  const failed = observeQuery(measured, 'revenue', { outcome: 'Failed', samples: [0] });
  expect(judge(failed, policy)).toMatchObject({
    verdict: 'Unhealthy',
    message: '4000 requests; errors 0% against 0%, revenue: failed (1) > limit (0), last 0',
  });
});

test('the whole is as bad as its worst part, and what harms users comes before what cannot be read', () => {
  expect(worst(['Healthy', 'Error', 'Unhealthy'])).toBe('Unhealthy');
  expect(worst(['Inconclusive', 'Error'])).toBe('Error');
  expect(worst(['InsufficientData', 'Healthy', 'Inconclusive'])).toBe('Inconclusive');
  expect(worst(['Healthy', 'InsufficientData'])).toBe('InsufficientData');
  expect(worst([])).toBe('Healthy');
});
