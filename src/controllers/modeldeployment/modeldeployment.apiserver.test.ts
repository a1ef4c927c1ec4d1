import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { ANNOTATIONS } from '../../api/names.ts';
import type { Manifest } from '../../runtime/api-client.ts';
import { ApiError } from '../../runtime/api-error.ts';
import { findCondition } from '../../runtime/conditions.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { MODEL_DEPLOYMENTS, MODEL_VERSIONS, MODELS, type ModelDeployment } from '../kinds.ts';
import {
  AUTOSCALERS,
  DEPLOYMENTS,
  type Deployment,
  DISRUPTION_BUDGETS,
  JOBS,
  SERVICE_ACCOUNTS,
  SERVICES,
} from '../resources.ts';
import { OperatorUnderTest } from '../testing/operator-under-test.ts';
import { fastClock, PlayedCluster } from '../testing/played-cluster.ts';

const kubeconfig = inject('kubeconfig');
const digest = (digit: string) => digit.repeat(64);
const model = (digit: string) => ({ uri: `s3://models/churn/${digit}/`, sha256: digest(digit) });
const NAME = 'churn';

let cluster: PlayedCluster;
let operators: OperatorUnderTest[];

beforeEach(async () => {
  operators = [];
  cluster = new PlayedCluster(kubeconfig, { pod: () => 'ready', job: () => undefined });
  await cluster.start();
});
afterEach(async () => {
  for (const operator of operators) await operator.stop();
  await cluster.stop();
});

function startOperator(
  options: { serverImage?: string; clock?: ReturnType<typeof fastClock> } = {},
): OperatorUnderTest {
  const operator = new OperatorUnderTest(kubeconfig, { namespace: cluster.namespace, ...options });
  operators.push(operator);
  return operator;
}

async function stopOperator(operator: OperatorUnderTest): Promise<void> {
  operators = operators.filter((each) => each !== operator);
  await operator.stop();
}

const manifest = (kind: string, name: string, spec: object): Manifest => ({
  apiVersion: 'fairlead.dev/v1alpha1',
  kind,
  metadata: { name, namespace: cluster.namespace },
  spec,
});
const create = (spec: object, name = NAME) =>
  cluster.client.create(MODEL_DEPLOYMENTS, manifest('ModelDeployment', name, spec));
const change = (spec: object, name = NAME) =>
  cluster.client.mergePatch(MODEL_DEPLOYMENTS, { namespace: cluster.namespace, name }, { spec });

const read = async (name = NAME) => (await cluster.get(MODEL_DEPLOYMENTS, name)) as ModelDeployment;
const conditionOf = (object: ModelDeployment, type: string) => findCondition(object.status?.conditions, type);

/** Waits until a condition of the current spec is so. */
async function until(what: string, holds: (object: ModelDeployment) => boolean, name = NAME): Promise<ModelDeployment> {
  let object = await read(name);
  try {
    await eventually(
      what,
      async () => {
        object = await read(name);
        return object.status?.observedGeneration === object.metadata.generation && holds(object);
      },
      20_000,
    );
  } catch (error) {
    throw new Error(`${(error as Error).message}; status is ${JSON.stringify(object.status, undefined, 1)}`);
  }
  return object;
}
const isReady = (object: ModelDeployment) => conditionOf(object, 'Ready')?.status === 'True';
const untilReady = (name = NAME) => until('Ready', isReady, name);
const untilReason = (reason: string, type = 'Ready', name = NAME) =>
  until(`${type} says ${reason}`, (object) => conditionOf(object, type)?.reason === reason, name);

const deployments = () => cluster.list(DEPLOYMENTS);
const running = async () => (await deployments()).filter(({ spec }) => (spec?.replicas ?? 1) > 0);
const served = (deployment: Deployment) => deployment.metadata.annotations?.[ANNOTATIONS.modelSha256];
const loadFails = (reason: string) => ({
  phase: 'Running',
  containerStatuses: [
    {
      name: 'server',
      ready: false,
      restartCount: 3,
      image: 'x',
      imageID: '',
      state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off' } },
      lastState: { terminated: { exitCode: 1, message: JSON.stringify({ reason, message: `because of ${reason}` }) } },
    },
  ],
});

/** Waits until no controller has anything to do and nothing was written for a moment. */
async function atRest(operator: OperatorUnderTest): Promise<void> {
  await eventually('the operator is idle', async () => {
    operator.forgetCalls();
    await new Promise((resolve) => setTimeout(resolve, 300));
    return operator.manager.isIdle && operator.calls.length === 0;
  });
}

