import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { MODEL_DEPLOYMENTS } from '../kinds.ts';
import {
  AUTOSCALERS,
  DEPLOYMENTS,
  type Deployment,
  DISRUPTION_BUDGETS,
  SERVICE_ACCOUNTS,
  SERVICES,
} from '../resources.ts';
import { conditionOf, digest, isReady, loadFails, model, NAME, served, serves, tenants } from '../testing/tenant.ts';

const kubeconfig = ownKubeconfig();
const tenant = tenants(kubeconfig, { beforeEach, afterEach });

describe('a new ModelDeployment', () => {
  test('becomes a Deployment, a Service, an account and a budget, and says that it serves', async () => {
    tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 2 });
    // Pods say that they are ready, and their Deployment a moment later how many there are.
    const { status } = await tenant().until('two pods', (object) => isReady(object) && object.status?.replicas === 2);
    const [deployment, ...others] = await tenant().cluster.list(DEPLOYMENTS);
    expect(others).toEqual([]);
    expect(deployment?.metadata.name).toMatch(/^churn-[0-9a-f]{10}$/);
    const services = (await tenant().cluster.list(SERVICES)).map(({ metadata }) => metadata.name);
    expect(services).toEqual([NAME, deployment?.metadata.name]);
    expect((await tenant().cluster.list(DISRUPTION_BUDGETS)).map(({ metadata }) => metadata.name)).toEqual([NAME]);
    expect((await tenant().cluster.list(SERVICE_ACCOUNTS)).map(({ metadata }) => metadata.name)).toContain(NAME);
    expect(await tenant().cluster.list(AUTOSCALERS)).toEqual([]);
    expect(status).toMatchObject({
      phase: 'Ready',
      address: {
        http: `http://churn.${tenant().cluster.namespace}.svc`,
        grpc: `churn.${tenant().cluster.namespace}.svc:9000`,
      },
      model: model('1'),
      stable: { revision: deployment?.metadata.name, replicas: 2, ready: 2 },
      replicas: 2,
      readyReplicas: 2,
      summary: { model: '1', replicas: '2/2' },
    });
    expect(status?.conditions?.map(({ type, status: is }) => `${type}=${is}`)).toEqual([
      'Accepted=True',
      'Available=True',
      'CapacityAvailable=True',
      'Progressing=False',
      'Ready=True',
      'Verified=True',
    ]);
  });

  test('at rest nothing is asked of the API server, not even when everything is looked at again', async () => {
    const operator = tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 2 });
    await tenant().create(
      { model: model('2'), autoscaling: {}, resources: { requests: { cpu: '1', memory: '1Gi' } } },
      'scaled',
    );
    await tenant().untilReady();
    await tenant().untilReady('scaled');
    await tenant().atRest(operator);
    operator.forgetCalls();
    operator.manager.resync();
    await eventually('the resync is done', () => operator.manager.isIdle);
    expect(operator.calls).toEqual([]);
    await tenant().stopOperator(operator);
    const next = tenant().startOperator();
    await eventually('the next operator is at rest', () => next.manager.hasSynced && next.manager.isIdle);
    expect(next.writes).toEqual([]);
  });

  test('is deleted without a finalizer in the way, whatever state it is in', async () => {
    tenant().startOperator();
    tenant().play({ pod: () => loadFails('AccessDenied') });
    await tenant().create({ model: { ...model('1'), credentialsRef: { name: 'gone' } } });
    await tenant().untilReason('AccessDenied');
    expect((await tenant().cluster.get(MODEL_DEPLOYMENTS, NAME))?.metadata).not.toHaveProperty('finalizers');
    expect(await tenant().remove()).toBeUndefined();
  });
});

