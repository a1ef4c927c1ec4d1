import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { ANNOTATIONS } from '../../api/names.ts';
import { sleep } from '../../runtime/clock.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { PODS } from '../resources.ts';
import { isRouterPod } from '../router/selector.ts';
import { ApiGateway } from '../testing/api-gateway.ts';
import { OperatorUnderTest } from '../testing/operator-under-test.ts';
import { fastClock } from '../testing/played-cluster.ts';
import { conditionOf, digest, model, NAME, served, serves, tenants } from '../testing/tenant.ts';

const kubeconfig = ownKubeconfig();
const clock = fastClock(20);
const tenant = tenants(kubeconfig, { beforeEach, afterEach }, clock);

/** Each step is held for longer than a fault lasts. */
const canary = {
  replicas: 4,
  rollout: {
    strategy: 'Canary',
    steps: [
      { weight: 10, hold: '60s' },
      { weight: 50, hold: '60s' },
    ],
    analysis: { metrics: [] },
  },
};
const WHOLE = ['100', '10/90', '50/50', '100/0', '100'];

describe('a canary on its way', () => {
  test('goes on where it was after the API server was away for two minutes, and skips no step', async () => {
    const gateway = await ApiGateway.to(kubeconfig);
    const operator = new OperatorUnderTest(gateway.kubeconfigPath, { namespace: tenant().cluster.namespace, clock });
    try {
      await tenant().create({ model: model('1'), ...canary });
      await tenant().untilReady();
      await tenant().change({ model: model('2') });
      await eventually('weight 10', () => tenant().cluster.routers.weights(NAME).includes('10/90'), 60_000);
      gateway.away();
      await sleep(clock, 120_000);
      gateway.back();
      await tenant().until('the new model', serves('2'));
      expect(tenant().cluster.routers.weights(NAME)).toEqual(WHOLE);
      expect(tenant().cluster.routers.lost).toEqual([]);
    } finally {
      await operator.stop();
      await gateway.close();
    }
  });

  test('loses no step when its pods are evicted at weight 50, and users are sent to the revision before meanwhile', async () => {
    const { cluster } = tenant();
    tenant().startOperator({ clock });
    const steps = [
      { weight: 10, hold: '60s' },
      { weight: 50, hold: 'UntilPromoted' },
    ];
    await tenant().create({ model: model('1'), ...canary, rollout: { ...canary.rollout, steps } });
    await tenant().untilReady();
    await tenant().change({ model: model('2') });
    const half = await tenant().until('weight 50', ({ status }) => status?.canary?.weight === 50);
    await eventually('routers split in halves', () => cluster.routers.weights(NAME).at(-1) === '50/50', 60_000);
    const evicted = { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory' };
    tenant().play({ pod: (each) => (served(each) === digest('2') ? evicted : 'ready') });
    await eventually('all requests go to the revision before', async () =>
      (cluster.routers.applied.get(NAME)?.at(-1)?.backends ?? []).some(({ weight }) => weight === 100),
    );
    tenant().play({ pod: () => 'ready' });
    await eventually('weight 50 again', () => cluster.routers.weights(NAME).at(-1) === '50/50', 60_000);
    await tenant().annotate({ [ANNOTATIONS.action]: `promote${half.status?.rollout?.action ?? ''}` });
    await tenant().until('the new model', serves('2'));
    const weights = cluster.routers.weights(NAME);
    expect(weights.slice(0, 3)).toEqual(WHOLE.slice(0, 3));
    expect(weights.slice(-2)).toEqual(WHOLE.slice(-2));
  });

  test('that never becomes ready is taken back at its deadline, with what was seen', async () => {
    tenant().startOperator({ clock });
    const rollout = { ...canary.rollout, progressDeadline: '60s' };
    await tenant().create({ model: model('1'), ...canary, rollout });
    await tenant().untilReady();
    const starting = { phase: 'Running' };
    tenant().play({ pod: (each) => (served(each) === digest('2') ? starting : 'ready') });
    await tenant().change({ model: model('2') });
    const { status } = await tenant().until('it is taken back', (object) => object.status?.phase === 'RolledBack');
    expect(status?.failedRevision?.message).toMatch(/ready/);
    expect(status?.stable).toMatchObject({ ready: 4 });
    expect(tenant().cluster.routers.weights(NAME)).toEqual(['100']);
  });

  test('tells that nobody is served while no router is ready, and recovers', async () => {
    const { cluster } = tenant();
    tenant().startOperator({ clock });
    await tenant().create({ model: model('1'), ...canary });
    await tenant().untilReady();
    const routers = async () => (await cluster.list(PODS)).filter(isRouterPod);
    tenant().play({ pod: (each) => (served(each) === undefined ? { phase: 'Running' } : 'ready') });
    await eventually('no router is ready', async () =>
      (await routers()).every(({ status }) => status?.conditions?.every(({ status: is }) => is !== 'True') === true),
    );
    const down = await tenant().until('it says so', (object) => conditionOf(object, 'Available')?.status === 'False');
    expect(conditionOf(down, 'Available')).toMatchObject({ reason: 'NoReadyRouter' });
    tenant().play({ pod: () => 'ready' });
    await tenant().untilReady();
  });
});
