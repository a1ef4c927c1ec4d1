import { describe, expect, test } from 'vitest';
import { crossing } from './crossing.ts';

describe('where a function crosses 0', () => {
  test.each<[string, number, number, (at: number) => number, number]>([
    ['a line', 0, 10, (x) => 2 * x - 3, 1.5],
    ['steep at one end', 0, 1, (x) => x ** 40 - 0.5, 0.5 ** (1 / 40)],
    ['flat at one end', 0, 1, (x) => x ** 9 - 1e-5, 1e-5 ** (1 / 9)],
    ['infinite at both ends', 0, 1, (x) => Math.log(x / (1 - x)) - 1, Math.E / (1 + Math.E)],
    ['positive from the first', 2, 3, (x) => x, 2],
    ['negative to the last', 2, 3, (x) => -x, 3],
  ])('%s', (_, low, high, value, golden) => {
    expect(crossing(low, high, value)).toBeCloseTo(golden, 7);
  });
});
