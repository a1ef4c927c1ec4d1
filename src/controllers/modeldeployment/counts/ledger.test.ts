import { describe, expect, test } from 'vitest';
import { type CountsSnapshot, LATENCY_BOUNDS_SECONDS, type RevisionCounts } from '../../../api/counts.ts';
import { CountsLedger, type LedgerInterval } from './ledger.ts';
import type { CountsReading } from './reader.ts';

const counted = (requests: number, errors = 0): RevisionCounts => ({
  requests,
  errors,
  latency: { buckets: [requests - errors, ...LATENCY_BOUNDS_SECONDS.map(() => 0)], sumSeconds: requests / 100 },
});

const snapshot = (instance: string, requests: number): CountsSnapshot => ({
  instance,
  inFlight: 0,
  revisions: { churn: { 'churn-1': counted(requests) }, other: { 'other-1': counted(9) } },
});

const source = (uid: string) => ({ uid, name: uid, address: '127.0.0.1' });
const told = (uid: string, instance: string, requests: number): CountsReading => ({
  source: source(uid),
  snapshot: snapshot(instance, requests),
});
const silent = (uid: string): CountsReading => ({ source: source(uid), failure: 'no answer' });
const requestsIn = ({ instances }: LedgerInterval) =>
  instances.map(({ instance, revisions }) => [instance, revisions['churn-1']?.requests]);

/** What each reading after the first one tells as counted since the one before. */
const cases: { rule: string; readings: CountsReading[][]; expected: (readonly unknown[])[][] }[] = [
  {
    rule: 'the first reading counts for nothing: it is what later ones are compared with',
    readings: [[told('a', 'a1', 50)], [told('a', 'a1', 60)]],
    expected: [[], [['a1', 10]]],
  },
  {
    rule: 'a process that was started again begins at 0',
    readings: [[told('a', 'a1', 50)], [told('a', 'a2', 4)]],
    expected: [[], [['a2', 4]]],
  },
  {
    rule: 'a pod that came since began at 0',
    readings: [[told('a', 'a1', 50)], [told('a', 'a1', 51), told('b', 'b1', 7)]],
    expected: [
      [],
      [
        ['a1', 1],
        ['b1', 7],
      ],
    ],
  },
  {
    rule: 'what a pod did not tell once is in its next interval',
    readings: [[told('a', 'a1', 50)], [silent('a')], [told('a', 'a1', 90)]],
    expected: [[], [], [['a1', 40]]],
  },
  {
    rule: 'what a pod counted before it could be read for the first time is of unknown age and left out',
    readings: [[silent('a')], [told('a', 'a1', 1000)], [told('a', 'a1', 1003)]],
    expected: [[], [], [['a1', 3]]],
  },
  {
    rule: 'a pod that is missed in one reading goes on where it was',
    readings: [[told('a', 'a1', 1000), told('b', 'b1', 5)], [told('b', 'b1', 5)], [told('a', 'a1', 1003)]],
    expected: [[], [['b1', 0]], [['a1', 3]]],
  },
  {
    rule: 'where nobody was asked first, the first answers are what later ones are compared with',
    readings: [[], [told('a', 'a1', 1000)], [told('a', 'a1', 1003)]],
    expected: [[], [], [['a1', 3]]],
  },
];

test.each(cases)('$rule', ({ readings, expected }) => {
  const ledger = new CountsLedger('churn');
  expect(readings.map((reading) => requestsIn(ledger.take(reading)))).toEqual(expected);
});

test('the last counts of a process that stopped are taken in once, also when what told them has gone since', () => {
  const ledger = new CountsLedger('churn');
  ledger.take([told('a', 'a1', 50), told('b', 'b1', 5)]);
  const last = { uid: 'a', snapshot: snapshot('a1', 58) };
  ledger.hold([last]);
  ledger.hold([]);
  expect(requestsIn(ledger.take([told('b', 'b1', 6)]))).toEqual([
    ['a1', 8],
    ['b1', 1],
  ]);
  expect(requestsIn(ledger.take([told('b', 'b1', 6)]))).toEqual([['b1', 0]]);
});

