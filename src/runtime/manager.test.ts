import { afterEach, expect, test } from 'vitest';
import { ApiClient } from './api-client.ts';
import { DONE } from './outcome.ts';
import type { ControllerDefinition } from './reconcile-context.ts';
import { CONFIG_MAPS, configMap, eventually, NAMESPACES, startManager } from './testing/cluster.ts';
import { FakeClock } from './testing/fake-clock.ts';
import { ScriptedApi } from './testing/scripted-api.ts';
import { defineResource, keyOf } from './types.ts';

const SECRETS = defineResource({ group: '', version: 'v1', kind: 'Secret', plural: 'secrets', namespaced: true });

let stop: () => Promise<unknown> = async () => undefined;
afterEach(() => stop());

/** A manager of two namespaces with a ConfigMap `a` in each, one of which may be forbidden to it. */
function manage(...forbidden: string[]) {
  const api = new ScriptedApi();
  for (const path of forbidden) api.forbidden.add(path);
  for (const namespace of ['bank', 'shop']) {
    const made = configMap(namespace, 'a', {});
    const items = [{ ...made, metadata: { ...made.metadata, uid: namespace, resourceVersion: '1' } }];
    api.lists.set(`/api/v1/namespaces/${namespace}/configmaps`, { items, resourceVersion: '2' });
  }
  const reconciled: string[] = [];
  const definition: ControllerDefinition = {
    name: 'test',
    primary: { resource: CONFIG_MAPS },
    owns: [{ resource: SECRETS }],
    watches: [{ resource: NAMESPACES, map: () => [] }],
    reconcile: async (object) => {
      reconciled.push(keyOf(object));
      return DONE;
    },
  };
  const clock = new FakeClock();
  const running = startManager({
    client: new ApiClient(api, 'test'),
    clock,
    controllers: [definition],
    namespaces: ['bank', 'shop'],
    healthPort: 0,
  });
  stop = async () => {
    await running.stop();
  };
  const ready = async () => {
    const response = await fetch(`http://127.0.0.1:${running.manager.ports.health}/readyz`);
    return [response.status, await response.text()];
  };
  return { api, clock, reconciled, ready, manager: running.manager };
}

test('a namespace that is gone, and with it every right in it, keeps none of the others waiting', async () => {
  const { reconciled, ready } = manage('/api/v1/namespaces/bank/configmaps', '/api/v1/namespaces/bank/secrets');
  await eventually('a reconcile', () => reconciled.length > 0);
  expect(reconciled).toEqual(['shop/a']);
  expect(await ready()).toEqual([
    200,
    'ok, but not followed: configmaps in namespace bank (forbidden), secrets in namespace bank (forbidden)\n',
  ]);
});

test('nothing is decided in a namespace of which only a part is known, until all of it is', async () => {
  const { api, clock, reconciled, ready } = manage('/api/v1/namespaces/bank/secrets');
  await eventually('a reconcile', () => reconciled.length > 0);
  await clock.advance(120_000);
  expect(reconciled).toEqual(['shop/a']);
  api.forbidden.clear();
  await clock.advance(120_000);
  expect(reconciled).toEqual(['shop/a', 'bank/a']);
  expect(await ready()).toEqual([200, 'ok\n']);
});

test('what is not bound to a namespace must be listed, and readiness says what is missing', async () => {
  const { ready, manager, reconciled } = manage('/api/v1/namespaces', '/api/v1/namespaces/bank/secrets');
  await eventually('the port', () => manager.ports.health !== undefined);
  await eventually('the lists', async () => String((await ready())[1]).includes('bank'));
  expect(await ready()).toEqual([
    503,
    'not listed yet: secrets in namespace bank (forbidden), namespaces (forbidden)\n',
  ]);
  expect(reconciled).toEqual([]);
});
