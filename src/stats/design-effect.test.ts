import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { countedDeviance, designEffect, differenceDesignEffect, INDEPENDENT } from './design-effect.ts';

const scalars = (...values: number[]) => values.map((value) => [value]);

describe('the design effect', () => {
  test('is 1 while the variance over intervals is what independent requests have', () => {
    expect(designEffect(scalars(1, -1, 1, -1, 1, -1, 1, -1), 8)).toBe(INDEPENDENT);
  });

  test('is the variance over intervals relative to that, where it is clearly more', () => {
    const { factor, degreesOfFreedom } = designEffect(scalars(3, -3, 3, -3, 3, -3, 3, -3), 8);
    expect(factor).toBeCloseTo((8 * 9 * (8 / 7)) / 8, 12);
    expect(degreesOfFreedom).toBeCloseTo(7 / (1 - 1 / factor) ** 2, 12);
  });

  test('sees bursts that go on over intervals as larger ones', () => {
    const alternating = designEffect(scalars(...Array.from({ length: 32 }, (_, k) => (k % 2 === 0 ? 3 : -3))), 32);
    const inRuns = designEffect(scalars(...Array.from({ length: 32 }, (_, k) => (k % 8 < 4 ? 3 : -3))), 32);
    expect(inRuns.factor).toBeGreaterThan(3 * alternating.factor);
    expect(inRuns.degreesOfFreedom).toBeLessThan(alternating.degreesOfFreedom);
  });

  test('of one burst in many quiet intervals is known as badly as one observation is', () => {
    const quiet = { events: 1, trials: 100 };
    const blocks = Array.from({ length: 20 }, (_, k) => ({
      canary: k === 3 ? { events: 40, trials: 100 } : quiet,
      stable: { events: 9, trials: 900 },
    }));
    const { factor, degreesOfFreedom } = differenceDesignEffect(blocks);
    expect(factor).toBeGreaterThan(10);
    expect(degreesOfFreedom).toBeLessThan(1.5);
  });

  test('of bursts on one side leaves a bound that they do not speak for known as well as their sizes are', () => {
    const bursts = (sign: number) => scalars(...Array.from({ length: 20 }, (_, k) => sign * (k % 10 === 3 ? 9 : -1)));
    const { degreesOfFreedom, boundDegreesOfFreedom } = designEffect(bursts(1), 20);
    expect(boundDegreesOfFreedom.lower).toBe(degreesOfFreedom);
    expect(boundDegreesOfFreedom.upper).toBeGreaterThan(3 * degreesOfFreedom);
    expect(designEffect(bursts(-1), 20).boundDegreesOfFreedom).toEqual({
      lower: boundDegreesOfFreedom.upper,
      upper: degreesOfFreedom,
    });
  });

  test('of several differences at once leaves no bound known better: such bursts have no side', () => {
    const several = Array.from({ length: 20 }, (_, k) => (k % 10 === 3 ? [9, -9] : [-1, 1]));
    const { degreesOfFreedom, boundDegreesOfFreedom } = designEffect(several, 40);
    expect(boundDegreesOfFreedom).toEqual({ lower: degreesOfFreedom, upper: degreesOfFreedom });
  });

  test('of bursts that both sides share is 1', () => {
    const blocks = Array.from({ length: 20 }, (_, k) => ({
      canary: { events: k % 5 === 0 ? 50 : 1, trials: 100 },
      stable: { events: k % 5 === 0 ? 450 : 9, trials: 900 },
    }));
    expect(differenceDesignEffect(blocks)).toBe(INDEPENDENT);
  });

  test('is 1 where nothing was counted, and where there are too few intervals to tell', () => {
    expect(differenceDesignEffect([])).toBe(INDEPENDENT);
    expect(designEffect(scalars(9, -9, 0), 1)).toBe(INDEPENDENT);
    expect(designEffect(scalars(0, 0, 0, 0), 0)).toBe(INDEPENDENT);
  });
});

describe('the deviance that makes a claim', () => {
  test('grows with the design effect, and the more the worse it is known', () => {
    const factor = fc.double({ min: 1, max: 100, noNaN: true });
    const degrees = fc.double({ min: 1, max: 1e4, noNaN: true });
    fc.assert(
      fc.property(factor, degrees, (size, degreesOfFreedom) => {
        const needed = countedDeviance(9, { factor: size, degreesOfFreedom });
        expect(needed).toBeGreaterThanOrEqual(9 * size);
        expect(needed).toBeGreaterThanOrEqual(countedDeviance(9, { factor: size, degreesOfFreedom: 2e4 }));
      }),
    );
    expect(countedDeviance(9, INDEPENDENT)).toBe(9);
  });
});
