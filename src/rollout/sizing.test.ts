import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readyShares } from './shares.ts';
import { carriedWeight, floorOf, leastPods, podsFor } from './sizing.ts';

const weight = fc.integer({ min: 1, max: 100 });
const pods = fc.integer({ min: 1, max: 500 });

test('pods that are enough for a weight carry it, and one fewer does not', () => {
  fc.assert(
    fc.property(weight, pods, (percent, wanted) => {
      const enough = podsFor(percent, wanted);
      expect(carriedWeight(enough, wanted)).toBeGreaterThanOrEqual(percent);
      if (enough > 1) expect(carriedWeight(enough - 1, wanted)).toBeLessThan(percent);
    }),
  );
});

test('what has moved to some pods leaves the others enough to give as many away', () => {
  fc.assert(
    fc.property(pods, pods, (base, moved) => {
      fc.pre(moved < base);
      expect(leastPods(100 - carriedWeight(moved, base), base)).toBeLessThanOrEqual(base - moved);
    }),
  );
});

test.each([
  [4, undefined, 3],
  [1, undefined, 1],
  [0, undefined, 0],
  [1, 1, 0],
  [10, '25%', 8],
])('of %d pods with maxUnavailable %s at least %d stay ready', (wanted, maxUnavailable, floor) => {
  expect(floorOf({ maxUnavailable }, wanted)).toBe(floor);
});

test('shares by ready pods add up to 100, and a revision without one has none', () => {
  const revisions = fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(revisions, (counts) => {
      const named = counts.map((ready, index) => ({ name: `r${index}`, ready }));
      const shares = readyShares(named, 'r0');
      expect([...shares.values()].reduce((sum, share) => sum + share, 0)).toBe(100);
      if (counts.some((ready) => ready > 0)) {
        for (const { name, ready } of named) if (ready === 0) expect(shares.get(name) ?? 0).toBe(0);
      }
    }),
  );
});
