import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { countAbove, quantile, quantileEdges, total } from './histogram.ts';
import { comparedQuantileBounds, quantileBounds } from './quantile-bounds.ts';

const bounds = [1, 2, 4, 8];
const histogram = (...counts: number[]) => ({ bounds, counts });
const someCounts = fc
  .array(fc.nat(1_000), { minLength: 5, maxLength: 5 })
  .filter((counts) => total(counts) > 0)
  .map((counts) => ({ bounds, counts }));

describe('quantiles', () => {
  test.each([
    ['the middle of a bucket is the middle of its logarithm', histogram(0, 0, 10, 0, 0), 0.5, Math.sqrt(8)],
    ['an end of a bucket is its bound', histogram(0, 5, 5, 0, 0), 0.5, 2],
    ['what is above the last bound is below twice that', histogram(0, 0, 0, 0, 4), 1, 16],
    ['what is below the first bound is above half of that', histogram(4, 0, 0, 0, 0), 0, 0.5],
    ['an empty histogram has none', histogram(0, 0, 0, 0, 0), 0.5, 0],
  ])('%s', (_, counts, share, golden) => {
    expect(quantile(counts, share)).toBeCloseTo(golden, 12);
  });

  test('are between the edges of their bucket, above which are no more than the rest', () => {
    fc.assert(
      fc.property(someCounts, fc.double({ min: 0.001, max: 0.999, noNaN: true }), (counts, share) => {
        const { lower, upper } = quantileEdges(counts, share);
        expect(quantile(counts, share)).toBeGreaterThanOrEqual(lower);
        expect(quantile(counts, share)).toBeLessThanOrEqual(upper);
        const rest = (1 - share) * total(counts.counts) * (1 + 1e-9);
        expect(countAbove(counts, upper)).toBeLessThanOrEqual(rest);
        expect(countAbove(counts, lower)).toBeGreaterThan(rest - 1e-6);
      }),
    );
  });

  test('of what is counted at most in the last bucket have no upper edge', () => {
    expect(quantileEdges(histogram(0, 0, 0, 0, 4), 0.5)).toEqual({ lower: 8, upper: Number.POSITIVE_INFINITY });
    expect(quantileEdges(histogram(4, 0, 0, 0, 0), 0.5)).toEqual({ lower: 0, upper: 1 });
  });
});

describe('bounds of quantiles', () => {
  test('contain the quantile, and close in with more of the same', () => {
    const thresholds = { lower: 6, upper: 6 };
    fc.assert(
      fc.property(someCounts, someCounts, (canary, stable) => {
        const value = quantile(canary, 0.95);
        const more = { bounds, counts: canary.counts.map((count) => 100 * count) };
        for (const [few, many] of [
          [quantileBounds(canary, 0.95, thresholds), quantileBounds(more, 0.95, thresholds)],
          [
            comparedQuantileBounds(canary, stable, 0.95, thresholds),
            comparedQuantileBounds(more, stable, 0.95, thresholds),
          ],
        ] as const) {
          expect(few.lower).toBeLessThanOrEqual(value * (1 + 1e-6));
          expect(few.upper).toBeGreaterThanOrEqual(value * (1 - 1e-6));
          expect(many.lower).toBeGreaterThanOrEqual(few.lower * (1 - 1e-6));
          expect(many.upper).toBeLessThanOrEqual(few.upper * (1 + 1e-6));
        }
      }),
    );
  });

  test('are bounds of buckets, since nobody knows where in its bucket a value is', () => {
    const thresholds = { lower: 6, upper: 6 };
    expect(quantileBounds(histogram(0, 0, 500, 0, 0), 0.5, thresholds)).toEqual({ lower: 2, upper: 4 });
    expect(quantileBounds(histogram(0, 0, 0, 0, 500), 0.5, thresholds)).toEqual({
      lower: 8,
      upper: Number.POSITIVE_INFINITY,
    });
  });

  test('of nothing are all that is possible', () => {
    const nothing = histogram(0, 0, 0, 0, 0);
    const all = { lower: 0, upper: Number.POSITIVE_INFINITY };
    expect(quantileBounds(nothing, 0.5, { lower: 1, upper: 1 })).toEqual(all);
    expect(comparedQuantileBounds(nothing, histogram(1, 1, 1, 1, 1), 0.5, { lower: 1, upper: 1 })).toEqual(all);
  });
});
