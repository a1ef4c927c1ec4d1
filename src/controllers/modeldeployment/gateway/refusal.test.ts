import { describe, expect, test } from 'vitest';
import type { KubeObject, Resource } from '../../../runtime/types.ts';
import type { ModelDeployment } from '../../kinds.ts';
import { gatewayRefusal } from './refusal.ts';
import { GATEWAY_CLASSES, GATEWAYS, GRPC_ROUTES, HTTP_ROUTES } from './resources.ts';

type Spec = ModelDeployment['spec'];
const deployment = (traffic: Spec['traffic'], strategy: Spec['rollout']['strategy'] = 'Canary') =>
  ({
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name: 'churn', namespace: 'shop' },
    spec: {
      model: { uri: 's3://models/churn/7/' },
      rollout: { strategy, capacity: { mode: 'Auto', provisionTimeout: '3m' }, progressDeadline: '10m' },
      ...(traffic && { traffic }),
    },
  }) as ModelDeployment;
const gateway = { name: 'public' };
const splitter = { provider: 'GatewayAPI' as const, expose: { gateway } };

/** A cluster with these kinds, and a Gateway whose class supports these features. */
const cluster = (kinds: readonly Resource[], features?: readonly string[]) => ({
  isInstalled: (resource: Resource) => kinds.includes(resource),
  get: <T extends KubeObject>(resource: Resource<T>, key: string): T | undefined => {
    const objects: Record<string, object> = {
      'gateways shop/public': { spec: { gatewayClassName: 'some' } },
      'gatewayclasses some': { status: { supportedFeatures: features?.map((name) => ({ name })) } },
    };
    return objects[`${resource.plural} ${key}`] as T | undefined;
  },
});
const all = [HTTP_ROUTES, GRPC_ROUTES, GATEWAYS, GATEWAY_CLASSES];

describe('a Gateway in a cluster without its API', () => {
  test.each<[string, Spec['traffic'], readonly Resource[], string | undefined]>([
    ['is of no concern to who names none', { provider: 'Router' }, [], undefined],
    [
      'is refused, saying what to install',
      splitter,
      [],
      'httproutes.gateway.networking.k8s.io and gateways.gateway.networking.k8s.io in version v1',
    ],
    ['is refused in front of routers too', { provider: 'Router', expose: { gateway } }, [], 'httproutes'],
    ['needs no GRPCRoute where gRPC is not published', splitter, [HTTP_ROUTES, GATEWAYS], undefined],
    ['needs Gateways to tell where it listens', splitter, [HTTP_ROUTES], 'gateways.gateway.networking.k8s.io'],
    [
      'needs it where it is',
      { ...splitter, expose: { gateway: { ...gateway, sectionName: 'a', grpc: { sectionName: 'b' } } } },
      [HTTP_ROUTES, GATEWAYS],
      'grpcroutes.gateway.networking.k8s.io',
    ],
  ])('%s', (_rule, traffic, kinds, message) => {
    const refusal = gatewayRefusal(deployment(traffic), cluster(kinds));
    expect(refusal?.reason).toBe(message && 'GatewayApiMissing');
    if (message !== undefined) expect(refusal?.message).toContain(message);
  });
});

describe('a mirror at a Gateway', () => {
  const both = ['HTTPRouteRequestMirror', 'HTTPRouteRequestPercentageMirror'];
  test.each<[string, ModelDeployment, readonly string[] | undefined, boolean]>([
    ['is refused where its class does not support mirrors', deployment(splitter, 'Shadow'), ['HTTPRoute'], true],
    ['is refused where its class copies all or nothing', deployment(splitter, 'Shadow'), both.slice(0, 1), true],
    ['is taken where its class supports it', deployment(splitter, 'Shadow'), both, false],
    ['is taken where its class says nothing', deployment(splitter, 'Shadow'), undefined, false],
    ['is the routers’ where they split', deployment({ provider: 'Router', expose: { gateway } }, 'Shadow'), [], false],
    ['concerns no rollout without one', deployment(splitter, 'Canary'), ['HTTPRoute'], false],
  ])('%s', (_rule, object, features, isRefused) => {
    expect(gatewayRefusal(object, cluster(all, features))?.reason).toBe(isRefused ? 'UnsupportedByGateway' : undefined);
  });

  test('is taken where classes may not be read, as in a namespaced install', () => {
    const unread = cluster([HTTP_ROUTES, GATEWAYS], ['HTTPRoute']);
    expect(gatewayRefusal(deployment(splitter, 'Shadow'), unread)).toBeUndefined();
  });
});
