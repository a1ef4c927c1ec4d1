import { describe, expect, test } from 'vitest';
import type { RevisionCounts } from '../../api/counts.ts';
import { judge } from './judge.ts';
import type { AnalysisPolicy, Measure } from './policy.ts';
import { type AnalysisState, beginAnalysis, observe } from './state.ts';
import { bucketOf, counts, errors, observed } from './testing/observed.ts';
import { policyOf } from './testing/policy.ts';

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
      observed(20, { requests: 100, latencySeconds: 0.18 }, undefined, 'Whole'),
      { m: { kind: 'Latency', quantile: 0.95, max: 0.02 } },
      { traffic: 'Whole' },
      'Unhealthy',
      true,
    ],
    [
      'latency within an absolute increase',
      observed(20, { requests: 500, latencySeconds: 0.016 }, { requests: 900 }),
      { m: { kind: 'Latency', quantile: 0.95, allowed: { absolute: 0.01 } } },
      {},
      'Healthy',
      false,
    ],
    [
      'latency beyond an absolute increase',
      observed(20, { requests: 500, latencySeconds: 0.045 }, { requests: 900 }),
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
      'throughput of a canary that answers nothing but errors',
      observed(1_000, { requests: 100, errors: 100 }, undefined, 'Whole'),
      { m: { kind: 'Throughput', min: 10 } },
      { traffic: 'Whole' },
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
    const all = counts({ requests, latencySeconds: 0.0007 });
    const late = Math.round(requests * slow);
    const [quick, busy] = [bucketOf(0.0007), bucketOf(0.0028)];
    const buckets = all.latency.buckets.map((count, k) => (k === quick ? count - late : k === busy ? late : 0));
    return { ...all, latency: { buckets, sumSeconds: 0 } };
  };

  test('hide no canary that is slower than stable ever is', () => {
    let state = beginAnalysis('Split');
    for (let k = 1; k <= 64; k += 1) {
      const stable = slowed(400, k % 16 < 8 ? 0.2 : 0.6);
      state = observe(state, {
        endMs: k,
        durationMs: 1_000,
        canary: counts({ requests: 100, latencySeconds: 0.045 }),
        stable,
      });
    }
    const p50: Measure = { kind: 'Latency', quantile: 0.5, allowed: { absolute: 0.002 } };
    expect(judge(state, policyOf({ p50 })).verdict).toBe('Unhealthy');
  });

  test('leave no wide margin open, as they leave no narrow one', () => {
    let state = beginAnalysis('Split');
    for (let k = 1; k <= 64; k += 1) {
      // A machine that is busy for some minutes, and then is not.
      const share = k % 16 < 8 ? 0.2 : 0.6;
      state = observe(state, {
        endMs: k,
        durationMs: 1_000,
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
    let state = beginAnalysis('Split');
    for (let k = 1; k <= 30; k += 1) {
      const side = ([usual, seldom]: readonly [number, number]) => ({
        ...counts({ requests: usual }),
        predictions: { label: labels(usual), ...(seldom > 0 && { probabilities: labels(seldom) }) },
      });
      state = observe(state, { endMs: k, durationMs: 1_000, canary: side(canary), stable: side(stable) });
    }
    return judge(state, policyOf({ m: { kind: 'PredictionDistribution', max: 0.25 } })).verdict;
  };

  test('are judged by those that enough requests ask for: a few for another leave no verdict open', () => {
    expect(predicting([100, 0], [400, 4])).toBe('Healthy');
    expect(predicting([100, 0], [400, 200])).toBe('InsufficientData');
  });
});
