import { expect, test } from 'vitest';
import { type EndpointSlice, podAddresses } from './endpoint-slices.ts';

type Conditions = NonNullable<NonNullable<EndpointSlice['endpoints']>[number]['conditions']>;

function slice(addressType: string, endpoints: Readonly<Record<string, Conditions | undefined>>): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'x', namespace: 'shop' },
    addressType,
    endpoints: Object.entries(endpoints).map(([address, conditions]) => ({
      addresses: [address],
      ...(conditions && { conditions }),
    })),
  };
}

const ready = { ready: true, serving: true, terminating: false };
const notReady = { ready: false, serving: false, terminating: false };
const ending = { ready: false, serving: true, terminating: true };

test.each<[string, readonly EndpointSlice[], readonly string[]]>([
  [
    'ready pods, and those of which nothing is known',
    [slice('IPv4', { b: ready, a: undefined, c: notReady })],
    ['a', 'b'],
  ],
  ['pods of all slices, each once', [slice('IPv4', { a: ready }), slice('IPv4', { a: ready, b: ready })], ['a', 'b']],
  ['no pods that end while others are ready', [slice('IPv4', { a: ending, b: ready })], ['b']],
  ['pods that end and still serve when no other is left', [slice('IPv4', { a: ending, b: notReady })], ['a']],
  ['IPv4 addresses where there are both', [slice('IPv6', { '::1': ready }), slice('IPv4', { a: ready })], ['a']],
  ['IPv6 addresses where there is nothing else', [slice('IPv6', { '::1': ready }), slice('IPv4', {})], ['::1']],
  ['nothing of names', [slice('FQDN', { 'example.com': ready })], []],
  ['nothing without slices', [], []],
])('a Service has %s', (_, slices, addresses) => {
  expect(podAddresses(slices)).toEqual(addresses);
});
