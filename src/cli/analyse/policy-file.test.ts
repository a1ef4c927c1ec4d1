import { expect, test } from 'vitest';
import { InvalidMetric } from '../../rollout/analysis/invalid-metric.ts';
import { FALSE_ALARM_OF_ROLLOUT } from '../../rollout/analysis/policy.ts';
import { InvalidPolicy, policyOfAnalysis, policyOfDeployment } from './policy-file.ts';

const DEPLOYMENT = `
kind: ModelDeployment
spec:
  rollout:
    strategy: Canary
    steps: [{ smoke: {} }, { weight: 10 }, { weight: 50 }]
    analysis: { metrics: [{ name: errors, builtin: ErrorRate, maxIncrease: { absolute: 0.5% } }], minRequests: 20 }
`;

test('an analysis stands for one judged step, with what it leaves out', () => {
  const policy = policyOfAnalysis('metrics: [{ name: errors, builtin: ErrorRate, max: 2% }]', 'Split');
  expect(policy).toMatchObject({ minRequests: 500, falseAlarm: FALSE_ALARM_OF_ROLLOUT });
  expect(policy.metrics).toEqual([
    { name: 'errors', dryRun: false, consecutiveErrorLimit: 4, measure: { kind: 'ErrorRate', max: 0.02 } },
  ]);
});

test('a ModelDeployment shares the chance of a false alarm between its judged steps', () => {
  const policy = policyOfDeployment(DEPLOYMENT, 'Split');
  expect(policy).toMatchObject({ minRequests: 20, falseAlarm: FALSE_ALARM_OF_ROLLOUT / 2 });
  expect(policyOfDeployment('kind: ModelDeployment', 'Split').metrics).toHaveLength(2);
});

/** Metrics that the API server refuses, and the field that it names. */
test.each([
  ['{ builtin: ErrorRate, max: 80ms }', '.max: max of ErrorRate must be a percentage'],
  ['{ builtin: ErrorRate, max: five }', '.max: max of ErrorRate must be a percentage'],
  ['{ builtin: ErrorRate, max: "2" }', '.max: max of ErrorRate must be a percentage'],
  ['{ builtin: ErrorRate, max: 200% }', '.max: must be a percentage from 0% to 100%, a duration'],
  ['{ builtin: ErrorRate, max: 0% }', '.max: max must be above 0%'],
  [
    '{ builtin: ErrorRate, maxIncrease: { absolute: 5ms } }',
    '.maxIncrease.absolute: maxIncrease.absolute of ErrorRate',
  ],
  ['{ builtin: ErrorRate, maxIncrease: { absolute: 50%, relative: 1% } }', '.maxIncrease: exactly one of absolute and'],
  ['{ builtin: ErrorRate, maxIncrease: {} }', '.maxIncrease: exactly one of absolute and relative'],
  ['{ builtin: ErrorRate }', ': ErrorRate needs maxIncrease or max, and has no min'],
  ['{ builtin: ErrorRate, max: 2%, min: 1% }', ': ErrorRate needs maxIncrease or max, and has no min'],
  ['{ builtin: LatencyP99, max: 10% }', '.max: max of latencies must be a duration'],
  ['{ builtin: Throughput, min: 5% }', '.min: min of Throughput must be a rate'],
  ['{ builtin: Throughput, min: 10/s, max: 9.5/s }', '.min: min must be at most max'],
  ['{ builtin: Agreement, min: 100% }', '.min: min of Agreement must be below 100%'],
  ['{ builtin: ErrorRate, max: 2%, success: "true" }', ': success, failure, failureLimit'],
  ['{ builtin: ErrorRate, max: 2%, name: Errors }', '.name: must be lower-case letters'],
  ['{ prometheus: { address: "ftp://p", query: up }, success: "true" }', '.prometheus.address: must be an http'],
  ['{ prometheus: { address: "http://p", query: up } }', '.success: success or failure must be given'],
  ['{ max: 2% }', ': exactly one of builtin and prometheus must be given'],
])('the metric %s is refused, as by the API server', (metric, problem) => {
  const named = metric.includes('name:') ? metric : metric.replace('{', '{ name: m,');
  expect(() => policyOfAnalysis(`metrics: [${named}]`, 'Split')).toThrow(InvalidPolicy);
  expect(() => policyOfAnalysis(`metrics: [${named}]`, 'Split')).toThrow(`analysis.metrics[0]${problem}`);
});

