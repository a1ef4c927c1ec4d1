import { describe, expect, test } from 'vitest';
import type { Route } from '../../../api/route.ts';
import type { DecidedRoute } from '../../../rollout/types.ts';
import type { ConfigMap } from '../../resources.ts';
import { revisionOf, specOf } from '../../testing/spec.ts';
import {
  desiredRoute,
  gatewayRouteName,
  numbered,
  otherRoutes,
  portsOf,
  reweighted,
  routeContent,
  routeName,
  routerPortKey,
  routerPortOf,
} from './route.ts';

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

describe('a route to revisions of several runtimes', () => {
  const builtIn = { http: 8080, grpc: 9000 };
  const triton = specOf({
    model: { uri: 's3://models/churn/' },
    runtime: { container: { image: 'triton', ports: { http: 8000 }, protocol: 'OpenInference' } },
  });
  const old = revisionOf('churn-old', { ports: builtIn });
  const decided = (weights: Record<string, number>, canary?: string): DecidedRoute => ({
    weights: new Map(Object.entries(weights)),
    mirror: undefined,
    stable: 'churn-old',
    canary,
  });
  const content = (split: DecidedRoute, revisions = [old], standing?: Route) =>
    routeContent({
      owner: owner('churn'),
      spec: triton,
      decided: split,
      restPort: 12_000,
      portsOf: portsOf(triton, revisions, standing),
    });

  test('leads to the stable one at its own ports from the moment in which the spec wants another', () => {
    expect(content(decided({ 'churn-old': 100 })).backends).toEqual([
      { revision: 'churn-old', weight: 100, ports: builtIn },
    ]);
  });

  test('leads to each at its own ports, and to the new one at those of the spec until its Deployment is seen', () => {
    const split = decided({ 'churn-new': 10, 'churn-old': 90 }, 'churn-new');
    const backends = [
      { revision: 'churn-new', weight: 10, ports: { http: 8000 } },
      { revision: 'churn-old', weight: 90, ports: builtIn },
    ];
    expect(content(split).backends).toEqual(backends);
    const made = revisionOf('churn-new', { ports: { http: 8000 } });
    expect(content(split, [made, old]).backends).toEqual(backends);
  });

  test('leads to one whose Deployment is gone at the ports that it had', () => {
    const before = { generation: 1, ...content(decided({ 'churn-old': 100 })) };
    expect(content(decided({ 'churn-old': 100 }), [], before).backends).toEqual(before.backends);
  });

  test('takes gRPC for as long as one of them speaks it', () => {
    const split = decided({ 'churn-new': 50, 'churn-old': 50 }, 'churn-new');
    expect(content(split).ports).toEqual({ http: 12_000, grpc: 12_001 });
    expect(content({ ...decided({ 'churn-new': 100 }), stable: 'churn-new' }).ports).toEqual({ http: 12_000 });
  });
});

describe('a route of what the API takes is one that routers take', () => {
  const container = { image: 'triton', ports: { http: 80, grpc: 81 }, protocol: 'OpenInference' };
  const limits = { maxBodyBytes: 1, maxQueue: 0, maxInFlight: 1 };
  const fallback = { modelDeploymentRef: { name: 'a'.repeat(253) }, after: '1.1ms' };
  const decided = { weights: new Map([['churn-a', 100]]), mirror: undefined, stable: 'churn-a', canary: undefined };
  const route = (change: object, restPort = 12_000) => {
    const spec = specOf({ model: { uri: 's3://models/churn/' }, ...change });
    const content = routeContent({
      owner: owner('churn'),
      spec,
      decided,
      restPort,
      portsOf: portsOf(spec, [], undefined),
    });
    return numbered(content, undefined, 0);
  };

  test.each([
    ['ports of a container of the user’s own', { runtime: { container } }],
    ['times that are no whole milliseconds', { traffic: { limits: { ...limits, timeout: '4.1m' } } }],
    ['the longest name of a fallback', { traffic: { fallback, limits: { ...limits, timeout: '30s' } } }],
  ])('%s', (_, change) => {
    expect(route(change).generation).toBe(1);
  });

  test('and any other is no route: routers would go on with the one before, and nobody would know why', () => {
    expect(() => route({}, 80)).toThrow('no router would take the route: ports.http must be >= 1024');
  });
});

describe('the route that stands, with other weights', () => {
  const ports = { http: 8080 };
  const standing: Route = {
    generation: 3,
    modelDeployment: 'churn',
    ports: { http: 12_000 },
    backends: [
      { revision: 'churn-b', weight: 10, ports },
      { revision: 'churn-a', weight: 90, ports },
    ],
    sticky: { source: { kind: 'Header', name: 'x-user' }, seed: 'models/churn' },
    match: [
      { name: 'x-tester', value: 'yes', revision: 'churn-b' },
      { name: 'x-old', value: 'yes', revision: 'churn-a' },
    ],
    fallback: { to: { revision: 'churn-a' }, afterMs: 500 },
    limits: { maxBodyBytes: 1, maxQueue: 0, maxInFlight: 1, timeoutMs: 1 },
  };
  const decided = (weights: Record<string, number>, canary?: string): DecidedRoute => ({
    weights: new Map(Object.entries(weights)),
    mirror: undefined,
    stable: 'churn-a',
    canary,
  });
  const { generation: _generation, ...content } = standing;

  test('is as it was where nothing else was decided', () => {
    expect(reweighted(standing, decided({ 'churn-b': 10, 'churn-a': 90 }, 'churn-b'), () => ports)).toEqual(content);
  });

  test('names the canary nowhere any more once that is taken back', () => {
    const back = reweighted(standing, decided({ 'churn-a': 100 }), () => ports);
    expect(back).toEqual({
      ...content,
      backends: [{ revision: 'churn-a', weight: 100, ports }],
      match: [{ name: 'x-old', value: 'yes', revision: 'churn-a' }],
      fallback: undefined,
    });
  });

  test('keeps who else answers: another ModelDeployment, and the members of an ensemble', () => {
    const fallback = { to: { modelDeployment: 'backup', modelName: 'b' } };
    expect(reweighted({ ...standing, fallback }, decided({ 'churn-a': 100 }), () => ports).fallback).toEqual(fallback);
    const other = { to: { modelDeployment: 'other' }, weight: 2 };
    const ensemble = { combine: 'Vote' as const, members: [{ to: { revision: 'churn-b' }, weight: 1 }, other] };
    const { match: _match, fallback: _fallback, ...alone } = standing;
    expect(reweighted({ ...alone, ensemble }, decided({ 'churn-a': 100 }), () => ports)).toMatchObject({
      backends: [{ revision: 'churn-a', weight: 0 }],
      ensemble: { members: [{ to: { revision: 'churn-a' }, weight: 1 }, other] },
    });
  });

  test('copies as before, and no longer than that is decided', () => {
    const mirror = { revision: 'churn-b', percent: 10 };
    const copied = { ...standing, mirror: { ...mirror, tolerance: 0.5 } };
    const on = reweighted(copied, { ...decided({ 'churn-a': 100 }, 'churn-b'), mirror }, () => ports);
    expect(on.mirror).toEqual({ ...mirror, tolerance: 0.5 });
    expect(reweighted(copied, decided({ 'churn-a': 100 }, 'churn-b'), () => ports).mirror).toBeUndefined();
  });
});
