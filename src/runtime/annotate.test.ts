import { expect, test } from 'vitest';
import { annotate } from './annotate.ts';
import { ApiClient } from './api-client.ts';
import type { ApiRequest, Transport } from './kube-transport.ts';
import { defineResource, type KubeObject } from './types.ts';

const PROBES = defineResource({
  group: 'example.com',
  version: 'v1',
  kind: 'Probe',
  plural: 'probes',
  namespaced: true,
});

const probe: KubeObject = {
  apiVersion: 'example.com/v1',
  kind: 'Probe',
  metadata: { name: 'churn', namespace: 'shop', resourceVersion: '5', annotations: { kept: 'a', changed: 'b' } },
};

async function requestsOf(annotations: Readonly<Record<string, string | undefined>>): Promise<readonly unknown[]> {
  const bodies: unknown[] = [];
  const transport: Pick<Transport, 'json'> = {
    json: async ({ body }: ApiRequest) => {
      bodies.push(body);
      return probe;
    },
  };
  await annotate(new ApiClient(transport as Transport, 'fairlead'), PROBES, probe, annotations);
  return bodies;
}

test.each([
  ['asks nothing of what is so already', { kept: 'a', absent: undefined }, []],
  [
    'sends what differs alone, fenced by the version that it differs from',
    { kept: 'a', changed: 'c', added: 'd' },
    [{ metadata: { resourceVersion: '5', annotations: { changed: 'c', added: 'd' } } }],
  ],
  ['removes by null', { changed: undefined }, [{ metadata: { resourceVersion: '5', annotations: { changed: null } } }]],
])('annotate %s', async (_rule, annotations, requests) => {
  expect(await requestsOf(annotations)).toEqual(requests);
});
