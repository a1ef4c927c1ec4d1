import { expect, test } from 'vitest';
import { mixtureBoundary } from './mixture-boundary.ts';

/** From the half-width of the asymptotic confidence sequence at two-sided 2 alpha: n times its square, in units of the variance. */
test.each([
  [0.025, 5_000, 100, 44.81483895630337],
  [0.025, 5_000, 5_000, 9.212493615260833],
  [0.025, 5_000, 100_000, 11.134618200788383],
  [0.01, 1_000, 1_000, 11.244132035177635],
])('the boundary is that of the asymptotic confidence sequence (alpha %d, tightest at %d, %d samples)', (...golden) => {
  const [alpha, tightestAt, sampleSize, squared] = golden;
  expect(mixtureBoundary({ alpha, tightestAt }, sampleSize)).toBeCloseTo(squared, 10);
});

test('nothing can be claimed of no samples', () => {
  expect(mixtureBoundary({ alpha: 0.01, tightestAt: 1_000 }, 0)).toBe(Number.POSITIVE_INFINITY);
});

test.each([
  [0, 1_000],
  [0.5, 1_000],
  [Number.NaN, 1_000],
  [0.01, 0],
])('an alpha of %d with %d samples is refused', (alpha, tightestAt) => {
  expect(() => mixtureBoundary({ alpha, tightestAt }, 10)).toThrow(RangeError);
});
