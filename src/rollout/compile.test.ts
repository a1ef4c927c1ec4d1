import { describe, expect, test } from 'vitest';
import { stepName, stepsText } from './compile.ts';
import { rolloutOf } from './testing/invariants.ts';

const metrics = [
  { name: 'errors', builtin: 'ErrorRate', maxIncrease: { absolute: '1%' } },
  { name: 'slow', builtin: 'LatencyP99', max: '80ms' },
  { name: 'rate', builtin: 'Throughput', min: '1/s' },
  { name: 'shift', builtin: 'PredictionDistribution', max: '10%' },
  { name: 'agreement', builtin: 'Agreement', min: '98%' },
  { name: 'revenue', prometheus: { address: 'http://p', query: 'q' }, success: 'true' },
];

describe('a preset', () => {
  test.each([
    ['Canary', 's w10 w25 w50 w100', 0],
    ['BlueGreen', 's w100', 600_000],
    ['Shadow', 's m10 w100', 0],
    ['Rolling', '', 0],
    ['Recreate', '', 0],
  ])('%s is the steps "%s"', (strategy, steps, keepPreviousMs) => {
    const compiled = rolloutOf({ strategy });
    expect(stepsText(compiled.steps)).toBe(steps);
    expect(compiled.keepPreviousMs).toBe(keepPreviousMs);
  });
  test('of Canary is judged by errors and latency while both have traffic', () => {
    const { steps } = rolloutOf({ strategy: 'Canary' });
    expect(steps.map(({ analyse }) => analyse.join(' '))).toEqual([
      '',
      'errors latency',
      'errors latency',
      'errors latency',
      '',
    ]);
  });
  test('of Shadow lasts until a person promotes it', () => {
    expect(rolloutOf({ strategy: 'Shadow' }).steps[1]).toMatchObject({ kind: 'mirror', hold: 'UntilPromoted' });
  });
});

describe('steps of a user', () => {
  test('end with all of the traffic, once', () => {
    expect(stepsText(rolloutOf({ strategy: 'Canary', steps: [{ weight: 5 }] }).steps)).toBe('w5 w100');
    expect(stepsText(rolloutOf({ strategy: 'Canary', steps: [{ weight: 100 }] }).steps)).toBe('w100');
  });
  test('are judged by every metric that they can measure, unless they say which', () => {
    const steps = [{ mirror: '7%' }, { weight: 50 }, { weight: 60, analyse: ['rate'] }, { weight: 70, analyse: [] }];
    const compiled = rolloutOf({ strategy: 'Canary', steps, analysis: { metrics } });
    expect(compiled.steps.map(({ analyse }) => analyse.join(' '))).toEqual([
      'errors slow shift agreement revenue',
      'errors slow rate shift revenue',
      'rate',
      '',
      'slow rate revenue',
    ]);
  });
  test('with all of the traffic are judged by the limits of what compares too', () => {
    const watched = [
      { name: 'errors', builtin: 'ErrorRate', maxIncrease: { absolute: '1%' }, max: '5%' },
      { name: 'latency', builtin: 'LatencyP99', maxIncrease: { relative: '25%' } },
    ];
    const compiled = rolloutOf({ strategy: 'Canary', steps: [{ weight: 50 }], analysis: { metrics: watched } });
    expect(compiled.steps.map(({ analyse }) => analyse.join(' '))).toEqual(['errors latency', 'errors']);
  });
  test('keep fractions of a mirror as they were written', () => {
    const [step] = rolloutOf({ strategy: 'Shadow', steps: [{ mirror: '0.7%' }] }).steps;
    expect(step && stepName(step)).toBe('mirror 0.7%');
  });
  test('mirror something however small the share is', () => {
    expect(rolloutOf({ strategy: 'Shadow', steps: [{ mirror: '0.0000001%' }] }).steps[0]?.percent).toBeGreaterThan(0);
  });
  test('may be held for no time, a time, or until a person promotes them', () => {
    const holds = [{ weight: 1 }, { weight: 2, hold: '1m30s' }, { weight: 3, hold: 'UntilPromoted' }];
    expect(rolloutOf({ strategy: 'Canary', steps: holds }).steps.map(({ hold }) => hold)).toEqual([
      0,
      90_000,
      'UntilPromoted',
      0,
    ]);
  });
});

test('deadlines are those of the spec', () => {
  const analysis = { deadline: '1h' };
  expect(rolloutOf({ strategy: 'Canary', analysis, progressDeadline: '5m' })).toMatchObject({
    analysisDeadlineMs: 3_600_000,
    progressDeadlineMs: 300_000,
    provisionTimeoutMs: 180_000,
  });
  expect(rolloutOf({ strategy: 'Canary' }).analysisDeadlineMs).toBe(7_200_000);
});
