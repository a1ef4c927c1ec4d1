import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../../e2e/cluster/own-control-plane.ts';
import { MODEL_DEPLOYMENTS } from '../../kinds.ts';
import { fastClock } from '../../testing/played-cluster.ts';
import { conditionOf, digest, model, served, serves, type Tenant, tenants } from '../../testing/tenant.ts';

const kubeconfig = ownKubeconfig();
const clock = fastClock(20);
const tenant = tenants(kubeconfig, { beforeEach, afterEach }, clock);

/** Old pods give way one for one, and which room they make for whom cannot be counted. */
const swapping = {
  replicas: 4,
  pod: {
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'other' } } },
        ],
      },
    },
  },
  rollout: {
    strategy: 'Canary',
    steps: [{ weight: 50 }],
    analysis: { metrics: [] },
    capacity: { mode: 'Swap' },
    progressDeadline: '24h',
  },
};

describe('a rollout that gave old pods away for new ones that do not get ready', () => {
  test.each<[ends: string, end: (tenant: Tenant) => Promise<unknown>]>([
    [
      'its spec is refused',
      async (at) => {
        await at.change({ model: { uri: 'pvc://My_Claim/x', sha256: digest('5') } }, 'first');
        await at.untilReason('InvalidModelUri', 'Accepted', 'first');
      },
    ],
    [
      'it is being deleted',
      async (at) => {
        const name = { namespace: at.cluster.namespace, name: 'first' };
        const held = { metadata: { finalizers: ['example.com/keep'] } };
        await at.cluster.client.mergePatch(MODEL_DEPLOYMENTS, name, held);
        expect((await at.remove('first'))?.metadata.deletionTimestamp).toBeDefined();
      },
    ],
  ])('goes before others, and no longer once %s', async (_ends, end) => {
    tenant().play({ pod: (each) => (served(each) === digest('2') ? { phase: 'Running' } : 'ready') });
    tenant().startOperator({ clock });
    await tenant().create({ model: model('1'), ...swapping }, 'first');
    await tenant().create({ model: model('3'), ...swapping }, 'second');
    await tenant().untilReady('first');
    await tenant().untilReady('second');
    await tenant().change({ model: model('2') }, 'first');
    await tenant().untilReason('PodsStarting', 'CapacityAvailable', 'first');
    await tenant().change({ model: model('4') }, 'second');
    const waiting = await tenant().untilReason('OtherRolloutFirst', 'CapacityAvailable', 'second');
    expect(conditionOf(waiting, 'CapacityAvailable')?.message).toContain('/first, which goes first');
    await end(tenant());
    await tenant().until('the second one goes on', serves('4'), 'second');
  });
});
