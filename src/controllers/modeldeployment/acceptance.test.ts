import { describe, expect, test } from 'vitest';
import type { ModelDeployment } from '../kinds.ts';
import { specOf } from '../testing/spec.ts';
import { judgeable, MAX_VARIABLE_BYTES, refusal, sizeRefusal } from './acceptance.ts';

const refused = (spec: object) =>
  refusal({ metadata: { name: 'churn' }, spec: specOf({ model: { uri: 's3://a/b' }, ...spec }) } as ModelDeployment);
const mount = (mountPath: string) => ({ pod: { volumes: [{ name: 'v' }], volumeMounts: [{ name: 'v', mountPath }] } });

const queried = (success: string) => ({
  rollout: {
    strategy: 'Canary',
    analysis: { metrics: [{ name: 'revenue', prometheus: { address: 'http://p:9090', query: 'up' }, success }] },
  },
});

describe('a spec is refused', () => {
  test.each([
    ['a claim that no claim can be named', { model: { uri: 'pvc://My_Claim/x' } }, 'InvalidModelUri'],
    ['a path that leads out of its claim', { model: { uri: 'pvc://data/../../etc' } }, 'InvalidModelUri'],
    ['a file path that climbs', { model: { uri: 'file:///models/../etc' } }, 'InvalidModelUri'],
    ['a mount where Fairlead keeps models', mount('/var/lib/fairlead/models/'), 'InvalidPod'],
    ['a mount below /tmp', mount('/tmp/x'), 'InvalidPod'],
    [
      'two nodes at once',
      { accelerator: { nodeSelector: { zone: 'a' } }, pod: { nodeSelector: { zone: 'b' } } },
      'InvalidPod',
    ],
    ['a fallback to itself', { traffic: { fallback: { modelDeploymentRef: { name: 'churn' } } } }, 'InvalidSpec'],
    [
      'an ensemble with itself',
      { traffic: { ensemble: { combine: 'Vote', members: [{ name: 'churn' }] } } },
      'InvalidSpec',
    ],
    ['a condition that does not compile', queried('result >'), 'InvalidSpec'],
  ])('for %s', (_title, spec, reason) => {
    expect(refused(spec)?.reason).toBe(reason);
  });

  test('for a condition that does not compile, with the field named', () => {
    expect(refused(queried('result >'))?.message).toContain('spec.rollout.analysis.metrics[0].success');
  });

  const judged = (strategy: string, steps: readonly object[] | undefined, metric: object, analysis: object = {}) => ({
    rollout: { strategy, steps, analysis: { ...analysis, metrics: [{ name: 'judge', ...metric }] } },
  });
  const agreement = { builtin: 'Agreement', min: '98%' };
  const errors = { builtin: 'ErrorRate', maxIncrease: { absolute: '1%' } };

  test.each([
    [
      'agreement without a mirror',
      judged('Canary', [{ weight: 10 }], agreement),
      'no step of Canary can measure judge',
    ],
    ['agreement in the steps of a preset', judged('Canary', undefined, agreement), 'no step of Canary'],
    [
      'a rate of copies',
      judged('Shadow', [{ mirror: '10%' }, { weight: 100, analyse: [] }], { builtin: 'Throughput', min: '1/s' }),
      undefined,
    ],
    ['a comparison when all switch at once', judged('BlueGreen', undefined, errors), 'no step of BlueGreen'],
    ['agreement on a mirror', judged('Canary', [{ mirror: '5%' }, { weight: 10 }], agreement), undefined],
    ['a limit when all switch at once', judged('BlueGreen', undefined, { ...errors, max: '5%' }), undefined],
    ['metrics that Rolling does not read', judged('Rolling', undefined, agreement), undefined],
    [
      'a deadline before any verdict',
      judged('Canary', undefined, errors, { interval: '1m', deadline: '5m' }),
      'rollout.analysis.deadline: 5m ends before the 6 intervals of 1m',
    ],
    ['a deadline just after', judged('Canary', undefined, errors, { interval: '1m', deadline: '6m' }), undefined],
  ])('or not for an analysis: %s', (_title, spec, message) => {
    if (message === undefined) expect(refused(spec)).toBeUndefined();
    else expect(refused(spec)).toMatchObject({ reason: 'InvalidSpec', message: expect.stringContaining(message) });
  });

  test('for examples that no environment variable can carry, with the numbers', () => {
    const { reason, message } = sizeRefusal('NAME', 'x'.repeat(MAX_VARIABLE_BYTES)) ?? {};
    expect(reason).toBe('ExamplesTooLarge');
    expect(message).toContain(`${MAX_VARIABLE_BYTES + 6} bytes; ${MAX_VARIABLE_BYTES} are possible`);
    expect(sizeRefusal('NAME', 'x'.repeat(MAX_VARIABLE_BYTES - 6))).toBeUndefined();
  });
});

test.each([
  ['a claim', { model: { uri: 'pvc://data-1.x/churn/7' } }],
  ['dots in a name', { model: { uri: 'file:///models/churn..7/x' } }],
  ['a mount elsewhere', mount('/data')],
  [
    'a label that is named as what every object has',
    { accelerator: { nodeSelector: { constructor: 'b' } }, pod: { nodeSelector: { a: 'b' } } },
  ],
  ['the same selector twice', { accelerator: { nodeSelector: { a: 'b' } }, pod: { nodeSelector: { a: 'b' } } }],
])('a spec is accepted with %s', (_title, spec) => {
  expect(refused(spec)).toBeUndefined();
});

const example = (tensor: object) => ({
  model: { uri: 's3://a/b', examples: [{ inputs: [{ name: 'x', shape: [1], ...tensor }] }] },
});
test.each([
  ['9007199254740993, which JSON reads as another', { datatype: 'INT64', data: [[2 ** 53]] }, 'InvalidSpec'],
  ['the same without a type', { data: [-(2 ** 63)] }, 'InvalidSpec'],
  ['the largest that is exact', { datatype: 'INT64', data: [2 ** 53 - 1] }, undefined],
  ['a large float', { datatype: 'FP64', data: [2 ** 60] }, undefined],
  ['what no 64 bits hold', { data: [1e300] }, undefined],
])('integers of examples must arrive as they are: %s', (_title, tensor, reason) => {
  expect(refused(example(tensor))?.reason).toBe(reason);
});

test('a refused URI is named without the query, which may hold a secret', () => {
  expect(refused({ model: { uri: 'pvc://data/../churn.onnx?token=1a2b' } })?.message).toMatch(
    /^pvc:\/\/data\/..\/churn.onnx: /,
  );
});

test('a rollout is still judged by the metrics that compile, where another does not', () => {
  const metric = (name: string, success: string) => ({
    name,
    prometheus: { address: 'http://p:9090', query: 'up' },
    success,
  });
  const metrics = [metric('broken', 'result >'), metric('revenue', 'result > 1.0')];
  const spec = specOf({ model: { uri: 's3://a/b' }, rollout: { strategy: 'Canary', analysis: { metrics } } });
  expect(judgeable(spec).rollout.analysis?.metrics?.map(({ name }) => name)).toEqual(['revenue']);
  const plain = specOf({ model: { uri: 's3://a/b' }, rollout: { strategy: 'Canary' } });
  expect(judgeable(plain)).toEqual(plain);
});
