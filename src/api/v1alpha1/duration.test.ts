import fc from 'fast-check';
import { expect, test } from 'vitest';
import { durationMs } from './duration.ts';

test.each([
  ['0s', 0],
  ['2ms', 2],
  ['1.5s', 1_500],
  ['1.5ms', 2],
  ['4.1m', 246_000],
  ['32.3s', 32_300],
  ['5m', 300_000],
  ['168h', 604_800_000],
  ['1h30m', 5_400_000],
])('%s is %d ms', (text, expected) => {
  expect(durationMs(text)).toBe(expected);
});

test.each(['', '5', 's', '5d', '-1s', '1 s', '1h30'])('"%s" is not a duration', (text) => {
  expect(() => durationMs(text)).toThrow(RangeError);
});

test('a duration is the sum of its parts', () => {
  const part = fc.nat(10_000);
  fc.assert(
    fc.property(part, part, part, part, (h, m, s, ms) => {
      expect(durationMs(`${h}h${m}m${s}s${ms}ms`)).toBe(((h * 60 + m) * 60 + s) * 1_000 + ms);
    }),
  );
});
