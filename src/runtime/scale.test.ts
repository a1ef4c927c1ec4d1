import { afterEach, describe, expect, test } from 'vitest';
import { ApiClient } from './api-client.ts';
import { Informer } from './informer.ts';
import { type Scalable, scale, scaled } from './scale.ts';
import { silentLogger } from './testing/cluster.ts';
import { FakeClock, settle } from './testing/fake-clock.ts';
import { ScriptedApi } from './testing/scripted-api.ts';
import { defineResource, keyOf } from './types.ts';

const deployment: Scalable = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {
    name: 'churn',
    resourceVersion: '5',
    managedFields: [
      { manager: 'fairlead', operation: 'Apply', fieldsV1: { 'f:spec': { 'f:replicas': {}, 'f:template': {} } } },
    ],
  },
  spec: { replicas: 3 },
};
const answer = (version: string, replicas?: number) => ({
  apiVersion: 'autoscaling/v1',
  kind: 'Scale',
  metadata: { name: 'churn', resourceVersion: version },
  spec: { ...(replicas !== undefined && { replicas }) },
});

test('the answer of a scale is the object with the new count, at the new version, of which the count was not applied', () => {
  expect(scaled(deployment, answer('6', 1))).toEqual({
    ...deployment,
    metadata: {
      name: 'churn',
      resourceVersion: '6',
      managedFields: [{ manager: 'fairlead', operation: 'Apply', fieldsV1: { 'f:spec': { 'f:template': {} } } }],
    },
    spec: { replicas: 1 },
  });
});

test('a count of 0 may be left out of the answer, and is never taken for the count before', () => {
  expect(scaled(deployment, answer('6')).spec?.replicas).toBe(0);
});

test('the object that is cached stays as it was', () => {
  scaled(deployment, answer('6', 1));
  expect(deployment).toMatchObject({ metadata: { resourceVersion: '5' }, spec: { replicas: 3 } });
});

describe('the cache after a scale', () => {
  const resource = defineResource<Counted>({
    group: 'apps',
    version: 'v1',
    kind: 'Deployment',
    plural: 'deployments',
    namespaced: true,
  });
  const path = '/apis/apps/v1/namespaces/shop/deployments';
  const stop = new AbortController();
  afterEach(() => stop.abort());

  interface Counted extends Scalable {
    readonly status: { readonly readyReplicas: number };
  }
  const at = (resourceVersion: string, replicas: number, readyReplicas: number): Counted => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace: 'shop', name: 'churn', uid: 'u', resourceVersion },
    spec: { replicas },
    status: { readyReplicas },
  });

  test('holds the new count beside all that was told before, and what comes with its version is told', async () => {
    const api = new ScriptedApi();
    const read = at('100', 3, 1);
    api.lists.set(path, { items: [read], resourceVersion: '100' });
    const informer = new Informer<Counted>(
      { resource },
      {
        client: new ApiClient(api, 'test'),
        namespaces: ['shop'],
        clock: new FakeClock(),
        random: () => 0,
        logger: silentLogger,
      },
    );
    const told: string[] = [];
    const shown = (object: Counted | undefined) =>
      `${object?.metadata.resourceVersion}: ${object?.status.readyReplicas}/${object?.spec?.replicas}`;
    informer.onChange(({ new: now }) => told.push(shown(now)));
    informer.start(stop.signal);
    await settle();
    api.tell(path, 'MODIFIED', at('104', 3, 2));
    await settle();

    await scale({ updateScale: async () => answer('106', 1) }, informer, resource, read, 1);
    expect(shown(informer.get(keyOf(read)))).toBe('106: 2/1');
    // The watch is behind: its 105 is older than what is known, and only with 106 does it come to be seen.
    for (const late of [at('105', 3, 3), at('106', 1, 3), at('106', 1, 3)]) {
      api.tell(path, 'MODIFIED', late);
      await settle();
    }
    expect(told).toEqual(['100: 1/3', '104: 2/3', '106: 2/1', '106: 3/1']);
  });

  test('stays as it is where the answer is older than what it knows, or changed nothing', async () => {
    const known = at('106', 2, 2);
    const cache = { get: () => known, observe: () => expect.unreachable() };
    for (const version of ['105', '106']) {
      expect(await scale({ updateScale: async () => answer(version, 1) }, cache, resource, known, 1)).toBe(known);
    }
  });
});
