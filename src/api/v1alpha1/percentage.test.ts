import { expect, test } from 'vitest';
import { percentageShare } from './percentage.ts';

test.each([
  ['0%', 0],
  ['1%', 0.01],
  ['0.5%', 0.005],
  ['12.5%', 0.125],
  ['100%', 1],
  ['100.0%', 1],
])('%s is the share %d', (text, expected) => {
  expect(percentageShare(text)).toBe(expected);
});

test.each(['', '1', '%', '101%', '100.1%', '-1%', '1 %'])('"%s" is not a percentage', (text) => {
  expect(() => percentageShare(text)).toThrow(RangeError);
});
