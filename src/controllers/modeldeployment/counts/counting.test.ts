import { describe, expect, test } from 'vitest';
import { type CountsSnapshot, LATENCY_BOUNDS_SECONDS, type RevisionCounts } from '../../../api/counts.ts';
import { Counting, type RequestSource } from './counting.ts';
import type { CountsReading } from './reader.ts';

const revisions = { canary: 'churn-2', stable: 'churn-1' };

function counted(requests: number, predicted?: number): RevisionCounts {
  return {
    requests,
    errors: 0,
    latency: { buckets: [requests, ...LATENCY_BOUNDS_SECONDS.map(() => 0)], sumSeconds: 0 },
    ...(predicted !== undefined && {
      predictions: { y: { kind: 'Label' as const, counts: { yes: predicted }, other: 0 } },
    }),
  };
}

const source = (name: string) => ({ uid: name, name, address: '127.0.0.1' });
const silent = (name: string): CountsReading => ({ source: source(name), failure: `${name} is silent` });

/** Of the canary; and of stable, unless it is left out. */
function told(name: string, canary: RevisionCounts, stable?: RevisionCounts): CountsReading {
  const counts = { 'churn-2': canary, ...(stable && { 'churn-1': stable }) };
  const snapshot: CountsSnapshot = { instance: name, inFlight: 0, revisions: { churn: counts } };
  return { source: source(name), snapshot };
}

interface Reading {
  readonly routers?: readonly CountsReading[];
  readonly servers?: readonly CountsReading[];
}

/** The canary's requests and predictions of each interval, or why there is none; `first` for what later ones are compared with. */
function intervals(readings: readonly Reading[], requestsFrom: RequestSource = 'Routers') {
  const counting = new Counting('churn', requestsFrom);
  return readings.map(({ routers = [], servers = [] }, index) => {
    const interval = counting.take({ atMs: 10_000 * index, routers, servers }, revisions);
    if (interval === undefined) return 'first';
    if ('failure' in interval) return interval.failure;
    return [interval.canary?.requests, interval.canary?.predictions?.y?.counts.yes];
  });
}

describe('requests are counted once', () => {
  test('by routers, while servers tell what was predicted', () => {
    expect(
      intervals([
        { routers: [told('router', counted(10))], servers: [told('server', counted(9, 9))] },
        { routers: [told('router', counted(30))], servers: [told('server', counted(29, 29))] },
      ]),
    ).toEqual(['first', [20, 20]]);
  });

  test('also where no router tells for a while: that is a failed reading, for which no server stands in', () => {
    expect(
      intervals([
        { routers: [told('router', counted(10))], servers: [told('server', counted(9, 9))] },
        { routers: [silent('router')], servers: [told('server', counted(29, 29))] },
        { routers: [told('router', counted(50))], servers: [told('server', counted(49, 49))] },
      ]),
    ).toEqual(['first', 'router is silent', [40, 40]]);
  });

  test('also where no router is there for a while', () => {
    expect(
      intervals([
        { routers: [told('router', counted(10))] },
        { servers: [told('server', counted(1_000, 1_000))] },
        { routers: [told('router', counted(12))], servers: [told('server', counted(1_002, 1_002))] },
        { routers: [told('router', counted(15))], servers: [told('server', counted(1_005, 1_005))] },
      ]),
    ).toEqual(['first', 'there is no router to read counts from', [2, undefined], [3, 3]]);
  });

  test('also of a revision that no router has sent anything to, as when pods are asked directly', () => {
    const counting = new Counting('churn', 'Routers');
    const reading = (atMs: number, direct: number) => ({
      atMs,
      routers: [told('router', counted(0))],
      servers: [told('server', counted(0), counted(direct, direct))],
    });
    counting.take(reading(0, 100), revisions);
    expect(counting.take(reading(10_000, 200), revisions)).toMatchObject({ canary: { requests: 0 } });
    expect(counting.take(reading(20_000, 300), revisions)).not.toHaveProperty('stable');
  });

  test('by servers, where there are no routers', () => {
    expect(
      intervals(
        [
          { servers: [told('server', counted(9, 9))] },
          { servers: [told('server', counted(29, 29))] },
          { servers: [silent('server')] },
          { servers: [told('server', counted(49, 49))] },
        ],
        'Servers',
      ),
    ).toEqual(['first', [20, 20], 'server is silent', [20, 20]]);
  });
});

