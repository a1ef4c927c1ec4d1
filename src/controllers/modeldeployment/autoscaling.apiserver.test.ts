import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import type { CountsSnapshot } from '../../api/counts.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { MODEL_DEPLOYMENTS } from '../kinds.ts';
import { AUTOSCALERS, DEPLOYMENTS } from '../resources.ts';
import { fastClock } from '../testing/played-cluster.ts';
import { conditionOf, isReady, model, NAME, serves, tenants } from '../testing/tenant.ts';

const kubeconfig = ownKubeconfig();
const tenant = tenants(kubeconfig, { beforeEach, afterEach });

describe('with an autoscaler', () => {
  const spec = (digit: string) => ({
    model: model(digit),
    autoscaling: { minReplicas: 2, maxReplicas: 10 },
    resources: { requests: { cpu: '1', memory: '1Gi' } },
  });
  test('the operator writes no replicas, and a rollout keeps the count that the autoscaler had chosen', async () => {
    const operator = tenant().startOperator();
    await tenant().create(spec('1'));
    const first = await tenant().untilReady();
    const revision = first.status?.stable?.revision ?? '';
    const name = { namespace: tenant().cluster.namespace, name: revision };
    await tenant().cluster.client.updateScale(DEPLOYMENTS, name, 5);
    await tenant().until('five pods', (object) => object.status?.readyReplicas === 5);
    expect(operator.writes.filter((call) => call.includes('/scale'))).toEqual([]);
    await tenant().atRest(operator);
    await tenant().cluster.client.mergePatch(
      MODEL_DEPLOYMENTS,
      { namespace: tenant().cluster.namespace, name: NAME },
      { metadata: { annotations: { touched: 'yes' } } },
    );
    await tenant().atRest(operator);
    expect((await tenant().cluster.get(DEPLOYMENTS, revision))?.spec?.replicas).toBe(5);
    tenant().cluster.forgetExtremes();
    await tenant().change({ model: model('2') });
    await tenant().until('the new model', serves('2'));
    expect(tenant().cluster.extremes.leastReady).toBeGreaterThanOrEqual(5);
    expect(tenant().cluster.extremes.mostPods).toBeLessThanOrEqual(7);
    expect((await tenant().running()).map(({ spec: is }) => is?.replicas)).toEqual([5]);
    await eventually('one autoscaler with the bounds of the spec is left', async () => {
      const hpas = await tenant().cluster.list(AUTOSCALERS);
      return hpas.length === 1 && hpas[0]?.spec?.minReplicas === 2 && hpas[0].spec.maxReplicas === 10;
    });
  });

  test('that has had no metrics for two minutes is told, and Ready stays', async () => {
    tenant().startOperator();
    await tenant().create(spec('1'));
    const ready = await tenant().untilReady();
    const [hpa] = await tenant().cluster.list(AUTOSCALERS);
    const failing = (status: string, lastTransitionTime: string) => ({
      status: {
        currentReplicas: 2,
        desiredReplicas: 2,
        conditions: [
          {
            type: 'ScalingActive',
            status,
            reason: 'FailedGetResourceMetric',
            message: 'no metrics',
            lastTransitionTime,
          },
        ],
      },
    });
    const name = hpa?.metadata ?? { name: '' };
    await tenant().cluster.client.mergePatch(AUTOSCALERS, name, failing('False', '2026-01-01T00:00:00Z'), 'status');
    const told = await tenant().untilReason('AutoscalerFailing');
    expect(conditionOf(told, 'Ready')).toMatchObject({
      status: 'True',
      message: expect.stringContaining('FailedGetResourceMetric: no metrics'),
      lastTransitionTime: conditionOf(ready, 'Ready')?.lastTransitionTime,
    });
    expect(told.status?.phase).toBe('Ready');
    await tenant().cluster.client.mergePatch(AUTOSCALERS, name, failing('True', '2026-01-01T00:01:00Z'), 'status');
    await tenant().untilReason('Serving');
  });

  test('can be given up for a fixed count, and taken again', async () => {
    tenant().startOperator();
    await tenant().create(spec('1'));
    await tenant().untilReady();
    await tenant().change({ autoscaling: null, replicas: 3 });
    await tenant().until('three pods', (object) => isReady(object) && object.status?.replicas === 3);
    expect(await tenant().cluster.list(AUTOSCALERS)).toEqual([]);
    await tenant().change({ autoscaling: { minReplicas: 2, maxReplicas: 4, cpu: 50 }, replicas: null });
    await eventually('the autoscaler is back', async () => (await tenant().cluster.list(AUTOSCALERS)).length === 1);
    await tenant().until('three pods still', (object) => isReady(object) && object.status?.replicas === 3);
  });

  test('gets a higher minimum while many requests are in flight, as far as the maximum, and the old one back after a while', async () => {
    let inFlight = 0;
    const fetchCounts = async (url: string) => {
      const revision = (await tenant().cluster.list(AUTOSCALERS)).find(({ metadata }) =>
        metadata.name.startsWith(NAME),
      );
      const load = { [NAME]: { [revision?.metadata.name ?? '']: inFlight } };
      return JSON.stringify({ instance: url, inFlight, load, revisions: {} } satisfies CountsSnapshot);
    };
    tenant().startOperator({ clock: fastClock(40), fetchCounts });
    const autoscaling = { minReplicas: 2, maxReplicas: 6, inFlight: 10 };
    await tenant().create({ ...spec('1'), autoscaling, traffic: {} });
    await tenant().untilReady();
    const bounds = async () =>
      (await tenant().cluster.list(AUTOSCALERS))
        .filter(({ metadata }) => metadata.name.startsWith(NAME))
        .map(({ spec: is }) => [is?.minReplicas, is?.maxReplicas]);
    const untilBounds = (min: number) =>
      eventually(
        `a minimum of ${min}`,
        async () => JSON.stringify(await bounds()) === JSON.stringify([[min, 6]]),
        60_000,
      );
    await untilBounds(2);
    // Of each of two routers.
    inFlight = 20;
    await untilBounds(4);
    await tenant().until('four pods', (object) => object.status?.readyReplicas === 4);
    inFlight = 1_000;
    await untilBounds(6);
    inFlight = 0;
    await untilBounds(2);
  });
});
