import { expect, test } from 'vitest';
import type { Route } from '../../api/route.ts';
import { parseRoute, RouteRefused } from './checked-route.ts';

const limits = { maxBodyBytes: 1_000_000, maxQueue: 100, maxInFlight: 64, timeoutMs: 30_000 };
const route: Route = {
  generation: 1,
  modelDeployment: 'churn',
  ports: { http: 10_000, grpc: 10_001 },
  backends: [
    { revision: 'churn-new', weight: 10, ports: { http: 8080, grpc: 9000 } },
    { revision: 'churn-old', weight: 90, ports: { http: 8080, grpc: 9000 } },
  ],
  limits,
};
const [canary, stable] = route.backends;

test('a route that is right is read as it stands', () => {
  expect(parseRoute(JSON.stringify(route))).toEqual(route);
});

test.each<[string, unknown, RegExp]>([
  ['that breaks the schema', { ...route, generation: 0 }, /\/generation/],
  ['with a field that this router does not know', { ...route, teleport: true }, /teleport/],
  ['whose weights do not add up', { ...route, backends: [{ ...canary, weight: 20 }, stable] }, /20 \+ 90 = 110/],
  [
    'that names a revision twice',
    { ...route, backends: [canary, { ...stable, revision: 'churn-new' }] },
    /churn-new twice/,
  ],
  ['with one port for two protocols', { ...route, ports: { http: 10_000, grpc: 10_000 } }, /both 10000/],
  [
    'that matches to a revision it does not have',
    { ...route, match: [{ name: 'x', value: 'y', revision: 'churn-lost' }] },
    /\/match\/0 names revision churn-lost; .*churn-new, churn-old/,
  ],
  [
    'that mirrors to a revision it does not have',
    { ...route, mirror: { revision: 'x', percent: 1, tolerance: 0 } },
    /mirror/,
  ],
  ['that falls back to itself', { ...route, fallback: { to: { modelDeployment: 'churn' } } }, /fallback.*itself/],
  [
    'with an ensemble beside weights',
    {
      ...route,
      ensemble: {
        combine: 'Vote',
        members: [canary, stable].map((to) => ({ to: { revision: to?.revision }, weight: 1 })),
      },
    },
    /ensemble excludes weights/,
  ],
  ['that matches what is no header', { ...route, match: [{ name: 'a b', value: '', revision: 'churn-new' }] }, /"a b"/],
])('a route %s is refused with the reason', (_, bad, reason) => {
  const read = () => parseRoute(JSON.stringify(bad));
  expect(read).toThrow(RouteRefused);
  expect(read).toThrow(reason);
});

test('text that is no JSON is refused', () => {
  expect(() => parseRoute('{')).toThrow(RouteRefused);
});
