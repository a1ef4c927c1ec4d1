import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatAmount, parseQuantity, roundUp, UNIT } from './quantity.ts';

describe('parseQuantity', () => {
  test.each([
    ['0', 0n],
    ['2', 2n * UNIT],
    ['500m', UNIT / 2n],
    ['0.5', UNIT / 2n],
    ['.5', UNIT / 2n],
    ['5.', 5n * UNIT],
    ['1.5Gi', 1_610_612_736n * UNIT],
    ['1Ki', 1024n * UNIT],
    ['8Ei', 8n * 2n ** 60n * UNIT],
    ['1k', 1000n * UNIT],
    ['1M', 1_000_000n * UNIT],
    ['1E', 10n ** 18n * UNIT],
    ['1e3', 1000n * UNIT],
    ['1E3', 1000n * UNIT],
    ['12e-3', 12_000_000n],
    ['100n', 100n],
    ['3u', 3000n],
    ['+1', UNIT],
    ['-2', -2n * UNIT],
    [4, 4n * UNIT],
  ])('reads %s exactly', (text, expected) => {
    expect(parseQuantity(text)).toBe(expected);
  });

  test('rounds up what is finer than Kubernetes keeps', () => {
    expect(parseQuantity('0.1n')).toBe(1n);
    expect(parseQuantity('1e-12')).toBe(1n);
  });

  test.each(['', 'x', '1 Gi', '1gi', '1ki', 'Ki', '.', '1e', '1.2.3', '1Kim'])('refuses %j, which is none', (text) => {
    expect(() => parseQuantity(text)).toThrow(RangeError);
  });

  test('no quantity loses digits, whatever its suffix', () => {
    const suffixes: [string, bigint][] = [
      ['', UNIT],
      ['m', UNIT / 1000n],
      ['k', 1000n * UNIT],
      ['Mi', 2n ** 20n * UNIT],
      ['Pi', 2n ** 50n * UNIT],
      ['e6', 1_000_000n * UNIT],
    ];
    const property = fc.property(fc.bigInt(0n, 2n ** 63n), fc.constantFrom(...suffixes), (whole, [suffix, factor]) => {
      expect(parseQuantity(`${whole}${suffix}`)).toBe(whole * factor);
    });
    fc.assert(property);
  });
});

test('roundUp gives the next multiple', () => {
  expect(roundUp(1n, UNIT)).toBe(UNIT);
  expect(roundUp(UNIT, UNIT)).toBe(UNIT);
  expect(roundUp(0n, UNIT)).toBe(0n);
});

test.each([
  ['nvidia.com/gpu', '8', '8'],
  ['cpu', '500m', '500m'],
  ['cpu', '1500m', '1.5'],
  ['memory', '16Gi', '16Gi'],
  ['requests.memory', '1536Mi', '1.5Gi'],
  ['memory', '1000', '1000'],
  ['pods', '110', '110'],
  ['nvidia.com/gpu', '-1', '-1'],
])('%s of %s is written %s', (resource, quantity, expected) => {
  expect(formatAmount(resource, parseQuantity(quantity))).toBe(expected);
});
