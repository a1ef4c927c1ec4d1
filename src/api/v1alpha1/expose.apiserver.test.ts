import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { type ApiServer, connect } from '../testing/api-server.ts';
import { manifest, type Spec } from '../testing/manifests.ts';
import { ModelDeployment } from './model-deployment.ts';

let api: ApiServer;
beforeAll(async () => {
  api = await connect(ownKubeconfig());
});
afterAll(() => api.dispose());

const ingress = { host: 'churn.example.com' };
const matches = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ header: 'x-tester', value: String(index), to: 'Canary' }));
const atGateway = (gateway: Spec, others: Spec = {}): Spec => ({
  provider: 'GatewayAPI',
  expose: { gateway: { name: 'public', ...gateway } },
  ...others,
});

describe('the API server accepts', () => {
  test.each<[string, Spec]>([
    ['a load balancer', { expose: { loadBalancer: {} } }],
    [
      'a load balancer for some, as the cloud wants it',
      {
        expose: {
          loadBalancer: { annotations: { 'a.example.com/b': 'c' }, sourceRanges: ['10.0.0.0/8', '2001:db8::/32'] },
        },
      },
    ],
    ['an Ingress', { expose: { ingress } }],
    [
      'an Ingress with everything',
      {
        expose: {
          ingress: {
            host: '*.example.com',
            path: '/v2/models/churn',
            className: 'nginx',
            tlsSecretRef: { name: 'churn-tls' },
          },
        },
      },
    ],
    ['a Gateway before routers', { expose: { gateway: { name: 'public', namespace: 'infra', sectionName: 'https' } } }],
    ['all three before routers', { expose: { loadBalancer: {}, ingress, gateway: { name: 'public' } } }],
    ['a Gateway that splits', atGateway({})],
    ['gRPC at a listener of its own', atGateway({ sectionName: 'http', grpc: { sectionName: 'grpc' } })],
    ['gRPC at a host of its own', atGateway({ hostnames: ['a.example.com'], grpc: { hostnames: ['b.example.com'] } })],
    ['as many matches as a route has rules for', atGateway({}, { match: matches(15) })],
  ])('%s', async (_title, traffic) => {
    await expect(api.preview(ModelDeployment, manifest({ traffic }))).resolves.toBeDefined();
  });
});

describe('the API server refuses, naming the field,', () => {
  test.each<[string, Spec, string]>([
    [
      'a range of addresses that is none',
      { expose: { loadBalancer: { sourceRanges: ['10.0.0.1'] } } },
      'spec.traffic.expose.loadBalancer.sourceRanges[0]: Invalid value: must be a range of addresses',
    ],
    [
      'a host that is none',
      { expose: { ingress: { host: 'https://churn.example.com' } } },
      'spec.traffic.expose.ingress.host: Invalid value: must be the name of a host',
    ],
    [
      'a path that is none',
      { expose: { ingress: { ...ingress, path: 'v2' } } },
      'spec.traffic.expose.ingress.path: Invalid value: must start with /',
    ],
    [
      'gRPC that shares its place with REST',
      atGateway({ grpc: { hostnames: ['a.example.com'] } }),
      'spec.traffic.expose.gateway.grpc: Invalid value: grpc needs a sectionName, or hostnames, other than',
    ],
    [
      'gRPC at one of the hosts of REST',
      atGateway({ hostnames: ['a.example.com', 'b.example.com'], grpc: { hostnames: ['b.example.com'] } }),
      'spec.traffic.expose.gateway.grpc: Invalid value',
    ],
    [
      'a load balancer past the Gateway that splits',
      { provider: 'GatewayAPI', expose: { gateway: { name: 'public' }, loadBalancer: {} } },
      'spec.traffic.expose: Invalid value: expose.loadBalancer and expose.ingress go with provider: Router only',
    ],
    [
      'more matches than a route has rules for',
      atGateway({}, { match: matches(16) }),
      'spec.traffic.match: Invalid value: 16 of match are too many for provider: GatewayAPI',
    ],
    [
      'a match of nothing, which a Gateway would refuse',
      { match: [{ header: 'x-tester', value: '', to: 'Canary' }] },
      'spec.traffic.match[0].value',
    ],
  ])('%s', async (_title, traffic, message) => {
    await expect(api.preview(ModelDeployment, manifest({ traffic }))).rejects.toThrow(message);
  });
});
