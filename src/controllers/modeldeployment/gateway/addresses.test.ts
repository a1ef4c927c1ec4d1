import { expect, test } from 'vitest';
import type { GatewayExposure } from '../../../api/v1alpha1/expose.ts';
import { gatewayAddresses } from './addresses.ts';
import type { Gateway } from './resources.ts';

const listener = { name: 'http', protocol: 'HTTP', port: 80 };
const secure = { name: 'https', protocol: 'HTTPS', port: 443, hostname: 'models.example.com' };
const gateway = (change: Partial<Gateway> = {}): Gateway => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'Gateway',
  metadata: { name: 'public', namespace: 'shop' },
  spec: { listeners: [listener] },
  status: { addresses: [{ type: 'IPAddress', value: '198.51.100.7' }] },
  ...change,
});

test.each<[string, Partial<GatewayExposure>, Gateway | undefined, object]>([
  ['nothing is known of a Gateway that is not there', { hostnames: ['a.example.com'] }, undefined, {}],
  ['the address of the Gateway', {}, gateway(), { http: 'http://198.51.100.7' }],
  [
    'an IPv6 address in brackets',
    {},
    gateway({ status: { addresses: [{ type: 'IPAddress', value: '2001:db8::7' }] } }),
    { http: 'http://[2001:db8::7]' },
  ],
  ['nothing while the Gateway has no address', {}, gateway({ status: {} }), {}],
  [
    'the host of the route before the address',
    { hostnames: ['a.example.com'] },
    gateway(),
    { http: 'http://a.example.com' },
  ],
  ['no wildcard', { hostnames: ['*.example.com'] }, gateway(), { http: 'http://198.51.100.7' }],
  [
    'the listener that encrypts, where the route may come by several',
    {},
    gateway({ spec: { listeners: [listener, secure] } }),
    { http: 'https://models.example.com' },
  ],
  [
    'the listener that the user names',
    { sectionName: 'http' },
    gateway({ spec: { listeners: [secure, { ...listener, port: 8080 }] } }),
    { http: 'http://198.51.100.7:8080' },
  ],
  ['nothing at a listener that does not exist', { sectionName: 'other' }, gateway(), {}],
  [
    'no listener that takes no such routes',
    {},
    gateway({ spec: { listeners: [{ ...listener, protocol: 'TCP' }] } }),
    {},
  ],
  [
    'gRPC at its own listener',
    { sectionName: 'http', grpc: { sectionName: 'grpc' } },
    gateway({ spec: { listeners: [listener, { ...listener, name: 'grpc', port: 9000 }] } }),
    { http: 'http://198.51.100.7', grpc: '198.51.100.7:9000' },
  ],
])('clients are told %s', (_rule, exposure, at, addresses) => {
  expect(gatewayAddresses({ name: 'public', ...exposure }, at)).toEqual(addresses);
});
