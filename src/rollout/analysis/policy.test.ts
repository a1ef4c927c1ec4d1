import { describe, expect, test } from 'vitest';
import type { AnalysisMetric } from '../../api/v1alpha1/analysis.ts';
import { InvalidMetric } from './invalid-metric.ts';
import { compilePolicy, FALSE_ALARM_OF_ROLLOUT, type Measure, type Traffic } from './policy.ts';
import { analysis, metric } from './testing/spec.ts';

const step = { traffic: 'Split', analysedSteps: 1 } as const;

describe('a metric says what is measured, in shares and seconds', () => {
  test.each<[Partial<AnalysisMetric>, Measure]>([
    [
      { builtin: 'ErrorRate', maxIncrease: { absolute: '0.5%' } },
      { kind: 'ErrorRate', allowed: { absolute: 0.005 } },
    ],
    [
      { builtin: 'ErrorRate', maxIncrease: { relative: '150%' }, max: '2%' },
      { kind: 'ErrorRate', allowed: { relative: 1.5 }, max: 0.02 },
    ],
    [
      { builtin: 'LatencyP95', maxIncrease: { absolute: '5ms' }, max: '1s' },
      { kind: 'Latency', quantile: 0.95, allowed: { absolute: 0.005 }, max: 1 },
    ],
    [
      { builtin: 'LatencyP50', max: '80ms' },
      { kind: 'Latency', quantile: 0.5, max: 0.08 },
    ],
    [
      { builtin: 'Throughput', min: '10/s', max: '2.5/s' },
      { kind: 'Throughput', min: 10, max: 2.5 },
    ],
    [
      { builtin: 'PredictionDistribution', max: '10%' },
      { kind: 'PredictionDistribution', max: 0.1 },
    ],
  ])('%j', (fields, measure) => {
    expect(compilePolicy(analysis(metric(fields)), step).metrics[0]?.measure).toEqual(measure);
  });
});

test('the times of the analysis are its own', () => {
  const policy = compilePolicy(analysis(metric({ builtin: 'LatencyP50', max: '80ms' })), step);
  expect(policy).toMatchObject({ minRequests: 500, intervalMs: 10_000, traffic: 'Split' });
});

test('metrics that are not given are errors and latency', () => {
  const { metrics: _, ...rest } = analysis();
  expect(compilePolicy(rest, step).metrics.map(({ name }) => name)).toEqual(['errors', 'latency']);
});

describe('a step is judged by what it names, whether it can measure that or not, and else by all that it can', () => {
  const all = analysis(
    metric({ name: 'errors', builtin: 'ErrorRate', maxIncrease: { absolute: '1%' } }),
    metric({ name: 'limit', builtin: 'ErrorRate', max: '5%' }),
    metric({ name: 'p99', builtin: 'LatencyP99', maxIncrease: { relative: '10%' } }),
    metric({ name: 'rate', builtin: 'Throughput', min: '1/s' }),
    metric({ name: 'shift', builtin: 'PredictionDistribution', max: '10%' }),
    metric({ name: 'agree', builtin: 'Agreement', min: '98%' }),
    metric({
      name: 'query',
      prometheus: { address: 'http://p', query: 'up', timeout: '1s' },
      success: 'result > 0',
    }),
  );
  test.each<[Traffic, readonly string[] | undefined, readonly string[]]>([
    ['Split', undefined, ['errors', 'limit', 'p99', 'rate', 'shift', 'query']],
    ['Mirror', undefined, ['errors', 'limit', 'p99', 'shift', 'agree', 'query']],
    ['Whole', undefined, ['limit', 'rate', 'query']],
    ['Split', ['p99', 'agree'], ['p99', 'agree']],
    ['Whole', ['errors', 'p99'], ['errors', 'p99']],
    ['Split', [], []],
  ])('%s, %j', (traffic, analyse, names) => {
    const policy = compilePolicy(all, { traffic, analysedSteps: 1, ...(analyse && { analyse }) });
    expect(policy.metrics.map(({ name }) => name)).toEqual(names);
    expect(policy.unknown).toEqual([]);
  });

  test('what it names and the analysis does not have is known as such', () => {
    const policy = compilePolicy(all, { traffic: 'Split', analysedSteps: 1, analyse: ['p99', 'former'] });
    expect(policy.metrics.map(({ name }) => name)).toEqual(['p99']);
    expect(policy.unknown).toEqual(['former']);
  });

  test('where it can measure nothing at all, all are left: nothing is Healthy for want of metrics', () => {
    const policy = compilePolicy(analysis(all.metrics?.[0] ?? metric({})), { traffic: 'Whole', analysedSteps: 1 });
    expect(policy.metrics.map(({ name }) => name)).toEqual(['errors']);
  });
});

test('where nothing is compared, a metric is its limits; one that has none is left, and cannot be told', () => {
  const given = analysis(
    metric({ name: 'both', builtin: 'ErrorRate', maxIncrease: { absolute: '1%' }, max: '5%' }),
    metric({ name: 'slow', builtin: 'LatencyP99', maxIncrease: { relative: '10%' }, max: '1s' }),
    metric({ name: 'more', builtin: 'LatencyP99', maxIncrease: { relative: '10%' } }),
  );
  const policy = compilePolicy(given, {
    traffic: 'Whole',
    analysedSteps: 1,
    limitsOnly: true,
    analyse: ['both', 'slow', 'more'],
  });
  expect(policy.metrics.map(({ measure }) => measure)).toEqual([
    { kind: 'ErrorRate', max: 0.05 },
    { kind: 'Latency', quantile: 0.99, max: 1 },
    { kind: 'Latency', quantile: 0.99, allowed: { relative: 0.1 } },
  ]);
  expect(policy.falseAlarm).toBe(FALSE_ALARM_OF_ROLLOUT / 2);
});

test('the chance of a false alarm is shared by all claims of harm of all steps, but not by dry runs and queries', () => {
  const policy = compilePolicy(
    analysis(
      metric({ name: 'errors', builtin: 'ErrorRate', maxIncrease: { absolute: '1%' }, max: '5%' }),
      metric({ name: 'p99', builtin: 'LatencyP99', maxIncrease: { relative: '10%' } }),
      metric({ name: 'p50', builtin: 'LatencyP50', maxIncrease: { relative: '10%' }, dryRun: true }),
      metric({ name: 'query', prometheus: { address: 'http://p', query: 'up', timeout: '1s' }, failure: 'result < 1' }),
    ),
    { traffic: 'Split', analysedSteps: 4 },
  );
  expect(policy.falseAlarm).toBeCloseTo(FALSE_ALARM_OF_ROLLOUT / (3 * 4), 15);
});

test('an expression that does not compile is refused, with its field', () => {
  const broken = metric({ prometheus: { address: 'http://p', query: 'up', timeout: '1s' }, failure: 'result >' });
  expect(() => compilePolicy(analysis(broken), step)).toThrow(InvalidMetric);
  expect(() => compilePolicy(analysis(broken), step)).toThrow(
    /^spec\.rollout\.analysis\.metrics\[0\]\.failure: at character 9/,
  );
});
