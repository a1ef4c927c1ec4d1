import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../e2e/cluster/own-control-plane.ts';
import { findCondition } from '../runtime/conditions.ts';
import { eventually } from '../runtime/testing/cluster.ts';
import type { KubeObject, Resource } from '../runtime/types.ts';
import { MODEL_DEPLOYMENTS, MODEL_VERSIONS, MODELS } from './kinds.ts';
import { OperatorUnderTest } from './testing/operator-under-test.ts';
import { PlayedCluster } from './testing/played-cluster.ts';

const kubeconfig = ownKubeconfig();
let cluster: PlayedCluster;
let operator: OperatorUnderTest;

beforeEach(async () => {
  cluster = new PlayedCluster(kubeconfig, { pod: () => 'ready', job: () => undefined });
  await cluster.start();
  operator = new OperatorUnderTest(kubeconfig, { namespace: cluster.namespace });
});
afterEach(async () => {
  await operator.stop();
  await cluster.stop();
});

const create = (resource: Resource, name: string, spec: object) =>
  cluster.client.create(resource, {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: resource.kind,
    metadata: { name, namespace: cluster.namespace },
    spec,
  });
const addVersion = (version: string, name = `churn-${version}`) =>
  create(MODEL_VERSIONS, name, { model: 'churn', version, uri: `s3://m/${version}/`, sha256: version.repeat(64) });

async function until<T extends KubeObject>(
  resource: Resource<T>,
  name: string,
  holds: (object: T) => boolean,
): Promise<T> {
  let object: T | undefined;
  await eventually(`${name} is as expected`, async () => {
    object = await cluster.get(resource, name);
    return object !== undefined && holds(object);
  });
  return object as T;
}

describe('a Model', () => {
  test('tells its versions, the latest of them, and which aliases stand for none', async () => {
    await create(MODELS, 'churn', { aliases: { champion: '1', challenger: '9' } });
    await addVersion('1');
    await until(MODELS, 'churn', ({ status }) => status?.latest === '1');
    await addVersion('2');
    const { status } = await until(MODELS, 'churn', (model) => model.status?.versions === 2);
    const resolved = findCondition(status?.conditions, 'AliasesResolved');
    expect(resolved).toMatchObject({ status: 'False', reason: 'VersionNotFound' });
    expect(resolved?.message).toContain('challenger (9)');
  });
});

describe('a ModelVersion', () => {
  test('tells its aliases and what serves it, as both move', async () => {
    await create(MODELS, 'churn', { aliases: { champion: '1' } });
    await addVersion('1');
    await addVersion('2');
    await create(MODEL_DEPLOYMENTS, 'shop', { model: { ref: { model: 'churn', alias: 'champion' } } });
    const serves = ({ status }: { status?: { servedBy?: readonly { name: string }[] } }) =>
      status?.servedBy?.some(({ name }) => name === 'shop') === true;
    const first = await until(MODEL_VERSIONS, 'churn-1', serves);
    expect(first.status).toMatchObject({
      aliases: ['champion'],
      servedBy: [{ kind: 'ModelDeployment', name: 'shop' }],
    });
    await cluster.client.mergePatch(
      MODELS,
      { namespace: cluster.namespace, name: 'churn' },
      { spec: { aliases: { champion: '2' } } },
    );
    await until(MODEL_VERSIONS, 'churn-2', serves);
    await until(MODEL_VERSIONS, 'churn-1', (version) => !serves(version) && version.status?.aliases?.length === 0);
  });

  test('that claims the version of another says so, and the first stays the one that is meant', async () => {
    await addVersion('1', 'a-first');
    await until(MODEL_VERSIONS, 'a-first', ({ status }) => status !== undefined);
    await create(MODEL_VERSIONS, 'b-second', {
      model: 'churn',
      version: '1',
      uri: 's3://elsewhere/x',
      sha256: 'f'.repeat(64),
    });
    await until(
      MODEL_VERSIONS,
      'b-second',
      ({ status }) => findCondition(status?.conditions, 'Accepted')?.reason === 'DuplicateVersion',
    );
    await create(MODEL_DEPLOYMENTS, 'shop', { model: { ref: { model: 'churn', version: '1' } } });
    await until(MODEL_DEPLOYMENTS, 'shop', ({ status }) => status?.model?.sha256 === '1'.repeat(64));
  });
});
