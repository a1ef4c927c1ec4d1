import { expect, test } from 'vitest';
import type { PredictionCounts } from '../../api/counts.ts';
import { judge } from './judge.ts';
import { beginAnalysis, observe } from './state.ts';
import { counts } from './testing/observed.ts';
import { policyOf } from './testing/policy.ts';

const policy = policyOf({ m: { kind: 'PredictionDistribution', max: 0.1 } });

const rows = (kind: PredictionCounts['kind'], counts: Record<string, number>): PredictionCounts => ({
  kind,
  counts,
  other: 0,
});

/** What is said after each of so many intervals. */
function verdicts(intervals: number, predicted: (interval: number) => readonly (PredictionCounts | undefined)[]) {
  let state = beginAnalysis('Split');
  const said: string[] = [];
  for (let k = 0; k < intervals; k += 1) {
    const [canary, stable] = predicted(k).map((y, side) => ({
      ...counts({ requests: side === 0 ? 100 : 900 }),
      ...(y && { predictions: { y } }),
    }));
    if (canary === undefined || stable === undefined) throw new Error('two sides are predicted for');
    state = observe(state, { endMs: k, durationMs: 10_000, canary, stable });
    said.push(judge(state, policy).verdict);
  }
  return said;
}

test.each(['Label', 'Number'] as const)(
  'predictions by %s that have nothing in common are Unhealthy, also where stable was told of after eight intervals only',
  (kind) => {
    const said = verdicts(68, (k) => [rows(kind, { 1: 100 }), k < 8 ? undefined : rows(kind, { 400: 900 })]);
    expect(said).not.toContain('Healthy');
    expect(said.at(-1)).toBe('Unhealthy');
  },
);

test('groups are decided by eight intervals that stable predicted in, and not by a row after eight that it did not', () => {
  const said = verdicts(68, (k) => [
    rows('Label', { a: 100 }),
    k < 8 ? undefined : rows('Label', k === 8 ? { c: 1 } : { b: 900 }),
  ]);
  expect(said).not.toContain('Healthy');
  expect(said.at(-1)).toBe('Unhealthy');
});

test('predictions of which nothing can be told apart are never Healthy', () => {
  const untold: PredictionCounts = { kind: 'Label', counts: {}, other: 500 };
  expect(new Set(verdicts(30, () => [untold, untold]))).toEqual(new Set(['InsufficientData']));
});

test('labels that stable predicted long ago tell nothing apart', () => {
  const stable: PredictionCounts = { kind: 'Label', counts: { long: 0, ago: 0 }, other: 500 };
  const canary: PredictionCounts = { kind: 'Label', counts: { garbage: 500 }, other: 0 };
  expect(verdicts(30, () => [canary, stable])).not.toContain('Healthy');
});
