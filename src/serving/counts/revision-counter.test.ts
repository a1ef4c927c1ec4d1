import Value from 'typebox/value';
import { expect, test } from 'vitest';
import { CountsSnapshot, LATENCY_BOUNDS_SECONDS, RevisionCounts } from '../../api/counts.ts';
import { RevisionCounter } from './revision-counter.ts';
import { RevisionCounters } from './revision-counters.ts';

test('requests that the client gave up count apart, errors have no latency', () => {
  const counter = new RevisionCounter();
  counter.ended('success', 0.001);
  counter.ended('success', 100);
  counter.ended('error', 5);
  counter.ended('cancelled', 5);
  const counts = counter.snapshot();
  expect(counts).toMatchObject({ requests: 3, errors: 1, latency: { sumSeconds: 100.001 } });
  expect(counts).not.toHaveProperty('mirror');
  expect(counter.cancelled).toBe(1);
  // Bounds are upper bounds, and the last bucket takes what is above all.
  expect(counts.latency.buckets[LATENCY_BOUNDS_SECONDS.indexOf(0.001)]).toBe(1);
  expect(counts.latency.buckets.at(-1)).toBe(1);
  expect(Value.Check(RevisionCounts, counts)).toBe(true);
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