test('the last counts of a process count from where it was read last, also when its pod went before they were told', () => {
  const ledger = new CountsLedger('churn');
  ledger.take([told('a', 'a1', 1_000), told('b', 'b1', 5)]);
  ledger.take([told('b', 'b1', 5)]);
  ledger.hold([{ uid: 'a', snapshot: snapshot('a1', 1_008) }]);
  expect(requestsIn(ledger.take([told('b', 'b1', 5)]))).toEqual([
    ['a1', 8],
    ['b1', 0],
  ]);
});

test('the last counts are not taken in again while they are still told', () => {
  const ledger = new CountsLedger('churn');
  ledger.take([told('a', 'a1', 50)]);
  const last = [{ uid: 'a', snapshot: snapshot('a1', 58) }];
  ledger.hold(last);
  expect(requestsIn(ledger.take([]))).toEqual([['a1', 8]]);
  ledger.hold(last);
  expect(requestsIn(ledger.take([]))).toEqual([]);
});

test('a container that is started again in its pod counts from 0, and the one before from where it was read last', () => {
  const ledger = new CountsLedger('churn');
  ledger.take([told('a', 'a1', 1_000)]);
  ledger.hold([{ uid: 'a', snapshot: snapshot('a1', 1_005) }]);
  const { instances, isWhole } = ledger.take([told('a', 'a2', 4)]);
  expect([requestsIn({ instances, isWhole }), isWhole]).toEqual([
    [
      ['a1', 5],
      ['a2', 4],
    ],
    true,
  ]);
  expect(requestsIn(ledger.take([told('a', 'a2', 10)]))).toEqual([['a2', 6]]);
});

describe('the last counts that a pod keeps of a container that stopped long ago', () => {
  const last = [{ uid: 'a', snapshot: snapshot('a0', 700) }];
  const readings = [1_000, 1_010, 1_020].map((requests) => [told('a', 'a1', requests)]);
  const expected = [[], [['a1', 10]], [['a1', 10]]];

  test('count for nothing where they were there from the beginning', () => {
    const ledger = new CountsLedger('churn');
    const seen = readings.map((reading) => {
      ledger.hold(last);
      return requestsIn(ledger.take(reading));
    });
    expect(seen).toEqual(expected);
  });

  test('count for nothing where they are seen later, and leave the container that runs as it is', () => {
    const ledger = new CountsLedger('churn');
    const seen = readings.map((reading) => {
      const interval = requestsIn(ledger.take(reading));
      ledger.hold(last);
      return interval;
    });
    expect(seen).toEqual(expected);
  });
});

test('a pod that came and went between two readings counts in full by its last counts', () => {
  const ledger = new CountsLedger('churn');
  ledger.take([told('a', 'a1', 1_000)]);
  ledger.hold([{ uid: 'b', snapshot: snapshot('b1', 7) }]);
  expect(requestsIn(ledger.take([told('a', 'a1', 1_000)]))).toEqual([
    ['b1', 7],
    ['a1', 0],
  ]);
});

test('a process that is still read after its last counts were told counts no request twice', () => {
  const ledger = new CountsLedger('churn');
  ledger.take([told('a', 'a1', 50)]);
  ledger.hold([{ uid: 'a', snapshot: snapshot('a1', 58) }]);
  expect(requestsIn(ledger.take([told('a', 'a1', 55)]))).toEqual([['a1', 8]]);
  expect(requestsIn(ledger.take([told('a', 'a1', 58)]))).toEqual([]);
});

