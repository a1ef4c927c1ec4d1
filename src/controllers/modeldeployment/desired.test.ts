import { describe, expect, test } from 'vitest';
import { OWNER, specOf } from '../testing/spec.ts';
import { desiredAutoscaler, desiredDisruptionBudget } from './desired.ts';

describe('the disruption budget', () => {
  test('never keeps a pod that is not ready from being evicted', () => {
    expect(desiredDisruptionBudget(OWNER, 2)).toMatchObject({
      spec: { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow' },
    });
  });

  test.each([0, 1])('is none for %i replicas', (replicas) => {
    expect(desiredDisruptionBudget(OWNER, replicas)).toBeUndefined();
  });
});

describe('the autoscaler aims at a share of the memory request', () => {
  const memoryTarget = (resources: object, autoscaling: object = {}) => {
    const spec = specOf({ model: { uri: 's3://models/churn/' }, resources, autoscaling });
    if (spec.autoscaling === undefined) throw new Error('a spec without autoscaling');
    const hpa = desiredAutoscaler(OWNER, { ...spec, autoscaling: spec.autoscaling }, 'churn-1', { min: 2, max: 10 });
    const { metrics } = hpa.spec as {
      metrics: { resource: { name: string; target: { averageUtilization: number } } }[];
    };
    return metrics.find(({ resource }) => resource.name === 'memory')?.resource.target.averageUtilization;
  };
  test.each<[string, object, object, number | undefined]>([
    ['of 80% by default', { requests: { memory: '256Mi' } }, {}, 80],
    ['where only a limit makes the request', { limits: { memory: '1Gi' } }, {}, 80],
    ['but of one that an idle pod nearly fills', { requests: { memory: '255Mi' } }, {}, undefined],
    ['unless that is what the user asks for', { requests: { memory: '128Mi' } }, { memory: 90 }, 90],
    ['but of none', { requests: { cpu: '1' } }, {}, undefined],
    ['but on a GPU', { requests: { memory: '8Gi' }, limits: { 'nvidia.com/gpu': 1 } }, {}, undefined],
  ])('%s', (_title, resources, autoscaling, percent) => {
    expect(memoryTarget(resources, autoscaling)).toBe(percent);
  });
});
