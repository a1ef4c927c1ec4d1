import { expect, test } from 'vitest';
import type { ModelDeployment } from '../../kinds.ts';
import { OWNER, specOf } from '../../testing/spec.ts';
import { servingConfig } from '../server-pod.ts';
import { modelNameOf, withModelNames } from './model-names.ts';
import type { RouteContent } from './route.ts';

const model = { uri: 's3://models/churn/7/', sha256: 'a'.repeat(64) };
const named = (name: string, spec: object = {}): ModelDeployment => ({
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'ModelDeployment',
  metadata: { name, namespace: 'shop' },
  spec: specOf({ model, ...spec }),
});
const own: Readonly<Record<string, ModelDeployment>> = {
  spare: named('spare'),
  foreign: named('foreign', { runtime: { container: { image: 'triton' } } }),
};
const plain: RouteContent = {
  modelDeployment: 'churn',
  ports: { http: 12_000 },
  backends: [{ revision: 'churn-1', weight: 100, ports: { http: 8080 } }],
  limits: { maxBodyBytes: 1, maxQueue: 0, maxInFlight: 1, timeoutMs: 1 },
};
const namedIn = (content: RouteContent) => withModelNames(content, (name) => own[name]);

test('the name by which routers ask is the one under which the built-in server serves', () => {
  const spec = specOf({ model });
  const { models } = servingConfig({ owner: OWNER, spec, revision: 'churn-1', model });
  expect(modelNameOf(named(OWNER.name))).toBe(models[0]?.name);
});

test('a route says the names of a fallback and of all members, and none of what is not known', () => {
  const to = (modelDeployment: string) => ({ to: { modelDeployment } });
  expect(namedIn({ ...plain, fallback: { ...to('spare'), afterMs: 5 } }).fallback).toEqual({
    to: { modelDeployment: 'spare', modelName: 'spare' },
    afterMs: 5,
  });
  const members = [{ to: { revision: 'churn-1' } }, to('spare'), to('foreign'), to('gone')];
  const ensemble = { combine: 'Vote' as const, members: members.map((member) => ({ ...member, weight: 2 })) };
  expect(namedIn({ ...plain, ensemble }).ensemble?.members).toEqual([
    { to: { revision: 'churn-1' }, weight: 2 },
    { to: { modelDeployment: 'spare', modelName: 'spare' }, weight: 2 },
    { to: { modelDeployment: 'foreign' }, weight: 2 },
    { to: { modelDeployment: 'gone' }, weight: 2 },
  ]);
});

test('a route that refers to no other ModelDeployment stays as it is, so that no router has to apply it anew', () => {
  expect(namedIn(plain)).toEqual(plain);
  const fallback = { to: { revision: 'churn-1' } };
  expect(namedIn({ ...plain, fallback })).toEqual({ ...plain, fallback });
});