describe('a new ModelDeployment', () => {
  test('becomes a Deployment, a Service, an account and a budget, and says that it serves', async () => {
    startOperator();
    await create({ model: model('1'), replicas: 2 });
    const { status } = await untilReady();
    const [deployment, ...others] = await deployments();
    expect(others).toEqual([]);
    expect(deployment?.metadata.name).toMatch(/^churn-[0-9a-f]{10}$/);
    expect((await cluster.list(SERVICES)).map(({ metadata }) => metadata.name)).toEqual([NAME]);
    expect((await cluster.list(DISRUPTION_BUDGETS)).map(({ metadata }) => metadata.name)).toEqual([NAME]);
    expect((await cluster.list(SERVICE_ACCOUNTS)).map(({ metadata }) => metadata.name)).toContain(NAME);
    expect(await cluster.list(AUTOSCALERS)).toEqual([]);
    expect(status).toMatchObject({
      phase: 'Ready',
      address: { http: `http://churn.${cluster.namespace}.svc`, grpc: `churn.${cluster.namespace}.svc:9000` },
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
    const operator = startOperator();
    await create({ model: model('1'), replicas: 2 });
    await create(
      { model: model('2'), autoscaling: {}, resources: { requests: { cpu: '1', memory: '1Gi' } } },
      'scaled',
    );
    await untilReady();
    await untilReady('scaled');
    await atRest(operator);
    operator.forgetCalls();
    operator.manager.resync();
    await eventually('the resync is done', () => operator.manager.isIdle);
    expect(operator.calls).toEqual([]);
    await stopOperator(operator);
    const next = startOperator();
    await eventually('the next operator is at rest', () => next.manager.hasSynced && next.manager.isIdle);
    expect(next.writes).toEqual([]);
  });

  test('is deleted without a finalizer in the way, whatever state it is in', async () => {
    startOperator();
    cluster.play = { ...cluster.play, pod: () => loadFails('AccessDenied') };
    await create({ model: { ...model('1'), credentialsRef: { name: 'gone' } } });
    await untilReason('AccessDenied');
    expect((await read()).metadata.finalizers).toBeUndefined();
    await cluster.client.delete(MODEL_DEPLOYMENTS, { namespace: cluster.namespace, name: NAME });
    expect(await cluster.get(MODEL_DEPLOYMENTS, NAME)).toBeUndefined();
  });
});

describe('a rolling update', () => {
  test('replaces the pods without ever having fewer ready ones, or more than the surge allows', async () => {
    startOperator();
    await create({ model: model('1'), replicas: 4 });
    const before = await untilReady();
    cluster.forgetExtremes();
    await change({ model: model('2') });
    const { status } = await until(
      'the new model',
      (object) => isReady(object) && object.status?.model?.sha256 === digest('2'),
    );
    expect(status?.stable?.revision).not.toBe(before.status?.stable?.revision);
    expect(status?.canary).toBeUndefined();
    expect((await running()).map(served)).toEqual([digest('2')]);
    expect(cluster.extremes.leastReady).toBeGreaterThanOrEqual(4);
    expect(cluster.extremes.mostPods).toBeLessThanOrEqual(5);
  });

  test('leaves the old revision serving while the new one is broken, says why, and goes back when told', async () => {
    startOperator();
    await create({ model: model('1'), replicas: 3 });
    const before = await untilReady();
    cluster.play = {
      ...cluster.play,
      pod: (each) => (served(each) === digest('2') ? loadFails('DigestMismatch') : 'ready'),
    };
    cluster.forgetExtremes();
    await change({ model: model('2') });
    const broken = await untilReason('DigestMismatch');
    expect(broken.status).toMatchObject({
      phase: 'Failed',
      stable: { revision: before.status?.stable?.revision, ready: 3 },
      canary: { ready: 0, weight: 0 },
    });
    expect(conditionOf(broken, 'Available')?.status).toBe('True');
    expect(conditionOf(broken, 'Verified')?.status).toBe('False');
    expect(conditionOf(broken, 'Ready')?.message).toContain('serves on with 3 pods');
    expect(cluster.extremes.leastReady).toBe(3);
    await change({ model: model('1') });
    const after = await untilReady();
    expect(after.status?.stable?.revision).toBe(before.status?.stable?.revision);
    expect((await running()).map(served)).toEqual([digest('1')]);
  });

  test('goes straight to the last of several changes, and keeps no more than two revisions without pods', async () => {
    startOperator();
    await create({ model: model('1'), replicas: 2 });
    await untilReady();
    cluster.forgetExtremes();
    for (const digit of ['2', '3', '4', '5']) await change({ model: model(digit) });
    await until('the last model', (object) => isReady(object) && object.status?.model?.sha256 === digest('5'));
    expect((await running()).map(served)).toEqual([digest('5')]);
    expect(cluster.extremes.leastReady).toBeGreaterThanOrEqual(2);
    await eventually('surplus revisions are gone', async () => (await deployments()).length <= 3);
  });

  test('makes no new revision of another count, and follows it both ways down to zero', async () => {
    startOperator();
    await create({ model: model('1'), replicas: 1 });
    await untilReady();
    expect(await cluster.list(DISRUPTION_BUDGETS)).toEqual([]);
    await change({ replicas: 3 });
    await until('three pods', (object) => isReady(object) && object.status?.replicas === 3);
    await change({ replicas: 0 });
    const none = await until('no pods', (object) => isReady(object) && object.status?.replicas === 0);
    expect(conditionOf(none, 'Available')).toMatchObject({ status: 'False', reason: 'ScaledToZero' });
    expect(await deployments()).toHaveLength(1);
  });
});

test('Recreate ends every old pod before it starts a new one', async () => {
  startOperator();
  await create({ model: model('1'), replicas: 3, rollout: { strategy: 'Recreate' } });
  await untilReady();
  cluster.forgetExtremes();
  await change({ model: model('2') });
  await until('the new model', (object) => isReady(object) && object.status?.model?.sha256 === digest('2'));
  expect(cluster.extremes.leastReady).toBe(0);
  expect(cluster.extremes.mostPods).toBeLessThanOrEqual(3);
});

describe('a model without a digest', () => {
  const told = (digit: string) => ({
    succeeds: true,
    message: JSON.stringify({ sha256: digest(digit), sizeBytes: 5 }),
  });
  const uri = 's3://models/churn/latest/';

  test('is resolved once by a Job before its revision exists, and the Job goes', async () => {
    cluster.play = { ...cluster.play, job: () => told('7') };
    startOperator();
    await create({ model: { uri }, replicas: 1 });
    const { status } = await untilReady();
    expect(status?.model).toEqual({ uri, sha256: digest('7') });
    await eventually('the Job is gone', async () => (await cluster.list(JOBS)).length === 0);
    // The pods change and the model does not: nothing is resolved again.
    cluster.play = { ...cluster.play, job: () => told('8') };
    await change({ resources: { requests: { cpu: '2' } } });
    await until('the new resources', isReady);
    expect((await deployments()).map(served)).toEqual([digest('7'), digest('7')]);
  });

  test('that cannot be had is named, tried again by a new Job, and heals', async () => {
    const clock = fastClock(40);
    await cluster.stop();
    cluster = new PlayedCluster(
      kubeconfig,
      {
        pod: () => 'ready',
        job: () => ({ succeeds: false, message: '{"reason":"ModelNotFound","message":"s3 answered 404"}' }),
      },
      clock,
    );
    await cluster.start();
    startOperator({ clock });
    await create({ model: { uri } });
    const { status } = await untilReason('ModelNotFound');
    expect(status?.phase).toBe('Failed');
    expect(status?.rollout?.message).toContain('s3 answered 404');
    await until('a second attempt', (object) => object.status?.rollout?.message?.includes('attempt 2') === true);
    expect((await cluster.list(JOBS)).length).toBeLessThanOrEqual(2);
    cluster.play = { ...cluster.play, job: () => told('7') };
    await untilReady();
  });

  test('keeps the old revision serving while it is looked for, and asks anew at once when the spec changes', async () => {
    cluster.play = {
      ...cluster.play,
      job: () => ({ succeeds: false, message: '{"reason":"AccessDenied","message":"403"}' }),
    };
    startOperator();
    await create({ model: model('1'), replicas: 2 });
    await untilReady();
    await change({ model: { uri, sha256: null } });
    const denied = await untilReason('AccessDenied');
    expect(conditionOf(denied, 'Available')?.status).toBe('True');
    expect(denied.status?.stable).toMatchObject({ ready: 2 });
    cluster.play = { ...cluster.play, job: () => told('7') };
    await change({ model: { credentialsRef: { name: 's3' } } });
    await until('the new model', (object) => isReady(object) && object.status?.model?.sha256 === digest('7'));
  });
});

describe('a model of the registry', () => {
  const addVersion = (version: string) =>
    cluster.client.create(
      MODEL_VERSIONS,
      manifest('ModelVersion', `churn-${version}`, { model: 'churn', version, ...model(version) }),
    );
  const ref = { model: { ref: { model: 'churn', alias: 'champion' } } };

  test('is named when it is missing, and rolls out when its alias moves', async () => {
    startOperator();
    await create(ref);
    expect(conditionOf(await untilReason('ModelNotFound'), 'Ready')?.message).toContain('Model churn does not exist');
    await cluster.client.create(MODELS, manifest('Model', 'churn', { aliases: { champion: '1' } }));
    await until(
      'the missing version is named',
      (object) => conditionOf(object, 'Ready')?.message.includes('version 1 of Model churn') === true,
    );
    await addVersion('1');
    const first = await untilReady();
    expect(first.status).toMatchObject({
      model: { version: '1' },
      stable: { version: '1' },
      summary: { model: 'churn@1' },
    });
    await addVersion('2');
    await cluster.client.mergePatch(
      MODELS,
      { namespace: cluster.namespace, name: 'churn' },
      { spec: { aliases: { champion: '2' } } },
    );
    await until('version 2', (object) => isReady(object) && object.status?.model?.version === '2');
  });

  test('that is deleted serves on with its pinned bytes, and status says so', async () => {
    startOperator();
    await cluster.client.create(MODELS, manifest('Model', 'churn', { aliases: { champion: '1' } }));
    await addVersion('1');
    await create(ref);
    await untilReady();
    await cluster.client.delete(MODEL_VERSIONS, { namespace: cluster.namespace, name: 'churn-1' });
    const gone = await untilReason('ModelGone');
    expect(gone.status).toMatchObject({ phase: 'Ready', model: { sha256: digest('1') } });
    await change({ replicas: 2 });
    await until('two pods', (object) => object.status?.readyReplicas === 2);
    await cluster.client.delete(MODEL_DEPLOYMENTS, { namespace: cluster.namespace, name: NAME });
    expect(await cluster.get(MODEL_DEPLOYMENTS, NAME)).toBeUndefined();
  });
});

describe('with an autoscaler', () => {
  const spec = (digit: string) => ({
    model: model(digit),
    autoscaling: { minReplicas: 2, maxReplicas: 10 },
    resources: { requests: { cpu: '1', memory: '1Gi' } },
  });
  test('the operator writes no replicas, and a rollout keeps the count that the autoscaler had chosen', async () => {
    const operator = startOperator();
    await create(spec('1'));
    const first = await untilReady();
    const revision = first.status?.stable?.revision ?? '';
    const name = { namespace: cluster.namespace, name: revision };
    await cluster.client.updateScale(DEPLOYMENTS, name, 5);
    await until('five pods', (object) => object.status?.readyReplicas === 5);
    await atRest(operator);
    operator.forgetCalls();
    await cluster.client.mergePatch(
      MODEL_DEPLOYMENTS,
      { namespace: cluster.namespace, name: NAME },
      { metadata: { annotations: { touched: 'yes' } } },
    );
    await atRest(operator);
    expect((await cluster.get(DEPLOYMENTS, revision))?.spec?.replicas).toBe(5);
    cluster.forgetExtremes();
    await change({ model: model('2') });
    await until('the new model', (object) => isReady(object) && object.status?.model?.sha256 === digest('2'));
    expect(cluster.extremes.leastReady).toBeGreaterThanOrEqual(5);
    expect(cluster.extremes.mostPods).toBeLessThanOrEqual(7);
    expect((await running()).map(({ spec: is }) => is?.replicas)).toEqual([5]);
    await eventually('one autoscaler with the bounds of the spec is left', async () => {
      const hpas = await cluster.list(AUTOSCALERS);
      return hpas.length === 1 && hpas[0]?.spec?.minReplicas === 2 && hpas[0].spec.maxReplicas === 10;
    });
  });

  test('can be given up for a fixed count, and taken again', async () => {
    startOperator();
    await create(spec('1'));
    await untilReady();
    await change({ autoscaling: null, replicas: 3 });
    await until('three pods', (object) => isReady(object) && object.status?.replicas === 3);
    expect(await cluster.list(AUTOSCALERS)).toEqual([]);
    await change({ autoscaling: { minReplicas: 2, maxReplicas: 4, cpu: 50 }, replicas: null });
    await eventually('the autoscaler is back', async () => (await cluster.list(AUTOSCALERS)).length === 1);
    await until('three pods still', (object) => isReady(object) && object.status?.replicas === 3);
  });
});

describe('what the cluster refuses', () => {
  test('a foreign object of a name that is needed is named and left as it is, and its going heals', async () => {
    const clock = fastClock(40);
    const foreign = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: NAME, namespace: cluster.namespace, labels: { team: 'other' } },
      spec: { ports: [{ port: 80 }], selector: { app: 'other' } },
    };
    const before = await cluster.client.create(SERVICES, foreign as Manifest);
    startOperator({ clock });
    await create({ model: model('1') });
    const refused = await untilReason('NameConflict', 'Accepted');
    expect(conditionOf(refused, 'Accepted')?.message).toContain(`services ${cluster.namespace}/churn already exists`);
    expect(refused.status?.phase).toBe('Failed');
    expect((await cluster.get(SERVICES, NAME))?.metadata.resourceVersion).toBe(before.metadata.resourceVersion);
    await cluster.client.delete(SERVICES, { namespace: cluster.namespace, name: NAME });
    await untilReady();
  });

  test('a foreign ServiceAccount is not adopted, though nothing in it differs from what is wanted', async () => {
    await cluster.client.create(SERVICE_ACCOUNTS, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: NAME, namespace: cluster.namespace },
    });
    startOperator();
    await create({ model: model('1') });
    await untilReason('NameConflict', 'Accepted');
    expect((await cluster.get(SERVICE_ACCOUNTS, NAME))?.metadata.ownerReferences).toBeUndefined();
  });

  test('pods that Kubernetes finds invalid are refused in its own words', async () => {
    startOperator();
    await create({ model: model('1'), pod: { tolerations: [{ operator: 'Exists', value: 'x', key: 'a' }] } });
    const refused = await untilReason('InvalidSpec', 'Accepted');
    expect(conditionOf(refused, 'Accepted')?.message).toContain('tolerations');
  });

  test('a URI that the schema lets through and a claim cannot have is refused', async () => {
    startOperator();
    await create({ model: { uri: 'pvc://My_Claim/x', sha256: digest('1') } });
    await untilReason('InvalidModelUri', 'Accepted');
  });

  test('a quota that refuses pods is told with its numbers', async () => {
    const message = 'pods "churn-x" is forbidden: exceeded quota: gpu, requested: gpu=1, used: gpu=4, limited: gpu=4';
    cluster.play = { ...cluster.play, refusal: () => message };
    startOperator();
    await create({ model: model('1') });
    const refused = await untilReason('QuotaExceeded', 'CapacityAvailable');
    expect(conditionOf(refused, 'CapacityAvailable')?.message).toContain('used: gpu=4, limited: gpu=4');
    expect(refused.status?.phase).toBe('Pending');
  });

  test('a ServiceAccount of the user that does not exist is named', async () => {
    startOperator();
    cluster.play = { ...cluster.play, refusal: () => 'pods "churn-x" is forbidden: error looking up service account' };
    await create({ model: model('1'), pod: { serviceAccountName: 'nobody' } });
    await untilReason('ServiceAccountNotFound');
  });
});

