import { afterEach, beforeEach, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import type { Manifest } from '../../runtime/api-client.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { SERVICE_ACCOUNTS } from '../resources.ts';
import { digest, model, NAME, served, serves, tenants } from '../testing/tenant.ts';

const tenant = tenants(ownKubeconfig(), { beforeEach, afterEach });

test('the ServiceAccount of Fairlead’s own stays for as long as a revision may be gone back to that runs under it', async () => {
  const { cluster } = tenant();
  const account = () => cluster.get(SERVICE_ACCOUNTS, NAME);
  const metadata = { name: 'own', namespace: cluster.namespace };
  await cluster.client.create(SERVICE_ACCOUNTS, { apiVersion: 'v1', kind: 'ServiceAccount', metadata } as Manifest);
  const operator = tenant().startOperator();
  const rollout = { strategy: 'BlueGreen', keepPrevious: '0s', analysis: { metrics: [] } };
  await tenant().create({ model: model('1'), rollout });
  await tenant().untilReady();
  await tenant().change({ model: model('2'), pod: { serviceAccountName: 'own' } });
  const { status } = await tenant().until('the new model', serves('2'));
  await tenant().atRest(operator);
  expect(await account()).toBeDefined();
  await cluster.client.delete(SERVICE_ACCOUNTS, { namespace: cluster.namespace, name: NAME });
  await eventually('it is made again', async () => (await account()) !== undefined);
  await tenant().annotate({ 'fairlead.dev/action': `undo@${status?.stable?.revision}#0` });
  await tenant().until('the old model serves', (object) => object.status?.phase === 'RolledBack');
  const serving = (await tenant().running()).find((each) => served(each) === digest('1'));
  expect(serving).toBeDefined();
});
