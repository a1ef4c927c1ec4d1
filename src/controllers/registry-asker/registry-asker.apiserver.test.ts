import { afterEach, beforeEach, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { REGISTRY_NAME } from '../../api/names.ts';
import type { RegistryAnswer, RegistryConfig, RegistryFailure } from '../../api/registry-answers.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { bindingName } from '../namespaces.ts';
import { CONFIG_MAPS, DEPLOYMENTS, type Deployment, ROLE_BINDINGS, SERVICE_ACCOUNTS } from '../resources.ts';
import { conditionOf, digest, isReady, NAME, tenants } from '../testing/tenant.ts';
import { ASKER_LABEL } from './asker.ts';

const tenant = tenants(ownKubeconfig(), { beforeEach, afterEach });
const model = { uri: 'models:/churn@champion', endpoint: 'http://mlflow.ml:5000' };
const found = (version: string): RegistryAnswer => ({
  kind: 'found',
  version,
  uri: `s3://mlflow/${version}/artifacts`,
});

const askers = async (): Promise<readonly Deployment[]> =>
  (await tenant().cluster.list(DEPLOYMENTS)).filter(({ metadata }) => metadata.labels?.[ASKER_LABEL] !== undefined);

/** As the API server has it, with what the cache of the operator leaves out. */
interface WholeDeployment extends Deployment {
  readonly spec: { readonly template: { readonly spec: { readonly containers: readonly Container[] } } };
}
interface Container {
  readonly name: string;
  readonly env: readonly { readonly name: string; readonly value: string }[];
}

async function configs(): Promise<readonly RegistryConfig[]> {
  return (await askers()).map((deployment) => {
    const [container] = (deployment as WholeDeployment).spec.template.spec.containers;
    const variable = container?.env.find(({ name }) => name === 'FAIRLEAD_REGISTRY_CONFIG');
    return JSON.parse(variable?.value ?? '') as RegistryConfig;
  });
}

/** What `fairlead registry` does once it was answered. */
async function publish(answer: RegistryAnswer, uri = model.uri): Promise<void> {
  let key: string | undefined;
  await eventually(`${uri} is asked`, async () => {
    const questions = (await configs()).flatMap((config) => config.questions);
    key = questions.find((question) => question.uri === uri)?.key;
    return key !== undefined;
  });
  await write({ [key ?? '']: JSON.stringify(answer) });
}
async function askedConfig(): Promise<RegistryConfig> {
  let config: RegistryConfig | undefined;
  await eventually('somebody asks', async () => {
    [config] = await configs();
    return config !== undefined;
  });
  return config as RegistryConfig;
}

const write = (data: Record<string, string | null>) =>
  tenant().cluster.client.mergePatch(
    CONFIG_MAPS,
    { namespace: tenant().cluster.namespace, name: REGISTRY_NAME },
    { data },
  );

beforeEach(() => {
  tenant().play({ job: () => ({ succeeds: true, message: JSON.stringify({ sha256: digest('7'), sizeBytes: 5 }) }) });
});

test('an alias of an outside registry is followed: it rolls out when it moves, and the spec stays', async () => {
  tenant().startOperator();
  await tenant().create({ model });
  const asking = await tenant().untilReason('AskingRegistry');
  expect(conditionOf(asking, 'Ready')?.message).toBe(
    'http://mlflow.ml:5000 is asked what models:/churn@champion stands for',
  );
  await publish(found('7'));
  const first = await tenant().untilReady();
  expect(first.status).toMatchObject({
    model: { version: '7', uri: 's3://mlflow/7/artifacts', sha256: digest('7') },
    summary: { model: 'churn@7' },
  });
  await publish(found('8'));
  const second = await tenant().until(
    'version 8',
    (object) => isReady(object) && object.status?.model?.version === '8',
  );
  expect(second.metadata.generation).toBe(first.metadata.generation);
  expect(second.spec).toEqual(first.spec);
});

test('an alias that is gone, or a registry that is away, leaves what serves alone and says so', async () => {
  tenant().startOperator();
  await tenant().create({ model });
  await tenant().untilReason('AskingRegistry');
  await publish(found('7'));
  await tenant().untilReady();
  const config = await askedConfig();
  const failure: RegistryFailure = { reason: 'SourceUnreachable', message: 'MLflow at http://mlflow.ml:5000: refused' };
  await write({ [config.failureKey]: JSON.stringify(failure) });
  expect((await tenant().untilReason('RegistryUnreachable')).status).toMatchObject({
    phase: 'Ready',
    model: { version: '7' },
  });
  await write({ [config.failureKey]: null });
  await tenant().untilReason('Serving');
  await publish({ kind: 'missing', message: 'MLflow: model churn has no alias champion; it has none' });
  const gone = await tenant().untilReason('ModelGone');
  expect(gone.status).toMatchObject({ phase: 'Ready', model: { version: '7' } });
  expect(conditionOf(gone, 'Ready')?.message).toContain('has no alias champion');
});

test('a registry that turns the credentials away is named before anything serves', async () => {
  tenant().startOperator();
  await tenant().create({ model });
  await tenant().untilReason('AskingRegistry');
  const config = await askedConfig();
  await write({ [config.failureKey]: JSON.stringify({ reason: 'AccessDenied', message: 'answered 401' }) });
  const denied = await tenant().untilReason('AccessDenied');
  expect(denied.status?.phase).toBe('Failed');
});

test('one pod asks for all of a namespace, with one right, and is gone with the last of them', async () => {
  tenant().startOperator();
  await tenant().create({ model });
  await tenant().create({ model: { ...model, uri: 'models:/fraud/3' } }, 'fraud');
  await eventually('one asks both', async () => {
    const [config, ...others] = await configs();
    return others.length === 0 && config?.questions.length === 2;
  });
  const account = () => tenant().cluster.get(SERVICE_ACCOUNTS, REGISTRY_NAME);
  const role = { kind: 'ClusterRole', name: 'fairlead-registry' } as const;
  const binding = () => tenant().cluster.get(ROLE_BINDINGS, bindingName(REGISTRY_NAME, role));
  await eventually('it has an account', async () => (await account()) !== undefined);
  await eventually('it has a right', async () => (await binding()) !== undefined);
  expect(await binding()).toMatchObject({
    roleRef: role,
    subjects: [{ kind: 'ServiceAccount', name: REGISTRY_NAME }],
  });
  const owners = async () =>
    (await tenant().cluster.get(CONFIG_MAPS, REGISTRY_NAME))?.metadata.ownerReferences?.map(({ name }) => name);
  expect(await owners()).toEqual([NAME, 'fraud']);

  await publish(found('3'), 'models:/fraud/3');
  await tenant().change({ model: { uri: 's3://models/fraud/', endpoint: null } }, 'fraud');
  await eventually('what is no longer asked is forgotten', async () => {
    const { data } = (await tenant().cluster.get(CONFIG_MAPS, REGISTRY_NAME)) ?? {};
    return (await owners())?.join() === NAME && Object.keys(data ?? {}).length === 0;
  });
  await tenant().change({ model: { uri: 's3://models/churn/', endpoint: null } });
  await eventually('nobody asks', async () => (await askers()).length === 0);
  await eventually('nor was asked', async () => (await tenant().cluster.get(CONFIG_MAPS, REGISTRY_NAME)) === undefined);
});
