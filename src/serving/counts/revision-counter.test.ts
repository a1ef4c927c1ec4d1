import Value from 'typebox/value';
import { expect, test } from 'vitest';
import {
  COARSE_LATENCY_BOUNDS_SECONDS,
  CountsSnapshot,
  LATENCY_BOUNDS_SECONDS,
  RevisionCounts,
} from '../../api/counts.ts';
import { RevisionCounter } from './revision-counter.ts';
import { RevisionCounters } from './revision-counters.ts';

test('requests that the client gave up count apart, with the time until then as their latency at least; errors have none', () => {
  const counter = new RevisionCounter();
  counter.ended('success', 0.001);
  counter.ended('success', 100);
  counter.ended('error', 5);
  counter.ended('cancelled', 5);
  counter.ended('withdrawn', 7);
  const counts = counter.snapshot();
  expect(counts).toMatchObject({ requests: 3, errors: 1, cancelled: 1, latency: { sumSeconds: 105.001 } });
  expect(counts.latency.buckets[LATENCY_BOUNDS_SECONDS.findIndex((bound) => bound >= 5)]).toBe(1);
  expect(counts).not.toHaveProperty('mirror');
  expect(counter).toMatchObject({ cancelled: 1, withdrawn: 1 });
  // Bounds are upper bounds, and the last bucket takes what is above all.
  expect(counts.latency.buckets[LATENCY_BOUNDS_SECONDS.indexOf(0.001)]).toBe(1);
  expect(counts.latency.buckets.at(-1)).toBe(1);
  expect(Value.Check(RevisionCounts, counts)).toBe(true);
});

test('bounds of latencies ascend, the coarse ones are among them, and none is a tenth above the one before', () => {
  expect([...LATENCY_BOUNDS_SECONDS].sort((a, b) => a - b)).toEqual(LATENCY_BOUNDS_SECONDS);
  expect(new Set(LATENCY_BOUNDS_SECONDS).size).toBe(LATENCY_BOUNDS_SECONDS.length);
  expect(COARSE_LATENCY_BOUNDS_SECONDS.filter((bound) => !LATENCY_BOUNDS_SECONDS.includes(bound))).toEqual([]);
  const ratios = LATENCY_BOUNDS_SECONDS.slice(1).map((bound, k) => bound / (LATENCY_BOUNDS_SECONDS[k] ?? 0));
  expect(Math.max(...ratios)).toBeLessThan(1.1);
});

test('counts with fields that a later version adds are read: of two versions at work either may be the newer one', () => {
  const revisions = { churn: { a: { ...new RevisionCounter().snapshot(), rows: 7 } } };
  expect(Value.Check(CountsSnapshot, { instance: 'x', inFlight: 0, revisions, uptimeSeconds: 1 })).toBe(true);
});

test('copies are counted beside the requests', () => {
  const counter = new RevisionCounter();
  counter.mirrored('success', 0.01, true);
  counter.mirrored('success', 0.01, false);
  counter.mirrored('error', 0.01, undefined);
  counter.mirrorDropped();
  const { requests, mirror } = counter.snapshot();
  expect({ requests, mirror }).toMatchObject({
    requests: 0,
    mirror: { requests: 3, errors: 1, dropped: 1, compared: 2, agreed: 1 },
  });
});

test('a revision that returns goes on with its counts, and only the latest that no route names are kept', () => {
  const counters = new RevisionCounters();
  counters.of('churn', 'churn-a').ended('success', 0.01);
  for (let generation = 0; generation < 20; generation++) {
    const named = [`churn-${generation}`, 'churn-a'];
    for (const revision of named) counters.of('churn', revision);
    counters.retain('churn', named);
  }
  const revisions = counters.snapshot();
  expect(Object.keys(revisions.churn ?? {})).toEqual([
    ...[11, 12, 13, 14, 15, 16, 17, 18].map((generation) => `churn-${generation}`),
    'churn-19',
    'churn-a',
  ]);
  expect(revisions.churn?.['churn-a']?.requests).toBe(1);
  expect(Value.Check(CountsSnapshot, { instance: 'x', inFlight: 0, revisions })).toBe(true);
});

test('counts of ModelDeployments without a route are kept for a while, not for ever', () => {
  const counters = new RevisionCounters();
  for (let index = 0; index < 100; index++) {
    counters.of(`md-${index}`, 'r').ended('success', 0.01);
    counters.removed(`md-${index}`);
  }
  expect(Object.keys(counters.snapshot())).toEqual(Array.from({ length: 32 }, (_, index) => `md-${index + 68}`));
});

test('a ModelDeployment may be named as what every object has', () => {
  const counters = new RevisionCounters();
  counters.of('constructor', 'constructor-a').ended('success', 0.01);
  expect(Object.entries(counters.snapshot())).toMatchObject([['constructor', { 'constructor-a': { requests: 1 } }]]);
});