test('what some tell is an interval; what the others counted is in their next one', () => {
  const a = (count: number) => told('a', counted(count));
  expect(
    intervals([
      { routers: [a(1), told('b', counted(1))] },
      { routers: [a(2), silent('b')] },
      { routers: [a(3), told('b', counted(11))] },
    ]),
  ).toEqual(['first', [1, undefined], [11, undefined]]);
});

test('an interval that not all told says so, and so does one over which the clock was set back', () => {
  const counting = new Counting('churn', 'Routers');
  const take = (atMs: number, ...routers: readonly CountsReading[]) =>
    counting.take({ atMs, routers, servers: [] }, revisions);
  take(0, told('a', counted(0)), told('b', counted(0)));
  expect(take(10_000, told('a', counted(60)), told('b', counted(60)))).not.toHaveProperty('isPartial');
  expect(take(20_000, told('a', counted(120)), silent('b'))).toMatchObject({ isPartial: true });
  expect(take(30_000, told('a', counted(180)), told('b', counted(180)))).toMatchObject({ isPartial: true });
  expect(take(40_000, told('a', counted(240)), told('b', counted(240)))).not.toHaveProperty('isPartial');
  expect(take(5_000, told('a', counted(300)), told('b', counted(300)))).toMatchObject({ isPartial: true });
});

test('an interval after failed readings is as long as the time in which its counts were made', () => {
  const counting = new Counting('churn', 'Routers');
  const at = (atMs: number, router: CountsReading) =>
    counting.take({ atMs, routers: [router], servers: [] }, revisions);
  at(0, told('router', counted(0)));
  at(10_000, silent('router'));
  expect(at(20_000, told('router', counted(40)))).toMatchObject({ durationMs: 20_000, canary: { requests: 40 } });
});

test('a first reading that fails is a failed one, and the next one is what later ones are compared with', () => {
  const router = (count: number) => ({ routers: [told('router', counted(count))] });
  expect(intervals([{ routers: [silent('router')] }, router(500), router(501)])).toEqual([
    'router is silent',
    'first',
    [1, undefined],
  ]);
});

test('the last counts of a router that has stopped are an interval, though no other tells', () => {
  const counting = new Counting('churn', 'Routers');
  counting.take({ atMs: 0, routers: [told('router', counted(5))], servers: [] }, revisions);
  const last = told('router', counted(8));
  if ('snapshot' in last) counting.hold([{ uid: 'router', snapshot: last.snapshot }]);
  expect(counting.take({ atMs: 10_000, routers: [], servers: [] }, revisions)).toMatchObject({
    canary: { requests: 3 },
  });
});

test('what clients gave up is counted of each interval and of all processes, where older ones do not tell it', () => {
  const gaveUp = (name: string, cancelled: number) => told(name, { ...counted(5), cancelled });
  const counting = new Counting('churn', 'Routers');
  const take = (atMs: number, ...routers: readonly CountsReading[]) =>
    counting.take({ atMs, routers, servers: [] }, revisions);
  take(0, gaveUp('new', 3), told('old', counted(5)));
  expect(take(10_000, gaveUp('new', 10), told('old', counted(5)))).toMatchObject({ canary: { cancelled: 7 } });
  expect(take(20_000, gaveUp('new', 12), gaveUp('late', 4), told('old', counted(5)))).toMatchObject({
    canary: { cancelled: 6 },
  });
});
