import { expect, test } from 'vitest';
import { type Scalable, scaled } from './scale.ts';

const deployment: Scalable = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {
    name: 'churn',
    resourceVersion: '5',
    managedFields: [
      { manager: 'fairlead', operation: 'Apply', fieldsV1: { 'f:spec': { 'f:replicas': {}, 'f:template': {} } } },
    ],
  },
  spec: { replicas: 3 },
};
const answer = (version: string, replicas?: number) => ({
  apiVersion: 'autoscaling/v1',
  kind: 'Scale',
  metadata: { name: 'churn', resourceVersion: version },
  spec: { ...(replicas !== undefined && { replicas }) },
});

test('the answer of a scale is the object with the new count, at the new version, of which the count was not applied', () => {
  expect(scaled(deployment, answer('6', 1))).toEqual({
    ...deployment,
    metadata: {
      name: 'churn',
      resourceVersion: '6',
      managedFields: [{ manager: 'fairlead', operation: 'Apply', fieldsV1: { 'f:spec': { 'f:template': {} } } }],
    },
    spec: { replicas: 1 },
  });
});

test('a count of 0 may be left out of the answer, and is never taken for the count before', () => {
  expect(scaled(deployment, answer('6')).spec?.replicas).toBe(0);
});

test('the object that is cached stays as it was', () => {
  scaled(deployment, answer('6', 1));
  expect(deployment).toMatchObject({ metadata: { resourceVersion: '5' }, spec: { replicas: 3 } });
});
