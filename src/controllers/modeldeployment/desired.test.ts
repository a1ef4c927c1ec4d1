import { describe, expect, test } from 'vitest';
import { OWNER } from '../testing/spec.ts';
import { desiredDisruptionBudget } from './desired.ts';

describe('the disruption budget', () => {
  test('never keeps a pod that is not ready from being evicted', () => {
    expect(desiredDisruptionBudget(OWNER, 2)).toMatchObject({
      spec: { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow' },
    });
  });

  test.each([0, 1])('is none for %i replicas, whose node could never be drained', (replicas) => {
    expect(desiredDisruptionBudget(OWNER, replicas)).toBeUndefined();
  });
});
