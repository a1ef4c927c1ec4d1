import type { V1DeploymentSpec } from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import type { ModelDeployment } from '../kinds.ts';
import { specOf } from '../testing/spec.ts';
import { desiredRouterDeployment, type RouterSettings } from './desired.ts';

const settings: RouterSettings = {
  image: 'example.com/fairlead:1',
  role: { kind: 'ClusterRole', name: 'fairlead-router' },
  minReplicas: 2,
  maxReplicas: 4,
  cpu: '100m',
  memory: '128Mi',
};

const user = (name: string, ...pullSecrets: readonly string[]): ModelDeployment => ({
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'ModelDeployment',
  metadata: { name, namespace: 'shop', uid: `uid-${name}` },
  spec: specOf({
    model: { uri: 's3://models/churn/' },
    ...(pullSecrets.length > 0 && { pod: { imagePullSecrets: pullSecrets.map((secret) => ({ name: secret })) } }),
  }),
});

const podOf = (...users: readonly ModelDeployment[]) =>
  (desiredRouterDeployment('shop', users, settings).spec as V1DeploymentSpec).template.spec;

describe('the image of routers is pulled', () => {
  test('with the pull secrets of all that they route, each once', () => {
    const pod = podOf(user('a', 'mirror', 'team-a'), user('b'), user('c', 'mirror', 'all'));
    expect(pod?.imagePullSecrets).toEqual([{ name: 'all' }, { name: 'mirror' }, { name: 'team-a' }]);
  });

  test('in the same way whoever comes first: another order would replace all routers', () => {
    const [a, b] = [user('a', 'mirror'), user('b', 'all')];
    expect(podOf(b, a)).toEqual(podOf(a, b));
  });

  test('without any where nobody names one', () => {
    expect(podOf(user('a'))).not.toHaveProperty('imagePullSecrets');
  });
});