describe('a rolling update', () => {
  test('replaces the pods without ever having fewer ready ones, or more than the surge allows', async () => {
    tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 4 });
    const before = await tenant().untilReady();
    tenant().cluster.forgetExtremes();
    await tenant().change({ model: model('2') });
    const { status } = await tenant().until('the new model', serves('2'));
    expect(status?.stable?.revision).not.toBe(before.status?.stable?.revision);
    expect(status?.canary).toBeUndefined();
    expect((await tenant().running()).map(served)).toEqual([digest('2')]);
    expect(tenant().cluster.extremes.leastReady).toBeGreaterThanOrEqual(4);
    expect(tenant().cluster.extremes.mostPods).toBeLessThanOrEqual(5);
  });

  test('leaves the old revision serving while the new one is broken, says why, and goes back when told', async () => {
    tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 3 });
    const before = await tenant().untilReady();
    tenant().play({ pod: (each) => (served(each) === digest('2') ? loadFails('DigestMismatch') : 'ready') });
    tenant().cluster.forgetExtremes();
    await tenant().change({ model: model('2') });
    const broken = await tenant().untilReason('DigestMismatch');
    expect(broken.status).toMatchObject({
      phase: 'Failed',
      stable: { revision: before.status?.stable?.revision, ready: 3 },
      canary: { ready: 0 },
    });
    expect(conditionOf(broken, 'Available')?.status).toBe('True');
    expect(conditionOf(broken, 'Verified')?.status).toBe('False');
    expect(conditionOf(broken, 'Ready')?.message).toContain('serves on with 3 pods');
    expect(tenant().cluster.extremes.leastReady).toBe(3);
    await tenant().change({ model: model('1') });
    const after = await tenant().untilReady();
    expect(after.status?.stable?.revision).toBe(before.status?.stable?.revision);
    expect((await tenant().running()).map(served)).toEqual([digest('1')]);
  });

  test('goes straight to the last of several changes, and keeps no more than two revisions without pods', async () => {
    tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 2 });
    await tenant().untilReady();
    tenant().cluster.forgetExtremes();
    for (const digit of ['2', '3', '4', '5']) await tenant().change({ model: model(digit) });
    await tenant().until('the last model', serves('5'));
    expect((await tenant().running()).map(served)).toEqual([digest('5')]);
    expect(tenant().cluster.extremes.leastReady).toBeGreaterThanOrEqual(2);
    await eventually('surplus revisions are gone', async () => (await tenant().cluster.list(DEPLOYMENTS)).length <= 3);
  });

  test('makes no new revision of another count, and follows it both ways down to zero', async () => {
    tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 1 });
    await tenant().untilReady();
    expect(await tenant().cluster.list(DISRUPTION_BUDGETS)).toEqual([]);
    await tenant().change({ replicas: 3 });
    await tenant().until('three pods', (object) => isReady(object) && object.status?.replicas === 3);
    await tenant().change({ replicas: 0 });
    const none = await tenant().until('no pods', (object) => isReady(object) && object.status?.replicas === 0);
    expect(conditionOf(none, 'Available')).toMatchObject({ status: 'False', reason: 'ScaledToZero' });
    expect(await tenant().cluster.list(DEPLOYMENTS)).toHaveLength(1);
  });
});

test('Recreate ends every old pod before it starts a new one', async () => {
  tenant().startOperator();
  await tenant().create({ model: model('1'), replicas: 3, rollout: { strategy: 'Recreate' } });
  await tenant().untilReady();
  tenant().cluster.forgetExtremes();
  await tenant().change({ model: model('2') });
  await tenant().until('the new model', serves('2'));
  expect(tenant().cluster.extremes.leastReady).toBe(0);
  expect(tenant().cluster.extremes.mostPods).toBeLessThanOrEqual(3);
});

describe('an upgrade of Fairlead', () => {
  test('re-rolls nothing, and only new revisions run its image', async () => {
    const image = (deployment: Deployment) => deployment.spec?.template?.spec?.containers?.[0]?.image;
    const old = tenant().startOperator({ serverImage: 'example.com/fairlead:1' });
    await tenant().create({ model: model('1'), replicas: 2 });
    await tenant().untilReady();
    await tenant().atRest(old);
    await tenant().stopOperator(old);
    const upgraded = tenant().startOperator({ serverImage: 'example.com/fairlead:2' });
    await eventually('the upgraded operator is at rest', () => upgraded.manager.hasSynced && upgraded.manager.isIdle);
    expect(upgraded.writes).toEqual([]);
    await tenant().change({ model: model('2') });
    await tenant().until('the new model', serves('2'));
    const images = new Map((await tenant().cluster.list(DEPLOYMENTS)).map((each) => [served(each), image(each)]));
    expect(images).toEqual(
      new Map([
        [digest('1'), 'example.com/fairlead:1'],
        [digest('2'), 'example.com/fairlead:2'],
      ]),
    );
  });

  test("puts back what someone else changed in a revision's pods", async () => {
    tenant().startOperator();
    await tenant().create({ model: model('1') });
    const { status } = await tenant().untilReady();
    const name = { namespace: tenant().cluster.namespace, name: status?.stable?.revision ?? '' };
    const patch = [{ op: 'replace', path: '/spec/template/spec/terminationGracePeriodSeconds', value: 1 }] as const;
    await tenant().cluster.client.jsonPatch(DEPLOYMENTS, name, patch);
    await eventually('it is put back', async () => {
      const live = (await tenant().cluster.get(DEPLOYMENTS, name.name)) as Deployment & {
        spec: { template: { spec: { terminationGracePeriodSeconds: number } } };
      };
      return live.spec.template.spec.terminationGracePeriodSeconds === 60;
    });
  });
});
