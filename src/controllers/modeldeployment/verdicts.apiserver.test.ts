import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { ROUTER_NAME } from '../../api/names.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import type { OperatorUnderTest } from '../testing/operator-under-test.ts';
import { fastClock } from '../testing/played-cluster.ts';
import { PlayedTraffic } from '../testing/played-traffic.ts';
import { digest, model, NAME, served, serves, tenants } from '../testing/tenant.ts';
import { REVISION_ANNOTATIONS } from './revision.ts';

const kubeconfig = ownKubeconfig();
const clock = fastClock(20);
const tenant = tenants(kubeconfig, { beforeEach, afterEach }, clock);

const canary = {
  replicas: 4,
  rollout: {
    strategy: 'Canary',
    steps: [
      { weight: 10, hold: '10s' },
      { weight: 50, hold: '10s' },
    ],
    analysis: {
      metrics: [
        { name: 'errors', builtin: 'ErrorRate', maxIncrease: { absolute: '1%' } },
        { name: 'latency', builtin: 'LatencyP99', maxIncrease: { relative: '50%' } },
      ],
      minRequests: 500,
      interval: '2s',
      deadline: '10m',
    },
  },
};

let traffic: PlayedTraffic;
let operator: OperatorUnderTest;
const start = () => tenant().startOperator({ clock, fetchCounts: traffic.fetch });

beforeEach(async () => {
  traffic = new PlayedTraffic(tenant().cluster.routers, NAME);
  operator = start();
  await tenant().create({ model: model('1'), ...canary });
  await tenant().untilReady();
});

/** How requests to the second model end; those to the first are as they always are. */
async function secondModelIs(errorRate: number, latencySeconds: number): Promise<void> {
  const { status } = await tenant().untilReady();
  const first = status?.stable?.revision;
  const usual = traffic.behaviour('');
  traffic.behaviour = (revision) => (revision === first ? usual : { errorRate, latencySeconds });
  await tenant().change({ model: model('2') });
}

describe('a canary that is judged', () => {
  test('and as good as the stable revision is promoted, step by step', async () => {
    // Long enough for a verdict to be seen in the status.
    const steps = canary.rollout.steps.map((step) => ({ ...step, hold: '60s' }));
    await tenant().change({ rollout: { steps } });
    await secondModelIs(0.001, 0.01);
    const during = await tenant().until('a verdict', ({ status }) => status?.rollout?.verdict !== undefined);
    expect(during.status?.rollout?.metrics?.map(({ name }) => name)).toEqual(['errors', 'latency']);
    await tenant().until('the new model', serves('2'));
    expect(tenant().cluster.routers.weights(NAME)).toEqual(['100', '10/90', '50/50', '100/0', '100']);
    expect(tenant().cluster.routers.lost).toEqual([]);
  });

  test.each([
    ['errs more', 0.2, 0.01, 'errors'],
    ['is slower', 0.001, 0.2, 'latency'],
  ])('and %s is taken back, with the numbers', async (_rule, errorRate, latencySeconds, metric) => {
    await secondModelIs(errorRate, latencySeconds);
    const { status } = await tenant().until('it is taken back', (object) => object.status?.phase === 'RolledBack');
    expect(status?.failedRevision?.message).toContain(metric === 'errors' ? 'errors' : 'p99');
    expect(status?.stable).toMatchObject({ ready: 4 });
    expect(tenant().cluster.routers.weights(NAME)).not.toContain('50/50');
    await eventually('only the old pods are left', async () =>
      (await tenant().running())
        .filter(({ metadata }) => metadata.name !== ROUTER_NAME)
        .every((each) => served(each) === digest('1')),
    );
    expect(tenant().cluster.routers.lost).toEqual([]);
  });

  test('goes on where it was after the operator is replaced', async () => {
    await secondModelIs(0.001, 0.01);
    await eventually('weight 50', () => tenant().cluster.routers.weights(NAME).includes('50/50'), 60_000);
    await tenant().stopOperator(operator);
    start();
    await tenant().until('the new model', serves('2'));
    expect(tenant().cluster.routers.weights(NAME)).toEqual(['100', '10/90', '50/50', '100/0', '100']);
  });

  test('whose counts cannot be read pauses, and never passes', async () => {
    await tenant().stopOperator(operator);
    tenant().startOperator({ clock });
    await tenant().change({ model: model('2') });
    const { status } = await tenant().until('Paused', (object) => object.status?.phase === 'Paused');
    expect(status?.rollout).toMatchObject({ paused: 'AnalysisError', verdict: 'Error' });
    expect(status?.canary?.weight).toBe(10);
  });

  test('leaves nothing of what was counted behind', async () => {
    await secondModelIs(0.001, 0.01);
    await tenant().until('the new model', serves('2'));
    await eventually('no record is left', async () =>
      (await tenant().running()).every(
        ({ metadata }) => metadata.annotations?.[REVISION_ANNOTATIONS.analysis] === undefined,
      ),
    );
  });
});
