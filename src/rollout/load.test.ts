import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { beginLoad, LOAD_HOLD_MS, LOAD_INTERVAL_MS, type LoadHistory, observeLoad, podsForLoad } from './load.ts';

/** Whole readings, one an interval, the last of them at `LOAD_INTERVAL_MS * numbers.length`. */
const read = (numbers: readonly number[], from: LoadHistory = beginLoad(0, 0), startMs = 0): LoadHistory =>
  numbers.reduce<LoadHistory>(
    (history, inFlight, index) =>
      observeLoad(history, { atMs: startMs + (index + 1) * LOAD_INTERVAL_MS, inFlight, isWhole: true }),
    from,
  );
const atReading = (readings: number) => readings * LOAD_INTERVAL_MS;

describe('pods that requests in flight take', () => {
  test.each<[rule: string, inFlight: readonly number[], perPod: number, pods: number]>([
    ['are none where nothing is in flight', [0, 0, 0], 8, 0],
    ['are as many as the target asks for', [64, 64, 64], 8, 8],
    ['are not one more for a tenth more', [70, 70, 70], 8, 8],
    ['are one more for more than that', [71, 71, 71], 8, 9],
    ['follow the mean of three readings: one that is high is no load', [8, 8, 32], 8, 2],
    ['follow a load that lasts', [8, 32, 32, 32], 8, 4],
    ['stay at what was needed a moment ago', [64, 64, 64, 0, 0, 0, 0], 8, 8],
  ])('%s', (_, inFlight, perPod, pods) => {
    expect(podsForLoad(read(inFlight), perPod)).toBe(pods);
  });

  test('go down once they have not been needed for five minutes', () => {
    const high = read([64, 64, 64]);
    const low = (readings: number) =>
      read(
        Array.from({ length: readings }, () => 8),
        high,
        atReading(3),
      );
    expect(podsForLoad(low(LOAD_HOLD_MS / LOAD_INTERVAL_MS - 1), 8)).toBe(8);
    expect(podsForLoad(low(LOAD_HOLD_MS / LOAD_INTERVAL_MS + 2), 8)).toBe(1);
  });

  test('follow another target at once', () => {
    expect(podsForLoad(read([64, 64, 64]), 16)).toBe(4);
  });

  test('are those that there were until what was needed before is known', () => {
    const begun = beginLoad(7, 0);
    const readings = (count: number) => Array.from({ length: count }, () => 8);
    expect(podsForLoad(begun, 8)).toBe(7);
    expect(podsForLoad(read(readings(LOAD_HOLD_MS / LOAD_INTERVAL_MS - 1), begun), 8)).toBe(7);
    expect(podsForLoad(read(readings(LOAD_HOLD_MS / LOAD_INTERVAL_MS), begun), 8)).toBe(1);
  });

  test('are not fewer because a router did not tell, and more where those that did have more', () => {
    const part = (inFlight: number) => ({ atMs: atReading(4), inFlight, isWhole: false });
    const history = read([64, 64, 64]);
    expect(observeLoad(history, part(0)).readings.map(({ inFlight }) => inFlight)).toEqual([64, 64, 64]);
    expect(podsForLoad(observeLoad(history, part(640)), 8)).toBeGreaterThan(8);
  });

  test('never let a pod have more than the target and its tolerance, for loads that last', () => {
    fc.assert(
      fc.property(fc.nat({ max: 100_000 }), fc.integer({ min: 1, max: 1_000 }), (inFlight, perPod) => {
        const pods = podsForLoad(read([inFlight, inFlight, inFlight]), perPod);
        expect(inFlight).toBeLessThanOrEqual(pods * perPod * 1.1 + 1e-6);
        if (pods > 0) expect(inFlight).toBeGreaterThan((pods - 1) * perPod * 1.1 - 1e-6);
      }),
    );
  });

  test('keep no more than the readings that count', () => {
    const history = read(Array.from({ length: 500 }, () => 8));
    expect(history.readings).toHaveLength(3);
    expect(history.means.length).toBeLessThanOrEqual(LOAD_HOLD_MS / LOAD_INTERVAL_MS + 1);
  });
});