/** Whether each reading after the first one is all that was counted since the one before, and nothing older. */
const wholes: { rule: string; readings: CountsReading[][]; expected: boolean[] }[] = [
  {
    rule: 'an interval that all told is whole, also where a pod came',
    readings: [[told('a', 'a1', 5)], [told('a', 'a1', 6), told('b', 'b1', 1)]],
    expected: [true],
  },
  {
    rule: 'one that a pod did not tell is not, nor the one with what it tells late',
    readings: [
      [told('a', 'a1', 5), told('b', 'b1', 5)],
      [told('a', 'a1', 6), silent('b')],
      [told('a', 'a1', 7), told('b', 'b1', 9)],
      [told('a', 'a1', 8), told('b', 'b1', 9)],
    ],
    expected: [false, false, true],
  },
  {
    rule: 'one that a pod tells for the first time, having been there, is not',
    readings: [
      [told('a', 'a1', 5), silent('b')],
      [told('a', 'a1', 6), told('b', 'b1', 90)],
      [told('a', 'a1', 7), told('b', 'b1', 91)],
    ],
    expected: [false, true],
  },
  {
    rule: 'one in which a pod went, or a container was started again, without last counts is not',
    readings: [
      [told('a', 'a1', 5), told('b', 'b1', 5)],
      [told('a', 'a1', 6)],
      [told('a', 'a2', 1)],
      [told('a', 'a2', 2)],
    ],
    expected: [false, false, true],
  },
  {
    rule: 'one after a reading that nobody told covers both',
    readings: [[told('a', 'a1', 5)], [silent('a')], [told('a', 'a1', 9)]],
    expected: [false, true],
  },
];

test.each(wholes)('$rule', ({ readings, expected }) => {
  const ledger = new CountsLedger('churn');
  const [, ...seen] = readings.map((reading) => ledger.take(reading).isWhole);
  expect(seen).toEqual(expected);
});

test('one in which the last counts of a pod come later than its other pods told is not whole', () => {
  const ledger = new CountsLedger('churn');
  ledger.take([told('a', 'a1', 5), told('b', 'b1', 5)]);
  ledger.take([told('b', 'b1', 6)]);
  ledger.hold([{ uid: 'a', snapshot: snapshot('a1', 8) }]);
  expect(ledger.take([told('b', 'b1', 7)]).isWhole).toBe(false);
  expect(ledger.take([told('b', 'b1', 8)]).isWhole).toBe(true);
});

test('labels and outputs may have the names of what every object has', () => {
  const ledger = new CountsLedger('churn');
  const take = (predictions: string) => {
    const revisions = { churn: { 'churn-1': { ...counted(1), predictions: JSON.parse(predictions) } } };
    return ledger.take([{ source: source('a'), snapshot: { instance: 'a1', inFlight: 0, revisions } }]);
  };
  take('{}');
  const predictions = '{"constructor":{"kind":"Label","counts":{"toString":3},"other":0}}';
  expect(JSON.stringify(take(predictions).instances[0]?.revisions['churn-1']?.predictions)).toBe(predictions);
  const more = '{"constructor":{"kind":"Label","counts":{"toString":3,"valueOf":4,"__proto__":5},"other":0}}';
  expect(JSON.stringify(take(more).instances[0]?.revisions['churn-1']?.predictions)).toBe(more.replace('3', '0'));
});

test('of a process that counts latencies in other buckets, as one of another version, all else counts', () => {
  const ledger = new CountsLedger('churn');
  const take = (requests: number) => {
    const latency = { buckets: [requests, 0, 0], sumSeconds: 7 };
    const mirror = { requests, errors: 0, dropped: 0, compared: 0, agreed: 0, latency };
    const revisions = { churn: { 'churn-1': { ...counted(requests), latency, mirror } } };
    return ledger.take([{ source: source('a'), snapshot: { instance: 'a1', inFlight: 0, revisions } }]).instances;
  };
  take(5);
  const none = { buckets: [0, ...LATENCY_BOUNDS_SECONDS.map(() => 0)], sumSeconds: 0 };
  expect(take(9)[0]?.revisions['churn-1']).toMatchObject({ requests: 4, latency: none, mirror: { latency: none } });
});
