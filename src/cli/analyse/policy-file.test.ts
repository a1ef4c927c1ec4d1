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
