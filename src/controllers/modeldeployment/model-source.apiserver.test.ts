import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { MODEL_VERSIONS, MODELS } from '../kinds.ts';
import { DEPLOYMENTS, JOBS } from '../resources.ts';
import { fastClock } from '../testing/played-cluster.ts';
import { conditionOf, digest, isReady, model, served, serves, tenants } from '../testing/tenant.ts';

const kubeconfig = ownKubeconfig();
// Waits of minutes between attempts pass in seconds.
const clock = fastClock(40);
const tenant = tenants(kubeconfig, { beforeEach, afterEach }, clock);

describe('a model without a digest', () => {
  const told = (digit: string) => ({
    succeeds: true,
    message: JSON.stringify({ sha256: digest(digit), sizeBytes: 5 }),
  });
  const uri = 's3://models/churn/latest/';

  test('is resolved once by a Job before its revision exists, and the Job goes', async () => {
    tenant().play({ job: () => told('7') });
    tenant().startOperator();
    await tenant().create({ model: { uri }, replicas: 1 });
    const { status } = await tenant().untilReady();
    expect(status?.model).toEqual({ uri, sha256: digest('7') });
    await eventually('the Job is gone', async () => (await tenant().cluster.list(JOBS)).length === 0);
    // The pods change and the model does not: nothing is resolved again.
    tenant().play({ job: () => told('8') });
    await tenant().change({ resources: { requests: { cpu: '2' } } });
    await tenant().until('the new resources', isReady);
    expect((await tenant().cluster.list(DEPLOYMENTS)).map(served)).toEqual([digest('7'), digest('7')]);
  });

  test('whose Job cannot have a pod says what refuses it, and heals', async () => {
    const refusal = 'pods "x-1" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=4, limited: pods=4';
    tenant().play({ job: () => told('7'), jobRefusal: () => refusal });
    tenant().startOperator({ clock });
    await tenant().create({ model: { uri } });
    const refused = await tenant().untilReason('QuotaExceeded');
    expect(conditionOf(refused, 'CapacityAvailable')?.message).toContain('used: pods=4, limited: pods=4');
    tenant().play({ jobRefusal: () => undefined });
    await tenant().untilReady();
  });

  test('that cannot be had is named, tried again by a new Job, and heals', async () => {
    tenant().play({
      job: () => ({ succeeds: false, message: '{"reason":"ModelNotFound","message":"s3 answered 404"}' }),
    });
    tenant().startOperator({ clock });
    await tenant().create({ model: { uri } });
    const { status } = await tenant().untilReason('ModelNotFound');
    expect(status?.phase).toBe('Failed');
    expect(status?.rollout?.message).toContain('s3 answered 404');
    await tenant().until('another attempt', (object) =>
      /attempt ([2-9]|\d\d)/.test(object.status?.rollout?.message ?? ''),
    );
    expect((await tenant().cluster.list(JOBS)).length).toBeLessThanOrEqual(2);
    tenant().play({ job: () => told('7') });
    await tenant().untilReady();
  });

  test('keeps the old revision serving while it is looked for, and asks anew at once when the spec changes', async () => {
    tenant().play({ job: () => ({ succeeds: false, message: '{"reason":"AccessDenied","message":"403"}' }) });
    tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 2 });
    await tenant().untilReady();
    await tenant().change({ model: { uri, sha256: null } });
    const denied = await tenant().untilReason('AccessDenied');
    expect(conditionOf(denied, 'Available')?.status).toBe('True');
    expect(denied.status?.stable).toMatchObject({ ready: 2 });
    tenant().play({ job: () => told('7') });
    await tenant().change({ model: { credentialsRef: { name: 's3' } } });
    await tenant().until('the new model', serves('7'));
  });
});

describe('a model of the registry', () => {
  const addVersion = (version: string) =>
    tenant().cluster.client.create(
      MODEL_VERSIONS,
      tenant().manifest('ModelVersion', `churn-${version}`, { model: 'churn', version, ...model(version) }),
    );
  const ref = { model: { ref: { model: 'churn', alias: 'champion' } } };

  test('is named when it is missing, and rolls out when its alias moves', async () => {
    tenant().startOperator();
    await tenant().create(ref);
    expect(conditionOf(await tenant().untilReason('ModelNotFound'), 'Ready')?.message).toContain(
      'Model churn does not exist',
    );
    await tenant().cluster.client.create(MODELS, tenant().manifest('Model', 'churn', { aliases: { champion: '1' } }));
    await tenant().until(
      'the missing version is named',
      (object) => conditionOf(object, 'Ready')?.message.includes('version 1 of Model churn') === true,
    );
    await addVersion('1');
    const first = await tenant().untilReady();
    expect(first.status).toMatchObject({
      model: { version: '1' },
      stable: { version: '1' },
      summary: { model: 'churn@1' },
    });
    await addVersion('2');
    await tenant().cluster.client.mergePatch(
      MODELS,
      { namespace: tenant().cluster.namespace, name: 'churn' },
      { spec: { aliases: { champion: '2' } } },
    );
    await tenant().until('version 2', (object) => isReady(object) && object.status?.model?.version === '2');
  });

  test('that is deleted serves on with its pinned bytes, and status says so', async () => {
    tenant().startOperator();
    await tenant().cluster.client.create(MODELS, tenant().manifest('Model', 'churn', { aliases: { champion: '1' } }));
    await addVersion('1');
    await tenant().create(ref);
    await tenant().untilReady();
    await tenant().cluster.client.delete(MODEL_VERSIONS, { namespace: tenant().cluster.namespace, name: 'churn-1' });
    const gone = await tenant().untilReason('ModelGone');
    expect(gone.status).toMatchObject({ phase: 'Ready', model: { sha256: digest('1') } });
    await tenant().change({ replicas: 2 });
    await tenant().until('two pods', (object) => object.status?.readyReplicas === 2);
    expect(await tenant().remove()).toBeUndefined();
  });
});

test('a model that is written another way is resolved once, also where another version of Fairlead made its pods', async () => {
  const told = { succeeds: true, message: JSON.stringify({ sha256: digest('1'), sizeBytes: 5 }) };
  let jobs = 0;
  tenant().play({
    job: () => {
      jobs += 1;
      return told;
    },
  });
  const operator = tenant().startOperator({ clock });
  await tenant().create({ model: model('1') });
  await tenant().untilReady();
  await tenant().stopOperator(operator);
  const [deployment] = await tenant().cluster.list(DEPLOYMENTS);
  const { name = '' } = deployment?.metadata ?? {};
  const otherwise = { metadata: { annotations: { 'fairlead.dev/template-hash': 'of-before' } } };
  await tenant().cluster.client.mergePatch(DEPLOYMENTS, { namespace: tenant().cluster.namespace, name }, otherwise);
  const upgraded = tenant().startOperator({ clock });
  await tenant().change({ model: { sha256: null } });
  await tenant().until('the same bytes', serves('1'));
  await tenant().atRest(upgraded);
  expect(await tenant().cluster.list(JOBS)).toEqual([]);
  expect((await tenant().cluster.list(DEPLOYMENTS)).map(({ metadata }) => metadata.name)).toEqual([name]);
  expect(jobs).toBe(1);
});
