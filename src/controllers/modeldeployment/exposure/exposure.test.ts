import { describe, expect, test } from 'vitest';
import type { ModelDeploymentSpec } from '../../../api/v1alpha1/model-deployment.ts';
import { OWNER } from '../../testing/spec.ts';
import { splitToService } from '../gateway/split.ts';
import { desiredExposure } from './exposure.ts';
import { ingressAddresses } from './ingress.ts';
import { loadBalancerAddresses } from './load-balancer.ts';

const inside = {
  metadata: { name: 'churn', namespace: 'shop' },
  spec: { selector: { app: 'router' }, ports: [{ name: 'http', port: 80, targetPort: 10_000 }] },
};
type Expose = NonNullable<NonNullable<ModelDeploymentSpec['traffic']>['expose']>;
const desired = (expose: Expose | undefined) =>
  desiredExposure(
    OWNER,
    { traffic: { provider: 'Router', ...(expose && { expose }) } },
    inside,
    splitToService('churn', true),
  ).map(({ resource, desired: { metadata, spec } }) => ({ kind: resource.kind, metadata, spec }));

describe('what publishes a model', () => {
  test('is nothing where nobody asks for it', () => {
    expect(desired(undefined)).toEqual([]);
    expect(desired({})).toEqual([]);
  });

  test('is a second Service that leads where its own does', () => {
    const annotations = { 'cloud.example.com/internal': 'true' };
    expect(desired({ loadBalancer: { annotations, sourceRanges: ['10.0.0.0/8'] } })).toMatchObject([
      {
        kind: 'Service',
        metadata: { name: 'churn-external', annotations, ownerReferences: [{ uid: 'u-1' }] },
        spec: { type: 'LoadBalancer', loadBalancerSourceRanges: ['10.0.0.0/8'], ...inside.spec },
      },
    ]);
  });

  test('is an Ingress to its Service', () => {
    const exposure = {
      host: 'churn.example.com',
      path: '/v2',
      className: 'nginx',
      tlsSecretRef: { name: 'churn-tls' },
    };
    expect(desired({ ingress: exposure })).toMatchObject([
      {
        kind: 'Ingress',
        metadata: { name: 'churn' },
        spec: {
          ingressClassName: 'nginx',
          tls: [{ hosts: ['churn.example.com'], secretName: 'churn-tls' }],
          rules: [
            {
              host: 'churn.example.com',
              http: {
                paths: [
                  { path: '/v2', pathType: 'Prefix', backend: { service: { name: 'churn', port: { name: 'http' } } } },
                ],
              },
            },
          ],
        },
      },
    ]);
  });

  test('is all that is asked for', () => {
    const gateway = { name: 'public', sectionName: 'http', grpc: { sectionName: 'grpc' } };
    const kinds = desired({ loadBalancer: {}, ingress: { host: 'a.example.com', path: '/' }, gateway });
    expect(kinds.map(({ kind }) => kind)).toEqual(['Service', 'Ingress', 'HTTPRoute', 'GRPCRoute']);
  });
});

test.each([
  ['nothing before the cloud has given an address', undefined, {}],
  ['nothing before the cloud has given one of several', { ingress: [] }, {}],
  ['an IP address', { ingress: [{ ip: '198.51.100.7' }] }, { http: 'http://198.51.100.7', grpc: '198.51.100.7:9000' }],
  [
    'an IPv6 address',
    { ingress: [{ ip: '2001:db8::7' }] },
    { http: 'http://[2001:db8::7]', grpc: '[2001:db8::7]:9000' },
  ],
  [
    'a host',
    { ingress: [{ hostname: 'lb.example.com' }] },
    { http: 'http://lb.example.com', grpc: 'lb.example.com:9000' },
  ],
])('a load balancer is known by %s', (_title, status, addresses) => {
  expect(loadBalancerAddresses(status, true)).toEqual(addresses);
});

test.each([
  [{ host: 'churn.example.com', path: '/' }, 'http://churn.example.com'],
  [{ host: 'churn.example.com', path: '/v2', tlsSecretRef: { name: 'tls' } }, 'https://churn.example.com/v2'],
  [{ host: '*.example.com', path: '/' }, undefined],
])('the Ingress %o is reached at %s', (exposure, url) => {
  expect(ingressAddresses(exposure).http).toBe(url);
});
