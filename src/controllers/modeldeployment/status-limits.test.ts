import Value from 'typebox/value';
import { expect, test } from 'vitest';
import { ModelDeploymentStatus } from '../../api/v1alpha1/model-deployment-status.ts';
import { decide } from '../../rollout/decide.ts';
import { setConditions } from '../../runtime/conditions.ts';
import type { ModelDeployment } from '../kinds.ts';
import { OWNER, revisionOf, specOf } from '../testing/spec.ts';
import { newScope, type Scope } from './scope.ts';
import { snapshotOf } from './snapshot.ts';
import { report } from './status.ts';

const model = { uri: 's3://models/churn/', sha256: 'a'.repeat(64) };
const LONG = 'w'.repeat(100_000);
const unacknowledged = { isComplete: false, hasReadyRouter: false, waitsFor: LONG };

function scopeOf(spec: object, change: Partial<Scope>): Scope {
  const object = {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name: 'churn', namespace: 'shop', generation: 1 },
    spec: specOf({ model, ...spec }),
  } as ModelDeployment;
  const existing = revisionOf('churn-1', { ready: 0 });
  const target = { name: 'churn-1', existing, model };
  const scope = {
    ...newScope(object, OWNER, 0),
    model: { kind: 'resolved', model } as const,
    revisions: [existing],
    target,
    ...change,
  };
  return { ...scope, decision: decide(snapshotOf(scope, target)) };
}

const routing = newScope({} as ModelDeployment, OWNER, 0).routing;
const route = { generation: 1 } as NonNullable<Scope['routing']['route']>;

test.each<[string, Scope]>([
  ['a URI', scopeOf({ model: { uri: `https://host/${'A'.repeat(2_000)}`, sha256: model.sha256 } }, {})],
  ['a refusal', scopeOf({}, { refusal: { reason: 'InvalidSpec', message: LONG } })],
  ['what a webhook says', scopeOf({}, { problem: { kind: 'failed', reason: 'AdmissionDenied', message: LONG } })],
  ['what the cluster says', scopeOf({}, { diagnoses: [{ kind: 'capacity', reason: 'Unschedulable', message: LONG }] })],
  ['what a server ended with', scopeOf({}, { diagnoses: [{ kind: 'failed', reason: 'LoadFailed', message: LONG }] })],
  [
    'what routers say',
    scopeOf({}, { routing: { ...routing, splitter: 'Router', route, acknowledgement: unacknowledged } }),
  ],
])('the API takes status however long %s is', (_what, scope) => {
  const { fields, conditions } = report(scope);
  const status = { ...fields, conditions: setConditions(undefined, conditions, { generation: 1, nowMs: 0 }) };
  expect([...Value.Errors(ModelDeploymentStatus, status)].map(({ instancePath }) => instancePath)).toEqual([]);
});
