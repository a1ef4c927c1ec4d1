import { expect, test } from 'vitest';
import { elapsed } from './elapsed.ts';

test.each([
  [0, '0s'],
  [-5000, '0s'],
  [499, '0s'],
  [1500, '2s'],
  [59_600, '1m'],
  [130_000, '2m10s'],
  [3_600_000, '1h'],
  [3_661_000, '1h1m'],
  [90_061_000, '1d1h'],
])('%i ms are said as %s', (ms, said) => {
  expect(elapsed(ms)).toBe(said);
});
