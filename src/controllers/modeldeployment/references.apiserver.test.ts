import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { ROUTER_NAME } from '../../api/names.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { DEPLOYMENTS, SERVICES } from '../resources.ts';
import { conditionOf, model, NAME, tenants } from '../testing/tenant.ts';
import { leadOf } from './routing/lead.ts';

const kubeconfig = inject('kubeconfig');
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
