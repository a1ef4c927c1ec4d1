import { describe, expect, test } from 'vitest';
import { compileConditions, MAX_SAMPLES, type Outcome, UnusableResult } from './conditions.ts';
import { InvalidMetric } from './invalid-metric.ts';

const success = 'result >= 0.98';
const failure = 'result < 0.9';
const compile = (expressions: { success?: string; failure?: string }) => compileConditions(expressions, 'metrics[0]');

describe("a measurement is what Argo Rollouts' conditions make of it", () => {
  test.each<[string, { success?: string; failure?: string }, number, Outcome]>([
    ['neither condition given: successful', {}, 0, 'Successful'],
    ['success alone, true', { success }, 0.99, 'Successful'],
    ['success alone, else failed', { success }, 0.95, 'Failed'],
    ['failure alone, true', { failure }, 0.5, 'Failed'],
    ['failure alone, else successful', { failure }, 0.95, 'Successful'],
    ['both, success true', { success, failure }, 0.99, 'Successful'],
    ['both, failure true', { success, failure }, 0.5, 'Failed'],
    ['both, neither true: inconclusive', { success, failure }, 0.95, 'Inconclusive'],
    ['both true: failure wins', { success: 'result > 0.0', failure: 'result > 0.5' }, 0.7, 'Failed'],
  ])('%s', (_, expressions, sample, outcome) => {
    expect(compile(expressions).assess([sample])).toBe(outcome);
  });

  test.each<[string, number[]]>([
    ['no series', []],
    ['not a number', [Number.NaN]],
  ])('no data (%s) is neither a success nor a failure', (_, samples) => {
    for (const expressions of [{ success }, { failure }, { success, failure }, {}]) {
      expect(compile(expressions).assess(samples)).toBe('NoData');
    }
  });
});

test.each([
  ['result[0] > 1.0 && size(result) == 2', [2, 0.5], 'Successful'],
  ['result.all(each, each < 1.0)', [2, 0.5], 'Failed'],
  ['result > 1', [2], 'Successful'],
  ['result > 1 && result < 1e9', [Number.POSITIVE_INFINITY], 'Failed'],
] as const)('%s is about one number where it can be, and else about all', (expression, samples, outcome) => {
  expect(compile({ success: expression }).assess([...samples])).toBe(outcome);
});

test.each<[string, string, RegExp]>([
  ['does not parse', 'result >', /at character 9 of "result >"/],
  ['names something else', 'reslt > 1', /at character 1 .*Unknown variable: reslt/],
  ['is no condition', 'result + 1.0', /must be true or false, not double/],
  ['compares with a text', 'result > "1"', /no such overload/],
  ['has a regular expression', '"aaaa!".matches("(a+)+$")', /matches\(\) is not offered/],
  ['loops in a loop', 'result.all(a, result.exists(b, a < b))', /exists\(\) inside of another loop/],
  ['is too large', Array.from({ length: 300 }, () => 'result > 1').join(' && '), /./],
])('an expression that %s is refused, with the field and the position', (_, expression, problem) => {
  const refused = () => compile({ failure: expression });
  expect(refused).toThrow(InvalidMetric);
  expect(refused).toThrow(problem);
  expect(refused).toThrow(/^metrics\[0\]\.failure: /);
});

test.each<[string, string, number[], RegExp]>([
  [
    'several numbers for a condition about one',
    'result > 1',
    [1, 2],
    /gave 2 numbers where the condition is about one/,
  ],
  ['too few for the condition', 'result[3] > 1.0', [1, 2], /result\[3\]/],
  [
    'more than can be looked at',
    'result.all(x, x > 0.0)',
    new Array<number>(MAX_SAMPLES + 1).fill(1),
    /more than 1000/,
  ],
])('%s cannot be used', (_, expression, samples, problem) => {
  const conditions = compile({ success: expression });
  expect(() => conditions.assess(samples)).toThrow(UnusableResult);
  expect(() => conditions.assess(samples)).toThrow(problem);
});

test('the longest loop over the most numbers takes little time', () => {
  const conditions = compile({ success: 'result.all(x, x * x + 2.0 * x + 1.0 >= 0.0 && x < 10.0 && x > -10.0)' });
  // Of this thread alone: what else the machine computes does not count.
  const start = process.threadCpuUsage();
  expect(conditions.assess(new Array<number>(MAX_SAMPLES).fill(1))).toBe('Successful');
  // Microseconds: a hundred times what it takes.
  expect(process.threadCpuUsage(start).user).toBeLessThan(1_000_000);
});
