import { describe, expect, test } from 'vitest';
import type { Analysis, AnalysisMetric } from '../../api/v1alpha1/analysis.ts';
import { judge } from './judge.ts';
import { compilePolicy, type Traffic } from './policy.ts';
import { beginAnalysis, observeQuery } from './state.ts';
import { observed } from './testing/observed.ts';
import { analysis, metric } from './testing/spec.ts';

/** What is asked of traffic that cannot show it: a canary that is alone, above all, as on a cluster without room for both. */

const { metrics: _none, ...defaults } = analysis();
const judgedBy = (given: Analysis, analyse: readonly string[], traffic: Traffic = 'Whole') =>
  compilePolicy(given, { traffic, analyse, analysedSteps: 1 });

const good = observed(40, { requests: 100 }, undefined, 'Whole');
const bad = observed(40, { requests: 100, errors: 50 }, undefined, 'Whole');

describe('a canary that is alone', () => {
  test('is never Healthy by metrics that compare it with stable, however long it is watched', () => {
    const policy = judgedBy(defaults, ['errors', 'latency']);
    for (const state of [beginAnalysis('Whole'), good, bad]) {
      expect(judge(state, policy).verdict).toBe('InsufficientData');
    }
    expect(judge(good, policy).message).toBe(
      '4000 requests; errors: stable answers nothing that the canary could be compared with, ' +
        'latency: stable answers nothing that the canary could be compared with',
    );
    expect(judge(good, policy).metrics.map(({ name, verdict }) => [name, verdict])).toEqual([
      ['errors', 'InsufficientData'],
      ['latency', 'InsufficientData'],
    ]);
  });

  test('is not Healthy by one metric that can be told where another one cannot', () => {
    const given = analysis(
      metric({ name: 'limit', builtin: 'ErrorRate', max: '5%' }),
      metric({ name: 'answers', builtin: 'PredictionDistribution', max: '10%' }),
    );
    expect(judge(good, judgedBy(given, ['limit'])).verdict).toBe('Healthy');
    expect(judge(good, judgedBy(given, ['limit', 'answers'])).verdict).toBe('InsufficientData');
  });

  test('is taken back for breaking the hard limit of a metric that compares too, and not Healthy for keeping it', () => {
    const policy = judgedBy(
      analysis(metric({ name: 'errors', builtin: 'ErrorRate', maxIncrease: { absolute: '1%' }, max: '5%' })),
      ['errors'],
    );
    expect(judge(bad, policy)).toMatchObject({ verdict: 'Unhealthy', metrics: [{ isHardLimit: true }] });
    expect(judge(good, policy)).toMatchObject({
      verdict: 'InsufficientData',
      message: '4000 requests; errors 0%, but stable answers nothing that the canary could be compared with',
    });
  });

  test('is Healthy by queries, which compare nothing', () => {
    const given = analysis(
      metric({
        name: 'revenue',
        prometheus: { address: 'http://p', query: 'x', timeout: '1s' },
        success: 'result > 1',
      }),
    );
    const measured = observeQuery(good, 'revenue', { outcome: 'Successful', samples: [2] });
    expect(judge(measured, judgedBy(given, ['revenue'])).verdict).toBe('Healthy');
  });

  test('is not held up by a metric in a dry run, which is shown', () => {
    const given = analysis(
      metric({ name: 'limit', builtin: 'ErrorRate', max: '5%' }),
      metric({ name: 'p99', builtin: 'LatencyP99', maxIncrease: { relative: '10%' }, dryRun: true }),
    );
    const { verdict, metrics } = judge(good, judgedBy(given, ['limit', 'p99']));
    expect(verdict).toBe('Healthy');
    expect(metrics[1]).toMatchObject({ name: 'p99', verdict: 'InsufficientData', dryRun: true });
  });
});

test.each<[string, Traffic, AnalysisMetric, RegExp]>([
  ['the throughput of copies', 'Mirror', metric({ builtin: 'Throughput', min: '1/s' }), /copies have no rate/],
  ['the agreement of no copies', 'Split', metric({ builtin: 'Agreement', min: '90%' }), /none are sent/],
])('%s cannot be told, and is not Healthy', (_, traffic, asked, reason) => {
  const state = observed(40, { requests: 100, agreed: 100 }, { requests: 900 }, traffic);
  const { verdict, message } = judge(state, judgedBy(analysis(asked), ['m'], traffic));
  expect(verdict).toBe('InsufficientData');
  expect(message).toMatch(reason);
});

test('a metric that the analysis does not have any more is not Healthy', () => {
  const given = analysis(metric({ name: 'limit', builtin: 'ErrorRate', max: '5%' }));
  expect(judge(good, judgedBy(given, ['former']))).toMatchObject({
    verdict: 'InsufficientData',
    message: '4000 requests; former: the analysis has no metric of this name',
  });
});

test('a step for which nothing is to be judged is Healthy', () => {
  expect(judge(good, judgedBy(analysis(), [])).verdict).toBe('Healthy');
});