test.each([
  ['interval: 0s', 'analysis.interval: must be a duration from 1s to 10m'],
  ['interval: 11m', 'analysis.interval: must be a duration from 1s to 10m'],
  ['deadline: 1000h', 'analysis.deadline: must be a duration from 1s to 720h'],
  ['interval: soon', 'analysis.interval: must be a duration'],
  [
    'metrics: [{ name: e, builtin: ErrorRate, max: 2% }, { name: e, builtin: LatencyP99, max: 1s }]',
    'analysis.metrics[1]: there is another one with the same name',
  ],
])('the analysis %s is refused, as by the API server', (analysis, problem) => {
  expect(() => policyOfAnalysis(analysis, 'Split')).toThrow(InvalidPolicy);
  expect(() => policyOfAnalysis(analysis, 'Split')).toThrow(problem);
});

test.each([
  ['steps: [{ weight: 50 }, { weight: 10 }]', '.steps: the weights of steps must ascend'],
  ['steps: [{ weight: 50 }, { mirror: 10% }]', '.steps: steps must come in this order'],
  [
    'steps: [{ weight: 10, analyse: [errors, errors] }]',
    '.steps[0].analyse[1]: there is another one with the same value',
  ],
  ['steps: [{ weight: 10, analyse: [other] }]', '.steps: each of analyse must be the name of one'],
  ['steps: [{ weight: 10, hold: ever }]', '.steps[0].hold: must be a duration from 0s to 720h'],
  ['maxUnavailable: 10001', '.maxUnavailable: must be a number of pods from 0 to 10000'],
])('the rollout %s is refused, as by the API server', (fields, problem) => {
  const manifest = `{ kind: ModelDeployment, spec: { rollout: { strategy: Canary, ${fields} } } }`;
  expect(() => policyOfDeployment(manifest, 'Split')).toThrow(`spec.rollout${problem}`);
});

test('a policy with all that there is is taken', () => {
  const { metrics } = policyOfAnalysis(
    `
    interval: 1m30s
    deadline: 720h
    metrics:
      - { name: errors, builtin: ErrorRate, maxIncrease: { relative: 150% }, max: 100% }
      - { name: p50, builtin: LatencyP50, maxIncrease: { absolute: 1.5ms }, max: 1s }
      - { name: rate, builtin: Throughput, min: 9.5/s, max: 10/s }
      - { name: shift, builtin: PredictionDistribution, max: 10% }
      - { name: alike, builtin: Agreement, min: 98.5% }
      - { name: q, prometheus: { address: "http://p:9090/x", query: up }, failure: result > 1.0, failureLimit: 2 }
    `,
    'Mirror',
    ['errors', 'p50', 'rate', 'shift', 'alike', 'q'],
  );
  expect(metrics).toHaveLength(6);
  const steps =
    '[{ smoke: {} }, { mirror: 5% }, { weight: 10, hold: UntilPromoted, analyse: [errors] }, { weight: 50 }]';
  const manifest = `{ kind: ModelDeployment, spec: { rollout: { strategy: Canary, maxUnavailable: 1, steps: ${steps} } } }`;
  expect(policyOfDeployment(manifest, 'Split').metrics).toHaveLength(2);
});

test.each<[string, () => unknown, new (...all: never[]) => Error, RegExp]>([
  ['no YAML', () => policyOfAnalysis('{', 'Split'), InvalidPolicy, /^not YAML: /],
  [
    'a field that does not fit',
    () => policyOfAnalysis('minRequests: many', 'Split'),
    InvalidPolicy,
    /^analysis\.minRequests /,
  ],
  [
    'a field that there is not',
    () => policyOfAnalysis('metric: []', 'Split'),
    InvalidPolicy,
    /^analysis\.metric is no field$/,
  ],
  [
    'another kind',
    () => policyOfDeployment('kind: Deployment', 'Split'),
    InvalidPolicy,
    /must be ModelDeployment, not "Deployment"/,
  ],
  [
    'an expression that does not compile',
    () =>
      policyOfAnalysis(
        'metrics: [{ name: q, prometheus: { address: "http://p", query: up }, success: "result >" }]',
        'Split',
      ),
    InvalidMetric,
    /metrics\[0\]\.success: at character 9/,
  ],
])('%s is refused', (_, read, error, problem) => {
  expect(read).toThrow(error);
  expect(read).toThrow(problem);
});
