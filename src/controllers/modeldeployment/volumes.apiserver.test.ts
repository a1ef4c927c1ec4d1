import { afterEach, beforeEach, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { EVENTS, PODS } from '../resources.ts';
import { fastClock } from '../testing/played-cluster.ts';
import { conditionOf, digest, model, tenants } from '../testing/tenant.ts';

const kubeconfig = ownKubeconfig();
// What is only looked into after half a minute is looked into at once.
const clock = fastClock(40);
const tenant = tenants(kubeconfig, { beforeEach, afterEach }, clock);

const volume = { pod: { volumes: [{ name: 'creds', secret: { secretName: 'creds' } }] } };

/** Says of every pod that there is, as its kubelet would, that it waits for its Secret. */
async function kubeletMissesSecret(count: number): Promise<void> {
  const { cluster } = tenant();
  await eventually('the pods', async () => (await cluster.list(PODS)).length === count);
  for (const { metadata } of await cluster.list(PODS)) {
    const { name, namespace, uid } = metadata;
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.mount`, namespace },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid },
      type: 'Warning',
      reason: 'FailedMount',
      message: 'MountVolume.SetUp failed for volume "creds" : secret "creds" not found',
      source: { component: 'kubelet', host: 'node-1' },
      lastTimestamp: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    };
    await cluster.client.create(EVENTS, event);
  }
}

test('pods that wait for a volume say which and why, and heal', async () => {
  tenant().play({ pod: () => ({ phase: 'Pending' }) });
  tenant().startOperator({ clock });
  await tenant().create({ model: model('1'), replicas: 2, ...volume });
  await kubeletMissesSecret(2);
  const { status } = await tenant().until(
    'both pods say so',
    (object) => conditionOf(object, 'Ready')?.message.startsWith('2 of 2 pods: a volume cannot be mounted') === true,
  );
  expect(status).toMatchObject({ phase: 'Failed', rollout: { message: expect.stringContaining('"creds" not found') } });
  tenant().play({ pod: () => 'ready' });
  await tenant().untilReady();
});

test('a Job that resolves a digest, and waits for a volume, says so too', async () => {
  tenant().startOperator({ clock });
  await tenant().create({ model: { uri: 's3://models/churn/latest/' }, ...volume });
  await kubeletMissesSecret(1);
  await tenant().untilReason('VolumeMountFailed');
  const message = JSON.stringify({ sha256: digest('7'), sizeBytes: 5 });
  tenant().play({ job: () => ({ succeeds: true, message }) });
  await tenant().untilReady();
});
