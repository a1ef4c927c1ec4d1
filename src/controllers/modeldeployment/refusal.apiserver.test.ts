import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { ROUTER_NAME } from '../../api/names.ts';
import type { Manifest } from '../../runtime/api-client.ts';
import { ApiError } from '../../runtime/api-error.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import type { Resource } from '../../runtime/types.ts';
import { DEPLOYMENTS, EVENTS, SERVICE_ACCOUNTS, SERVICES } from '../resources.ts';
import { fastClock } from '../testing/played-cluster.ts';
import { conditionOf, digest, isReady, model, NAME, tenants } from '../testing/tenant.ts';

const kubeconfig = ownKubeconfig();
const tenant = tenants(kubeconfig, { beforeEach, afterEach });

describe('what the cluster refuses', () => {
  test('a foreign object of a name that is needed is named and left as it is, and its going heals', async () => {
    const clock = fastClock(40);
    const foreign = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: NAME, namespace: tenant().cluster.namespace, labels: { team: 'other' } },
      spec: { ports: [{ port: 80 }], selector: { app: 'other' } },
    };
    const before = await tenant().cluster.client.create(SERVICES, foreign as Manifest);
    tenant().startOperator({ clock });
    await tenant().create({ model: model('1') });
    const refused = await tenant().untilReason('NameConflict', 'Accepted');
    expect(conditionOf(refused, 'Accepted')?.message).toContain(
      `services ${tenant().cluster.namespace}/churn already exists`,
    );
    expect(refused.status?.phase).toBe('Failed');
    expect((await tenant().cluster.get(SERVICES, NAME))?.metadata.resourceVersion).toBe(
      before.metadata.resourceVersion,
    );
    await tenant().cluster.client.delete(SERVICES, { namespace: tenant().cluster.namespace, name: NAME });
    await tenant().untilReady();
  });

  test('a foreign ServiceAccount is not adopted, though nothing in it differs from what is wanted', async () => {
    await tenant().cluster.client.create(SERVICE_ACCOUNTS, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: NAME, namespace: tenant().cluster.namespace },
    });
    tenant().startOperator();
    await tenant().create({ model: model('1') });
    await tenant().untilReason('NameConflict', 'Accepted');
    expect((await tenant().cluster.get(SERVICE_ACCOUNTS, NAME))?.metadata.ownerReferences).toBeUndefined();
  });

  test('two ModelDeployments that need one name: whoever comes second says whose it is', async () => {
    tenant().startOperator();
    await tenant().create({ model: model('1'), traffic: { expose: { loadBalancer: {} } } });
    await eventually(
      'the Service of the load balancer',
      async () => (await tenant().cluster.get(SERVICES, `${NAME}-external`)) !== undefined,
    );
    await tenant().create({ model: model('1') }, `${NAME}-external`);
    const refused = await tenant().untilReason('NameConflict', 'Accepted', `${NAME}-external`);
    expect(conditionOf(refused, 'Accepted')?.message).toBe(
      `services ${tenant().cluster.namespace}/churn-external already exists and belongs to ModelDeployment churn; delete or rename one of the two`,
    );
  });

  test('a foreign object of a name that the routers need is told to whoever waits for them', async () => {
    await tenant().cluster.client.create(SERVICE_ACCOUNTS, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: ROUTER_NAME, namespace: tenant().cluster.namespace },
    });
    tenant().startOperator();
    await tenant().create({ model: model('1'), traffic: {} });
    await eventually('an Event', async () =>
      (await tenant().cluster.list(EVENTS)).some(
        (event) =>
          event.reason === 'NameConflict' &&
          JSON.stringify(event).includes(`serviceaccounts ${tenant().cluster.namespace}/${ROUTER_NAME} already exists`),
      ),
    );
  });

  test('pods that Kubernetes finds invalid are refused in its own words', async () => {
    tenant().startOperator();
    await tenant().create({ model: model('1'), pod: { tolerations: [{ operator: 'Exists', value: 'x', key: 'a' }] } });
    const refused = await tenant().untilReason('InvalidSpec', 'Accepted');
    expect(conditionOf(refused, 'Accepted')?.message).toContain('tolerations');
  });

  test('a URI that the schema lets through and a claim cannot have is refused', async () => {
    tenant().startOperator();
    await tenant().create({ model: { uri: 'pvc://My_Claim/x', sha256: digest('1') } });
    await tenant().untilReason('InvalidModelUri', 'Accepted');
  });

  test('a quota that refuses pods is told with its numbers', async () => {
    const message = 'pods "churn-x" is forbidden: exceeded quota: gpu, requested: gpu=1, used: gpu=4, limited: gpu=4';
    tenant().play({ refusal: () => message });
    tenant().startOperator();
    await tenant().create({ model: model('1') });
    const refused = await tenant().untilReason('QuotaExceeded', 'CapacityAvailable');
    expect(conditionOf(refused, 'CapacityAvailable')?.message).toContain('used: gpu=4, limited: gpu=4');
    expect(refused.status?.phase).toBe('Pending');
  });

  test('an object that something else keeps from being deleted is named, and its going heals', async () => {
    tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 2 });
    await tenant().untilReady();
    const service = { namespace: tenant().cluster.namespace, name: NAME };
    const finalizers = (names: readonly string[] | null) =>
      tenant().cluster.client.mergePatch(SERVICES, service, { metadata: { finalizers: names } });
    await finalizers(['example.com/keep']);
    await tenant().cluster.client.delete(SERVICES, service);
    await tenant().change({ replicas: 3 });
    const waiting = await tenant().untilReason('WaitingForDeletion');
    expect(conditionOf(waiting, 'Ready')?.message).toContain('is still being deleted');
    await finalizers(null);
    await tenant().until('three pods', (object) => isReady(object) && object.status?.replicas === 3);
  });

  test('what an earlier object of the same name left is waited for, and adopted once nobody owns it', async () => {
    const first = tenant().startOperator();
    await tenant().create({ model: model('1') });
    await tenant().untilReady();
    await tenant().atRest(first);
    // A bare API server has no garbage collector: what belonged to the deleted object stays.
    expect(await tenant().remove()).toBeUndefined();
    await tenant().create({ model: model('1') });
    const waiting = await tenant().untilReason('WaitingForDeletion');
    expect(conditionOf(waiting, 'Ready')?.message).toContain('an earlier ModelDeployment churn');
    for (const resource of [SERVICES, SERVICE_ACCOUNTS, DEPLOYMENTS]) {
      for (const { metadata } of await tenant().cluster.list(resource as Resource)) {
        await tenant().cluster.client.mergePatch(resource, metadata, { metadata: { ownerReferences: null } });
      }
    }
    await tenant().untilReady();
    expect(await tenant().cluster.list(DEPLOYMENTS)).toHaveLength(1);
  });

  test('a ServiceAccount of the user that does not exist is named', async () => {
    tenant().startOperator();
    tenant().play({ refusal: () => 'pods "churn-x" is forbidden: error looking up service account' });
    await tenant().create({ model: model('1'), pod: { serviceAccountName: 'nobody' } });
    await tenant().untilReason('ServiceAccountNotFound');
  });
});

test('the API server refuses what the schema can say, before any controller sees it', async () => {
  await expect(tenant().create({ model: { uri: 'ftp://x/y' } })).rejects.toThrow(ApiError);
});
