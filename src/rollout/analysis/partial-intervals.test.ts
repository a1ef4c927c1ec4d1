import { expect, test } from 'vitest';
import type { Interval } from './interval.ts';
import { judge } from './judge.ts';
import { type AnalysisState, beginAnalysis, observe } from './state.ts';
import { counts, errors } from './testing/observed.ts';
import { policyOf } from './testing/policy.ts';

/** Two routers of which one does not tell for a while: half of the requests are missing, and come later all at once. */

const THROUGHPUT = policyOf({ rate: { kind: 'Throughput', min: 10, max: 15 } }, { minRequests: 100 });
const ERRORS = policyOf({ errors: errors(0.01) }, { minRequests: 100 });

const interval = (requests: number, isPartial = false, failed = 0): Interval => ({
  endMs: 0,
  durationMs: 10_000,
  canary: counts({ requests, errors: failed }),
  stable: counts({ requests: 900 }),
  ...(isPartial && { isPartial }),
});

const after = (intervals: readonly Interval[], state: AnalysisState = beginAnalysis('Split')): AnalysisState =>
  intervals.reduce(observe, state);
const times = (number: number, each: Interval): readonly Interval[] => Array.from({ length: number }, () => each);

test('no rate is claimed of intervals that not all told, however many they are', () => {
  const [metric] = judge(after(times(60, interval(60, true))), THROUGHPUT).metrics;
  expect(metric).toMatchObject({ verdict: 'InsufficientData' });
  expect(metric?.message).toContain('without 600 s in which not all pods told');
});

test('nor of less than six that all told', () => {
  const state = after(times(5, interval(60)), after(times(20, interval(60, true))));
  expect(judge(state, THROUGHPUT).verdict).toBe('InsufficientData');
});

test('a rate is that of the intervals that all told, whatever was missing or came late in between', () => {
  const late = [interval(60, true), interval(180, true)];
  const state = after([...times(30, interval(120)), ...late, ...late, ...times(30, interval(120))]);
  expect(judge(state, THROUGHPUT)).toMatchObject({ verdict: 'Healthy', metrics: [{ canary: 12 }] });
});

test('a rate that is too small in intervals that all told is too small', () => {
  expect(judge(after(times(20, interval(60))), THROUGHPUT).verdict).toBe('Unhealthy');
});

test('shares are judged by what some tell', () => {
  expect(judge(after(times(20, interval(60, true, 12))), ERRORS).verdict).toBe('Unhealthy');
});