describe('an upgrade of Fairlead', () => {
  test('re-rolls nothing, and only new revisions run its image', async () => {
    const image = (deployment: Deployment) => deployment.spec?.template?.spec?.containers?.[0]?.image;
    const old = startOperator({ serverImage: 'example.com/fairlead:1' });
    await create({ model: model('1'), replicas: 2 });
    await untilReady();
    await atRest(old);
    await stopOperator(old);
    const upgraded = startOperator({ serverImage: 'example.com/fairlead:2' });
    await eventually('the upgraded operator is at rest', () => upgraded.manager.hasSynced && upgraded.manager.isIdle);
    expect(upgraded.writes).toEqual([]);
    await change({ model: model('2') });
    await until('the new model', (object) => isReady(object) && object.status?.model?.sha256 === digest('2'));
    const images = new Map((await deployments()).map((each) => [served(each), image(each)]));
    expect(images).toEqual(
      new Map([
        [digest('1'), 'example.com/fairlead:1'],
        [digest('2'), 'example.com/fairlead:2'],
      ]),
    );
  });

  test("puts back what someone else changed in a revision's pods", async () => {
    startOperator();
    await create({ model: model('1') });
    const { status } = await untilReady();
    const name = { namespace: cluster.namespace, name: status?.stable?.revision ?? '' };
    const patch = [{ op: 'replace', path: '/spec/template/spec/terminationGracePeriodSeconds', value: 1 }] as const;
    await cluster.client.jsonPatch(DEPLOYMENTS, name, patch);
    await eventually('it is put back', async () => {
      const live = (await cluster.get(DEPLOYMENTS, name.name)) as Deployment & {
        spec: { template: { spec: { terminationGracePeriodSeconds: number } } };
      };
      return live.spec.template.spec.terminationGracePeriodSeconds === 60;
    });
  });
});

test('the API server refuses what the schema can say, before any controller sees it', async () => {
  await expect(create({ model: { uri: 'ftp://x/y' } })).rejects.toThrow(ApiError);
});
