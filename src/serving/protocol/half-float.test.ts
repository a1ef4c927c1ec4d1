import { expect, test } from 'vitest';
import { fromBfloat16, fromFloat16, toBfloat16, toFloat16 } from './half-float.ts';

const patterns = Array.from({ length: 65_536 }, (_, pattern) => pattern);

test('every 16-bit pattern that is a number survives the way to a number and back', () => {
  for (const pattern of patterns) {
    for (const [from, to] of [
      [fromFloat16, toFloat16],
      [fromBfloat16, toBfloat16],
    ] as const) {
      const value = from(pattern);
      if (!Number.isNaN(value) && to(value) !== pattern) expect.fail(`${pattern} became ${value} became ${to(value)}`);
      if (Number.isNaN(value)) expect(from(to(value))).toBeNaN();
    }
  }
});

test.each([
  ['one', 1, 0x3c00],
  ['the largest number', 65_504, 0x7bff],
  ['the smallest number above what rounds to it', 65_519, 0x7bff],
  ['the first that is too large', 65_520, 0x7c00],
  ['the smallest subnormal', 2 ** -24, 0x0001],
  ['half of it, which ties to even', 2 ** -25, 0x0000],
  ['a tie that goes up to even', 1 + 3 * 2 ** -11, 0x3c02],
  ['a significand that rounds up to the next exponent', 2047.5 / 1024, 0x4000],
  ['minus zero', -0, 0x8000],
])('binary16 of %s', (_, value, pattern) => {
  expect(toFloat16(value)).toBe(pattern);
});

test('bfloat16 rounds to nearest, ties to even, and overflows to infinity', () => {
  expect(toBfloat16(1 + 2 ** -8)).toBe(0x3f80);
  expect(toBfloat16(1 + 3 * 2 ** -8)).toBe(0x3f82);
  expect(toBfloat16(3.4e38)).toBe(0x7f80);
});
