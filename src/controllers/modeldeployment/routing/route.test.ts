import { expect, test } from 'vitest';
import type { Route } from '../../../api/route.ts';
import type { ConfigMap } from '../../resources.ts';
import { desiredRoute, gatewayRouteName, otherRoutes, routeName, routerPortKey, routerPortOf } from './route.ts';

const SECOND = '2026-01-01T00:00:00Z';
const reference = { apiVersion: 'fairlead.dev/v1alpha1', kind: 'ModelDeployment', uid: 'u', controller: true };
const owner = (name: string) => ({ namespace: 'models', name, reference: { ...reference, name } });

function written(name: string, reader: 'Router' | 'GatewayAPI', http = 12_000, createdAt = SECOND): ConfigMap {
  const route: Route = {
    generation: 1,
    modelDeployment: name,
    ports: { http },
    backends: [{ revision: `${name}-1`, weight: 100, ports: { http: 8080 } }],
    limits: { maxBodyBytes: 1, maxQueue: 0, maxInFlight: 1, timeoutMs: 1 },
  };
  const desired = desiredRoute(owner(name), route, new Map(), reader) as unknown as ConfigMap;
  return { ...desired, metadata: { ...desired.metadata, creationTimestamp: createdAt } };
}

test('what a ModelDeployment tells its routers itself never takes its port from it', () => {
  expect(otherRoutes([written('churn', 'Router')], owner('churn'), SECOND)).toEqual([]);
});

test('a route is found by the port for REST that routers of its namespace have for it', () => {
  expect(routerPortOf(written('churn', 'Router', 12_002))).toEqual([routerPortKey('models', 12_002)]);
});

test.each([
  ['what a Gateway is told', written('churn', 'GatewayAPI')],
  ['what is no route', { ...written('churn', 'Router'), data: { 'route.json': '{}' } }],
  ['what is no JSON', { ...written('churn', 'Router'), data: { 'route.json': '{' } }],
])('%s holds no port of the routers', (_, configMap) => {
  expect(routerPortOf(configMap)).toEqual([]);
});

test.each([
  ['one made before', 'zebra', '2025-12-31T23:59:59Z', true],
  ['of one second, the first by name', 'apple', SECOND, true],
  ['of one second, the last by name', 'zebra', SECOND, false],
  ['one made after', 'apple', '2026-01-01T00:00:01Z', false],
])('%s comes first or last for everyone alike', (_, name, createdAt, isOlder) => {
  const others = otherRoutes([written(name, 'Router', 12_002, createdAt)], owner('churn'), SECOND);
  expect(others).toEqual([{ isOlder }]);
});

test('no name of another ModelDeployment makes its route what a Gateway was told', () => {
  for (const other of ['churn', 'churn-gateway', 'churn-gateway-split'])
    expect(routeName(other)).not.toBe(gatewayRouteName('churn'));
});
