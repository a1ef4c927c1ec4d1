import { describe, expect, test } from 'vitest';
import { OwnershipError } from '../runtime/apply.ts';
import { WaitingError } from '../runtime/outcome.ts';
import type { CacheReader } from '../runtime/reconcile-context.ts';
import { apiVersionOf } from '../runtime/types.ts';
import type { ModelDeployment } from './kinds.ts';
import { bindingName, makeFor } from './namespaces.ts';
import { registryAskerController } from './registry-asker/controller.ts';
import { desiredAskerRoleBinding } from './registry-asker/desired.ts';
import { ROLE_BINDINGS } from './resources.ts';
import { routerController } from './router/controller.ts';
import { desiredRouterRoleBinding } from './router/desired.ts';
import { specOf } from './testing/spec.ts';

const user = (name: string): ModelDeployment => ({
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'ModelDeployment',
  metadata: { name, namespace: 'shop', uid: `uid-${name}` },
  spec: specOf({ model: { uri: 's3://models/churn/' } }),
});

describe('what a namespace shares', () => {
  test('is tried again after 30 s where its name is taken, and all who wait for it are told', async () => {
    const told: string[] = [];
    const taken = new OwnershipError('deployments.apps shop/fairlead-router', 'nobody');
    const made = makeFor(
      [user('a'), user('b')],
      { event: ({ metadata }, { reason }) => told.push(`${metadata.name} ${reason}`) },
      () => Promise.reject(taken),
    );
    await expect(made).rejects.toBeInstanceOf(WaitingError);
    await expect(made).rejects.toMatchObject({ message: taken.message, retryAfterMs: 30_000, cause: taken });
    expect(told).toEqual(['a NameConflict', 'b NameConflict']);
  });

  test('fails as its making fails otherwise, and nobody is told', async () => {
    const told: string[] = [];
    const broken = new Error('a bug');
    const made = makeFor([user('a')], { event: ({ metadata }) => told.push(metadata.name) }, () =>
      Promise.reject(broken),
    );
    await expect(made).rejects.toBe(broken);
    expect(told).toEqual([]);
  });
});

test('the binding to each role has a name of its own, which is always the same', () => {
  const roles = [
    { kind: 'ClusterRole', name: 'fairlead-router' },
    { kind: 'Role', name: 'fairlead-router' },
    { kind: 'ClusterRole', name: 'ml-fairlead-router' },
  ] as const;
  const names = roles.map((role) => bindingName('fairlead-router', role));
  expect(new Set(names).size).toBe(roles.length);
  expect(names[0]).toBe(bindingName('fairlead-router', { name: 'fairlead-router', kind: 'ClusterRole' }));
});

test("a binding whose name tells of its role is still known as a namespace's: its going is noticed", () => {
  const settings = { image: 'example.com/fairlead:1', role: { kind: 'ClusterRole', name: 'a' } } as const;
  const routers = { ...settings, minReplicas: 2, maxReplicas: 4, cpu: '1', memory: '1Gi' };
  const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'u' };
  const cache = { list: () => [user('churn')] } as unknown as CacheReader;
  for (const [controller, binding] of [
    [routerController(routers), desiredRouterRoleBinding('shop', owner, routers)],
    [registryAskerController(settings), desiredAskerRoleBinding('shop', owner, ['x'], settings)],
  ] as const) {
    const watch = controller.watches.find(({ resource }) => resource === ROLE_BINDINGS);
    const { kind } = ROLE_BINDINGS;
    expect(watch?.map({ ...binding, apiVersion: apiVersionOf(ROLE_BINDINGS), kind }, cache)).toEqual(['shop/churn']);
  }
});
