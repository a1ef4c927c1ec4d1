import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BUCKETS, StickyHash } from './sticky-hash.ts';

test.each([
  ['exp1', 'user-1', 0.3993],
  ['exp1', 'ü-3', 0.1637],
])('the hash of seed %s and unit %s is the one of the GrowthBook SDKs, version 2', (seed, unit, hash) => {
  expect(new StickyHash(seed).bucket(unit) / BUCKETS).toBe(hash);
});

test('a seed is hashed as if it stood before the unit', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (seed, unit) => {
      expect(new StickyHash(seed).bucket(unit)).toBe(new StickyHash('').bucket(seed + unit));
    }),
  );
});

test('units fill tenths of the buckets evenly, and independently under another seed', () => {
  const units = 20_000;
  const cells = new Map<string, number>();
  const [one, other] = [new StickyHash('churn'), new StickyHash('fraud')];
  for (let unit = 0; unit < units; unit++) {
    const cell = [one, other].map((hash) => Math.floor((hash.bucket(`user-${unit}`) * 10) / BUCKETS)).join();
    cells.set(cell, (cells.get(cell) ?? 0) + 1);
  }
  const expected = units / 100;
  const chiSquare = [...cells.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  expect(cells.size).toBe(100);
  // The 99.9% quantile of chi-square with 99 degrees of freedom.
  expect(chiSquare).toBeLessThan(148.2);
});
