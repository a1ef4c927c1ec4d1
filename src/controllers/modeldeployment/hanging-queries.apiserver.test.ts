import { afterEach, beforeEach, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { fastClock } from '../testing/played-cluster.ts';
import { PlayedTraffic } from '../testing/played-traffic.ts';
import { model, NAME, serves, tenants } from '../testing/tenant.ts';

const kubeconfig = ownKubeconfig();
const clock = fastClock(20);
const tenant = tenants(kubeconfig, { beforeEach, afterEach }, clock);

/** One more than the operator under test has workers. */
const MANY = Array.from({ length: 9 }, (_, k) => `hangs-${k}`);

const canary = {
  replicas: 2,
  rollout: {
    strategy: 'Canary',
    steps: [{ weight: 50, hold: '10s' }],
    analysis: {
      metrics: [
        {
          name: 'revenue',
          prometheus: { address: 'http://hangs:9090', query: 'up', timeout: '1m' },
          success: 'result > 0',
        },
      ],
      interval: '2s',
    },
  },
};

test('servers that never answer hold up no rollout: neither its return, nor others', async () => {
  const traffic = new PlayedTraffic(tenant().cluster.routers, NAME);
  let asked = 0;
  const runQuery = () => {
    asked += 1;
    return new Promise<never>(() => undefined);
  };
  tenant().startOperator({ clock, fetchCounts: traffic.fetch, runQuery });
  for (const name of MANY) await tenant().create({ model: model('1'), ...canary }, name);
  for (const name of MANY) await tenant().untilReady(name);
  for (const name of MANY) await tenant().change({ model: model('2') }, name);
  for (const name of MANY) {
    await tenant().until('weight 50', ({ status }) => status?.canary?.weight === 50, name);
  }
  await eventually('as many are asked as may be at once', () => asked === 8);
  for (const name of MANY) await tenant().change({ model: model('1') }, name);
  for (const name of MANY) await tenant().until('the model before', serves('1'), name);
  expect(asked).toBeGreaterThanOrEqual(8);
});
