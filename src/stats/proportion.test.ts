import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  deviance,
  devianceFromLine,
  differenceBounds,
  occurrenceBounds,
  type Proportion,
  rate,
  rateBounds,
} from './proportion.ts';

/** Golden values: likelihoods maximised, and bounds found, with scipy 1.17.1. */
const canary = { events: 80, trials: 2_000 };
const stable = { events: 360, trials: 18_000 };

const proportion = fc
  .tuple(fc.nat(2_000), fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([trials, share]): Proportion => ({ trials: trials + 1, events: Math.round(share * (trials + 1)) }));

describe('deviance from a line', () => {
  test.each([
    ['no difference', canary, stable, { intercept: 0, slope: 1 }, 27.77083956106435],
    ['one more in a hundred', canary, stable, { intercept: 0.01, slope: 1 }, 5.757684267769946],
    ['a fifth more', canary, stable, { intercept: 0, slope: 1.2 }, 15.741858583523936],
    [
      'less',
      { events: 3, trials: 100 },
      { events: 5, trials: 900 },
      { intercept: -0.005, slope: 1 },
      7.893305914090703,
    ],
  ])('%s', (_, ofCanary, ofStable, line, golden) => {
    expect(devianceFromLine(ofCanary, ofStable, line)).toBeCloseTo(golden, 6);
  });

  test('is 0 where what was seen is on the line', () => {
    fc.assert(
      fc.property(proportion, proportion, (a, b) => {
        expect(devianceFromLine(a, b, { intercept: rate(a) - rate(b), slope: 1 })).toBeCloseTo(0, 6);
      }),
    );
  });

  test('grows away from what was seen', () => {
    const step = fc.double({ min: 0.001, max: 0.2, noNaN: true });
    fc.assert(
      fc.property(proportion, proportion, step, step, (a, b, near, far) => {
        const at = (distance: number) => devianceFromLine(a, b, { intercept: rate(a) - rate(b) + distance, slope: 1 });
        expect(at(near + far)).toBeGreaterThanOrEqual(at(near) - 1e-7);
        expect(at(-near - far)).toBeGreaterThanOrEqual(at(-near) - 1e-7);
      }),
    );
  });

  test('is infinite where no two probabilities are on the line', () => {
    expect(devianceFromLine(canary, stable, { intercept: 1.1, slope: 1 })).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('bounds', () => {
  test('of a difference, of a rate and of occurrences are where the likelihood says', () => {
    const thresholds = { lower: 4, upper: 4 };
    const difference = differenceBounds(canary, stable, thresholds);
    expect(difference.lower).toBeCloseTo(0.011555606946, 7);
    expect(difference.upper).toBeCloseTo(0.029595239982, 7);
    const share = rateBounds({ events: 3, trials: 100 }, thresholds);
    expect(share.lower).toBeCloseTo(0.0072876375, 7);
    expect(share.upper).toBeCloseTo(0.0771532361, 7);
    const perSecond = occurrenceBounds({ events: 20, seconds: 10 }, thresholds);
    expect(perSecond.lower).toBeCloseTo(1.2336336636, 6);
    expect(perSecond.upper).toBeCloseTo(3.0324423229, 6);
  });

  test('no event at all bounds a rate from above: n trials rule out what exceeds threshold / 2n', () => {
    expect(rateBounds({ events: 0, trials: 1_000 }, { lower: 8, upper: 8 }).upper).toBeCloseTo(1 - Math.exp(-0.004), 9);
  });

  test('contain what was seen, and are wider for higher thresholds', () => {
    const threshold = fc.double({ min: 0.1, max: 20, noNaN: true });
    fc.assert(
      fc.property(proportion, proportion, threshold, threshold, (a, b, lower, upper) => {
        const bounds = differenceBounds(a, b, { lower, upper });
        const wider = differenceBounds(a, b, { lower: lower * 2, upper: upper * 2 });
        const seen = rate(a) - rate(b);
        expect(bounds.lower).toBeLessThanOrEqual(seen + 1e-8);
        expect(bounds.upper).toBeGreaterThanOrEqual(seen - 1e-8);
        expect(wider.lower).toBeLessThanOrEqual(bounds.lower + 1e-8);
        expect(wider.upper).toBeGreaterThanOrEqual(bounds.upper - 1e-8);
        const share = rateBounds(a, { lower, upper });
        expect(share.lower).toBeLessThanOrEqual(rate(a) + 1e-8);
        expect(share.upper).toBeGreaterThanOrEqual(rate(a) - 1e-8);
        if (rate(a) > 0 && share.lower > 1e-6) expect(deviance(a, share.lower)).toBeCloseTo(lower, 2);
      }),
    );
  });

  test('of nothing are all that is possible', () => {
    const nothing = { events: 0, trials: 0 };
    expect(differenceBounds(nothing, stable, { lower: 1, upper: 1 })).toEqual({ lower: -1, upper: 1 });
    expect(rateBounds(nothing, { lower: 1, upper: 1 })).toEqual({ lower: 0, upper: 1 });
    expect(occurrenceBounds({ events: 0, seconds: 0 }, { lower: 1, upper: 1 })).toEqual({
      lower: 0,
      upper: Number.POSITIVE_INFINITY,
    });
  });
});
