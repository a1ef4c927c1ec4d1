import { expect, test } from 'vitest';
import { compileConditions } from './conditions.ts';
import type { Metric } from './policy.ts';
import { judgeQuery } from './query.ts';
import { beginAnalysis, type Measurement, observeQuery } from './state.ts';
import type { VerdictWord } from './verdict.ts';

const measure = {
  kind: 'Query',
  address: 'http://prometheus:9090',
  query: 'up',
  timeoutMs: 1_000,
  conditions: compileConditions({ success: 'result > 1' }, 'metrics[0]'),
  failureLimit: 1,
  inconclusiveLimit: 1,
} as const;
const metric: Metric = { name: 'revenue', dryRun: false, consecutiveErrorLimit: 2, measure };

const good: Measurement = { outcome: 'Successful', samples: [2] };
const bad: Measurement = { outcome: 'Failed', samples: [0.5] };
const unclear: Measurement = { outcome: 'Inconclusive', samples: [1] };
const nothing: Measurement = { outcome: 'NoData', samples: [] };
const error: Measurement = { failure: 'it did not answer within 1000 ms' };

test.each<[string, Measurement[], VerdictWord, string]>([
  ['none yet', [], 'InsufficientData', 'revenue: not measured yet'],
  ['a success', [good], 'Healthy', 'revenue: successful (1), failed (0), last 2'],
  ['no more failures than may be', [good, bad], 'Healthy', 'revenue: successful (1), failed (1), last 0.5'],
  ['more failures than may be', [bad, good, bad], 'Unhealthy', 'revenue: failed (2) > limit (1), last 0.5'],
  ['failures alone, as many as may be', [bad], 'InsufficientData', 'revenue: no success yet, last 0.5'],
  [
    'more that are neither than may be',
    [unclear, unclear],
    'Inconclusive',
    'revenue: inconclusive (2) > limit (1), last 1',
  ],
  [
    'no data, however often',
    [nothing, nothing, nothing, nothing],
    'InsufficientData',
    'revenue: no success yet, last no data',
  ],
  [
    'an error',
    [good, error],
    'InsufficientData',
    'revenue: errors in a row (1), last it did not answer within 1000 ms',
  ],
  [
    'more errors in a row than may be',
    [good, error, error, error],
    'Error',
    'revenue: errors in a row (3) > limit (2), last it did not answer within 1000 ms',
  ],
  [
    'errors with a success between',
    [error, error, good, error, error, good],
    'Healthy',
    'revenue: successful (2), failed (0), last 2',
  ],
  [
    'failures and errors: failures win',
    [bad, bad, error, error, error],
    'Unhealthy',
    'revenue: failed (2) > limit (1), last it did not answer within 1000 ms',
  ],
])('of measurements: %s', (_, measurements, verdict, message) => {
  const state = measurements.reduce((sum, each) => observeQuery(sum, 'revenue', each), beginAnalysis('Split'));
  expect(judgeQuery(metric, measure, state.queries.revenue)).toMatchObject({ verdict, message });
});
