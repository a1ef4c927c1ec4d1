import { describe, expect, test } from 'vitest';
import { compileConditions } from './conditions.ts';
import type { Interval } from './interval.ts';
import { judge } from './judge.ts';
import type { Measure } from './policy.ts';
import { type AnalysisState, beginAnalysis, observe, observeQuery } from './state.ts';
import { counts, errors, observed } from './testing/observed.ts';
import { policyOf } from './testing/policy.ts';
import { worst } from './verdict.ts';

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

describe('requests that clients gave up', () => {
  const policy = policyOf({ errors: errors(0.01, { max: 0.02 }) });

  test('a canary that answers nothing is Unhealthy, though no request ended in an error', () => {
    const state = observed(8, { requests: 0, cancelled: 5, latencySeconds: 1.4 }, { requests: 45 });
    const { verdict, message, metrics } = judge(state, both);
    expect(verdict).toBe('Unhealthy');
    expect(message).toMatch(/^40 of 500 requests; errors and given up 100% against 0%: between /);
    expect(metrics.map((metric) => metric.verdict)).toEqual(['Unhealthy', 'Unhealthy']);
  });

  test('as many on both sides are nobody’s fault, and no hard limit is broken by them', () => {
    const state = observed(60, { requests: 95, cancelled: 5 }, { requests: 855, cancelled: 45 });
    expect(judge(state, policyOf({ errors: errors(0.02, { max: 0.02 }) })).verdict).toBe('Healthy');
  });

  test('of clients that all give up at once on both sides, the canary is not blamed', () => {
    const state = observed(8, { requests: 50, cancelled: 50 }, { requests: 450, cancelled: 450 });
    expect(judge(state, policy).verdict).toBe('InsufficientData');
  });

  test('they are no answers: throughput leaves them out', () => {
    const state = observed(10, { requests: 100, cancelled: 100 }, { requests: 900 });
    const [metric] = judge(state, policyOf({ rate: { kind: 'Throughput', min: 15 } })).metrics;
    expect(metric).toMatchObject({ verdict: 'Unhealthy', canary: 10 });
  });
});

describe('nothing is claimed', () => {
  test.each<[string, AnalysisState, string]>([
    ['of no traffic at all', beginAnalysis('Split'), '0 of 500 requests; no requests yet that could be judged'],
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
    state = observe(state, { endMs: 1, durationMs: 10_000, ...burst });
    expect(judge(state, policyOf({ errors: errors(0) })).verdict).toBe('InsufficientData');
  });
});

describe('after one burst of errors', () => {
  /** The canary's share is 39 requests a second; in one second all of them fail. */
  const afterBurst = (intervals: number, side: 'canary' | 'stable' = 'canary') => {
    let state = beginAnalysis('Split');
    for (let k = 1; k <= intervals; k += 1) {
      const failed = (requests: number, of: typeof side) => (k === 3 && side === of ? requests / 10 : 0);
      state = observe(state, {
        endMs: k * 10_000,
        durationMs: 10_000,
        canary: counts({ requests: 390, errors: failed(390, 'canary') }),
        stable: counts({ requests: 3_510, errors: failed(3_510, 'stable') }),
      });
    }
    return judge(state, policyOf({ errors: errors(0.01) })).verdict;
  };

  test('a canary is Healthy after three quarters of an hour without errors, and not after a quarter', () => {
    expect(afterBurst(90)).toBe('InsufficientData');
    expect(afterBurst(270)).toBe('Healthy');
  });

  test('of stable, a canary without errors is Healthy as if stable had had none', () => {
    expect(afterBurst(6, 'stable')).toBe('Healthy');
  });
});

test('after a burst of stable, a relative increase is as uncertain as what it is relative to', () => {
  let state = beginAnalysis('Split');
  const policy = policyOf({ m: { kind: 'ErrorRate', allowed: { relative: 0.5 } } });
  for (let k = 1; k <= 40; k += 1) {
    const stable = counts({ requests: 1_000, errors: k === 3 ? 500 : 2 });
    state = observe(state, { endMs: k, durationMs: 10_000, canary: counts({ requests: 1_000, errors: 12 }), stable });
    expect(judge(state, policy).verdict, `interval ${k}`).not.toBe('Healthy');
  }
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
    expect(judge(failing(beginAnalysis('Split'), 4), policy).verdict).toBe('InsufficientData');
  });

  test('is none any more once it was read again', () => {
    const again: Interval = {
      endMs: 0,
      durationMs: 1,
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
  // A metric may have the name of what every object has.
  expect(judge(good, policyOf({ constructor: query })).message).toContain('constructor: not measured yet');
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
  expect(worst([])).toBeUndefined();
});
