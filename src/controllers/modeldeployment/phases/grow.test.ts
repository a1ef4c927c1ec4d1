import { expect, test } from 'vitest';
import type { FieldSet } from '../../../runtime/types.ts';
import type { Deployment } from '../../resources.ts';
import { appliedReplicas } from './grow.ts';

const deployment = (owned: FieldSet): Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {
    name: 'churn-1',
    resourceVersion: '7',
    managedFields: [{ manager: 'fairlead', operation: 'Apply', fieldsV1: { 'f:spec': owned } }],
  },
  spec: { replicas: 3 },
});

test.each([
  ['with its planned count where it is new', undefined, { replicas: 2, resourceVersion: undefined }],
  [
    'with the count it has while that is ours, of the very version that it was read of',
    deployment({ 'f:replicas': {} }),
    { replicas: 3, resourceVersion: '7' },
  ],
  [
    'without a count, of any version, once another has scaled it',
    deployment({ 'f:template': {} }),
    { replicas: undefined, resourceVersion: undefined },
  ],
])('a Deployment is applied %s', (_rule, live, expected) => {
  expect(appliedReplicas(live, 2)).toEqual(expected);
});
