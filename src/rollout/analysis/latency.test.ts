import { describe, expect, test } from 'vitest';
import { LATENCY_BOUNDS_SECONDS, type RevisionCounts } from '../../api/counts.ts';
import { judge } from './judge.ts';
import type { Measure, Traffic } from './policy.ts';
import { beginAnalysis, observe } from './state.ts';
import { bucketOf, counts } from './testing/observed.ts';
import { policyOf } from './testing/policy.ts';

/** Counts of requests that took so long, in seconds. */
function taking(latencies: readonly number[], more: Partial<RevisionCounts> = {}): RevisionCounts {
  const buckets = new Array<number>(LATENCY_BOUNDS_SECONDS.length + 1).fill(0);
  for (const seconds of latencies) buckets[bucketOf(seconds)] = (buckets[bucketOf(seconds)] ?? 0) + 1;
  return { requests: latencies.length, errors: 0, latency: { buckets, sumSeconds: 0 }, ...more };
}

/** Spread evenly between two values. */
const spread = (requests: number, low: number, high: number) =>
  Array.from({ length: requests }, (_, k) => low + ((high - low) * k) / requests);

/** What is said after each of 60 intervals. */
function verdicts(measure: Measure, canary: RevisionCounts, stable: RevisionCounts, traffic: Traffic = 'Split') {
  let state = beginAnalysis(traffic);
  const policy = policyOf({ m: measure }, { traffic });
  const said = new Set<string>();
  for (let k = 1; k <= 60; k += 1) {
    state = observe(state, { endMs: k * 10_000, durationMs: 10_000, canary, stable });
    said.add(judge(state, policy).verdict);
  }
  return said;
}

describe('of latencies that are spread over little, nothing is claimed that was not counted', () => {
  const p = (quantile: number, max: number): Measure => ({ kind: 'Latency', quantile, max });
  const stable = taking(spread(900, 0.061, 0.063));
  test.each<[string, Measure, readonly number[], 'Healthy' | 'Unhealthy']>([
    [
      'a p99 of 66 ms is no harm beside 62 ms, where a quarter more is allowed',
      { kind: 'Latency', quantile: 0.99, allowed: { relative: 0.25 } },
      spread(100, 0.063, 0.067),
      'Unhealthy',
    ],
    ['a p99 of 67 ms keeps 80 ms', p(0.99, 0.08), spread(100, 0.065, 0.067), 'Unhealthy'],
    ['a p95 of 72.6 ms keeps 80 ms', p(0.95, 0.08), spread(100, 0.066, 0.073), 'Unhealthy'],
    ['a p50 of 89.6 ms breaks 89 ms', p(0.5, 0.089), spread(100, 0.0895, 0.0897), 'Healthy'],
    ['a p95 of 65 s keeps 100 s', p(0.95, 100), spread(100, 61, 65), 'Unhealthy'],
    ['half an hour is more than 119 s', p(0.95, 119), spread(100, 1_800, 1_801), 'Healthy'],
    ['half an hour is more than ten minutes', p(0.95, 600), spread(100, 1_800, 1_801), 'Healthy'],
  ])('%s', (_, measure, latencies, wrong) => {
    expect(verdicts(measure, taking(latencies), stable)).not.toContain(wrong);
  });

  test.each<[string, Measure, readonly number[], 'Healthy' | 'Unhealthy']>([
    ['a p99 of 67 ms keeps 80 ms', p(0.99, 0.08), spread(100, 0.065, 0.067), 'Healthy'],
    ['a p99 of 87 ms breaks 80 ms', p(0.99, 0.08), spread(100, 0.085, 0.087), 'Unhealthy'],
    [
      'what is just above a bound of a bucket breaks a limit that is this bound',
      p(0.5, 0.5),
      spread(100, 0.505, 0.51),
      'Unhealthy',
    ],
    [
      'a p99 of 67 ms keeps a quarter more than 62 ms',
      { kind: 'Latency', quantile: 0.99, allowed: { relative: 0.25 } },
      spread(100, 0.063, 0.067),
      'Healthy',
    ],
  ])('and what was counted is claimed: %s', (_, measure, latencies, right) => {
    expect(verdicts(measure, taking(latencies), stable)).toContain(right);
  });
});

test.each([{ relative: 0.25 }, { relative: 0 }, { absolute: 0 }])(
  'a stable revision that answers nothing but errors is no measure: %o',
  (allowed) => {
    const measure: Measure = { kind: 'Latency', quantile: 0.99, allowed };
    const stable = taking([], { requests: 900, errors: 900 });
    expect(verdicts(measure, taking(spread(100, 0.01, 0.012)), stable)).toEqual(new Set(['InsufficientData']));
  },
);

test('latencies that are too short to be told apart are alike', () => {
  const measure: Measure = { kind: 'Latency', quantile: 0.99, allowed: { relative: 0.25 } };
  const said = verdicts(measure, taking(spread(100, 0.00004, 0.00005)), taking(spread(900, 0.00002, 0.00003)));
  expect(said).toContain('Healthy');
  expect(said).not.toContain('Unhealthy');
});

describe('beside copies, which run on where users give up', () => {
  const mirrored = (latencies: readonly number[], errors = 0): RevisionCounts => {
    const { latency } = taking(latencies);
    const mirror = { requests: latencies.length + errors, errors, dropped: 0, compared: 0, agreed: 0, latency };
    return { ...counts({ requests: 0 }), mirror };
  };
  const quick = (requests: number) => Array<number>(requests).fill(0.02);
  const stable = taking([...quick(980), ...Array<number>(20).fill(10)], { requests: 980, cancelled: 20 });

  test('a model that is as slow is not blamed for what users did not wait for', () => {
    const p99: Measure = { kind: 'Latency', quantile: 0.99, allowed: { relative: 0.25 } };
    expect(verdicts(p99, mirrored([...quick(98), 30, 30]), stable, 'Mirror')).toEqual(new Set(['InsufficientData']));
  });

  test('one that is slower where users do wait is', () => {
    const p95: Measure = { kind: 'Latency', quantile: 0.95, allowed: { relative: 0.25 } };
    expect(verdicts(p95, mirrored(Array<number>(100).fill(0.04)), stable, 'Mirror')).toContain('Unhealthy');
  });

  test('a model that hangs as often is not blamed for errors, nor are they taken for allowed', () => {
    const errors: Measure = { kind: 'ErrorRate', allowed: { absolute: 0.01 } };
    expect(verdicts(errors, mirrored(quick(98), 2), stable, 'Mirror')).toEqual(new Set(['InsufficientData']));
    expect(verdicts(errors, mirrored(quick(90), 10), stable, 'Mirror')).toContain('Unhealthy');
    expect(verdicts(errors, mirrored(quick(100)), stable, 'Mirror')).toContain('Healthy');
  });
});
