import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { INDEPENDENT } from './design-effect.ts';
import { categoryDesignEffect, pooled, totalVariation, totalVariationBounds } from './total-variation.ts';

const counts = fc.array(fc.nat(1_000), { minLength: 3, maxLength: 3 });

describe('total variation', () => {
  test.each([
    ['the same shares', [10, 20, 70], [100, 200, 700], 0],
    ['half of the answers moved', [5, 5, 0], [10, 0, 0], 0.5],
    ['no label in common', [10, 0, 0], [0, 10, 0], 1],
    ['nothing on one side', [0, 0, 0], [0, 10, 0], 0],
  ])('of %s', (_, canary, stable, golden) => {
    expect(totalVariation(canary, stable)).toBeCloseTo(golden, 12);
  });

  test('golden: p = (.5, .3, .2) and q = (.4, .4, .2) are .1 apart', () => {
    expect(totalVariation([50, 30, 20], [40, 40, 20])).toBeCloseTo(0.1, 12);
  });

  test('its bounds contain no distance for what is noise, and contain the estimate from above', () => {
    fc.assert(
      fc.property(counts, counts, (canary, stable) => {
        const { lower, upper } = totalVariationBounds({ canary, stable }, { lower: 9, upper: 9 }, INDEPENDENT);
        expect(upper).toBeGreaterThanOrEqual(totalVariation(canary, stable) - 1e-12);
        expect(lower).toBeLessThanOrEqual(upper);
        expect(lower).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

test('rows that come many to a request tell as much as requests do', () => {
  // A request in five predicts one label for all of its hundred rows.
  const block = (k: number) => (k % 5 === 0 ? [100, 0] : [20, 80]);
  const blocks = Array.from({ length: 30 }, (_, k) => ({ canary: block(k), stable: block(k + 2) }));
  expect(pooled(blocks)).toEqual({ canary: [1080, 1920], stable: [1080, 1920] });
  expect(categoryDesignEffect(blocks).factor).toBeGreaterThan(20);
});
