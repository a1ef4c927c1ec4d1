import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { ROUTER_NAME } from '../../api/names.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { CONFIG_MAPS, DEPLOYMENTS, SERVICES } from '../resources.ts';
import { conditionOf, model, NAME, tenants } from '../testing/tenant.ts';
import { leadOf } from './routing/lead.ts';
import { routeIn, routeName } from './routing/route.ts';

const kubeconfig = ownKubeconfig();
const tenant = tenants(kubeconfig, { beforeEach, afterEach });

const lead = async (name: string) => leadOf(await tenant().cluster.get(SERVICES, name))?.to;
const readySays = (object: Parameters<typeof conditionOf>[0]) => conditionOf(object, 'Ready')?.message;
const fallback = { traffic: { fallback: { modelDeploymentRef: { name: 'spare' } } } };
const ensemble = { traffic: { ensemble: { combine: 'Average', members: [{ name: 'spare' }] } } };

describe('a ModelDeployment that another one refers to', () => {
  test.each([
    ['as its fallback', fallback],
    ['as a member of its ensemble', ensemble],
  ])('%s is routed for as long as it does, so that routers can ask it', async (_how, spec) => {
    const { cluster } = tenant();
    tenant().startOperator();
    await tenant().create({ model: model('1') }, 'spare');
    await tenant().untilReady('spare');
    expect([await lead('spare'), await cluster.get(DEPLOYMENTS, ROUTER_NAME)]).toEqual(['servers', undefined]);

    await tenant().create({ model: model('2'), ...spec });
    await tenant().untilReason('Serving');
    await eventually('routers stand before it', async () => (await lead('spare')) === 'routers');
    expect(cluster.routers.weights('spare')).toEqual(['100']);

    await tenant().change({ traffic: null });
    await eventually('its Service leads to its pods again', async () => (await lead('spare')) === 'servers');
    expect(cluster.routers.lost).toEqual([]);
  });
});

test('routers are told by which name to ask it, and none where its own container alone knows', async () => {
  tenant().startOperator();
  await tenant().create({ model: model('1') }, 'spare');
  await tenant().create({ model: model('2'), ...fallback });
  await tenant().untilReason('Serving');
  const told = async () => routeIn(await tenant().cluster.get(CONFIG_MAPS, routeName(NAME)))?.fallback?.to;
  expect(await told()).toEqual({ modelDeployment: 'spare', modelName: 'spare' });
  await tenant().change({ runtime: { container: { image: 'triton:1' } } }, 'spare');
  await eventually('no name is told', async () => JSON.stringify(await told()) === '{"modelDeployment":"spare"}');
});

describe('a reference that nobody answers for', () => {
  test('leaves a model without its fallback Ready, and says so until there is one', async () => {
    tenant().startOperator();
    await tenant().create({ model: model('1'), ...fallback });
    const alone = await tenant().untilReason('ReferenceNotRouted');
    expect(conditionOf(alone, 'Ready')?.status).toBe('True');
    expect(readySays(alone)).toContain(
      'traffic.fallback.modelDeploymentRef: the namespace has no ModelDeployment spare: create it',
    );
    await tenant().create({ model: model('2') }, 'spare');
    await tenant().untilReason('Serving');
    await tenant().remove('spare');
    await tenant().untilReason('ReferenceNotRouted');
  });

  test.each([
    ['as its fallback', fallback, 'traffic.fallback.modelDeploymentRef', 'True'],
    ['as a member of its ensemble', ensemble, 'traffic.ensemble.members', 'False'],
  ])('is one to an ensemble %s, and status says so until it is none', async (_how, spec, field, ready) => {
    tenant().startOperator();
    const members = [{ name: 'third' }];
    await tenant().create({ model: model('3') }, 'third');
    await tenant().create({ model: model('1') }, 'spare');
    await tenant().create({ model: model('2'), ...spec });
    await tenant().untilReason('Serving');
    await tenant().change({ traffic: { ensemble: { combine: 'Average', members } } }, 'spare');
    const refused = await tenant().untilReason('ReferenceNotRouted');
    expect(conditionOf(refused, 'Ready')?.status).toBe(ready);
    expect(readySays(refused)).toContain(`${field}: ModelDeployment spare is an ensemble itself`);
    await tenant().change({ traffic: null }, 'spare');
    await tenant().untilReason('Serving');
  });

  test('leaves an ensemble unready, whose members answer together or not at all', async () => {
    tenant().startOperator();
    await tenant().create({ model: model('1'), ...ensemble });
    const incomplete = await tenant().untilReason('ReferenceNotRouted');
    expect(conditionOf(incomplete, 'Ready')?.status).toBe('False');
    expect(readySays(incomplete)).toContain('traffic.ensemble.members: the namespace has no ModelDeployment spare');
    await tenant().create({ model: model('2') }, 'spare');
    await tenant().untilReason('Serving', 'Ready', NAME);
  });
});
