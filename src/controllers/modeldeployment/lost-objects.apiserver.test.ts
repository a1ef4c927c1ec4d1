import { afterEach, beforeEach, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { DEPLOYMENTS, SERVICES } from '../resources.ts';
import { conditionOf, model, serves, tenants } from '../testing/tenant.ts';

const tenant = tenants(ownKubeconfig(), { beforeEach, afterEach });

const rollout = {
  strategy: 'Canary',
  steps: [{ weight: 10, hold: 'UntilPromoted' }, { weight: 50 }],
  analysis: { metrics: [] },
};
const act = (text: string) => tenant().annotate({ 'fairlead.dev/action': text });
const named = (name: string) => ({ namespace: tenant().cluster.namespace, name });

let stable: string;
let canary: string;

beforeEach(async () => {
  tenant().startOperator();
  await tenant().create({ model: model('1'), replicas: 2, rollout });
  await tenant().untilReady();
  await tenant().change({ model: model('2') });
  const { status } = await tenant().until('weight 10', (object) => object.status?.canary?.weight === 10);
  stable = status?.stable?.revision ?? '';
  canary = status?.canary?.revision ?? '';
  await act(`abort${status?.rollout?.action ?? ''}`);
  await tenant().until('it is taken back', (object) => object.status?.phase === 'RolledBack');
});

test('the Service by which routers find the revision that was gone back to is made again', async () => {
  await tenant().cluster.client.delete(SERVICES, named(stable));
  await eventually('it is there', async () => (await tenant().cluster.get(SERVICES, stable)) !== undefined);
  const service = await tenant().cluster.get(SERVICES, stable);
  expect(service?.spec?.ports).toMatchObject([{ targetPort: 'http' }, { targetPort: 'grpc' }]);
});

test('the Deployment of the revision that was gone back to cannot be, which status says until a person chooses', async () => {
  await tenant().cluster.client.delete(DEPLOYMENTS, named(stable));
  const lost = await tenant().until('it says so', (object) => conditionOf(object, 'Ready')?.reason === 'RevisionLost');
  expect(lost.status).toMatchObject({ phase: 'Failed', readyReplicas: 0 });
  expect(conditionOf(lost, 'Ready')?.message).toContain(`revision ${stable}`);
  expect(lost.status?.rollout?.message).not.toContain('has all of the traffic');
  await act(`retry@${canary}#0`);
  await tenant().until('the revision that is left', serves('2'));
});

test('and is made again where its spec is applied again', async () => {
  await tenant().cluster.client.delete(DEPLOYMENTS, named(stable));
  await tenant().untilReason('RevisionLost');
  await tenant().change({ model: model('1') });
  await tenant().until('the old model', serves('1'));
  expect(await tenant().cluster.get(DEPLOYMENTS, stable)).toBeDefined();
});

test('a canary whose stable revision is lost takes everything over, however far it has come', async () => {
  await act(`retry@${canary}#0`);
  await tenant().until('weight 10', (object) => object.status?.canary?.weight === 10);
  await tenant().cluster.client.delete(DEPLOYMENTS, named(stable));
  await tenant().until('the new model', serves('2'));
  expect(await tenant().cluster.get(DEPLOYMENTS, stable)).toBeUndefined();
});
