import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dump, load } from 'js-yaml';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { ownKubeconfig } from '../../e2e/cluster/own-control-plane.ts';
import { CONFIG } from '../api/install/manifests.ts';
import { REGISTRY_NAME } from '../api/names.ts';
import type { RegistryConfig } from '../api/registry-answers.ts';
import { bindingName } from '../controllers/namespaces.ts';
import { ASKER_LABEL } from '../controllers/registry-asker/asker.ts';
import { CONFIG_MAPS, DEPLOYMENTS, ROLE_BINDINGS } from '../controllers/resources.ts';
import { digest, isReady, tenants } from '../controllers/testing/tenant.ts';
import { MlflowRegistry } from '../integrations/mlflow.ts';
import type { Manifest } from '../runtime/api-client.ts';
import { systemClock } from '../runtime/clock.ts';
import { AuditedCluster, eventually, silentLogger } from '../runtime/testing/cluster.ts';
import { defineResource } from '../runtime/types.ts';
import { Asking } from './asking.ts';

/** The whole way of a moved alias: a tracking server, who asks it with the one right it has, the operator, the status. */

const kubeconfig = ownKubeconfig();
const tenant = tenants(kubeconfig, { beforeEach, afterEach });
const CLUSTER_ROLES = defineResource({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  kind: 'ClusterRole',
  plural: 'clusterroles',
  namespaced: false,
});

let champion = '1';
const mlflow = createServer((request, response) => {
  const url = new URL(request.url ?? '', 'http://mlflow');
  const version = url.searchParams.get('version') ?? '';
  const answers: Readonly<Record<string, object>> = {
    'registered-models/get': { registered_model: { aliases: [{ alias: 'champion', version: champion }] } },
    'model-versions/get': { model_version: { version, status: 'READY' } },
    'model-versions/get-download-uri': { artifact_uri: `mlflow-artifacts:/0/models/m-${version}/artifacts` },
  };
  response.end(JSON.stringify(answers[url.pathname.replace('/api/2.0/mlflow/', '')] ?? {}));
});
let folder: string;
let admin: AuditedCluster;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fairlead-registry-'));
  admin = new AuditedCluster(kubeconfig);
  const role = load(await readFile(join(CONFIG, 'rbac/registry-role.yaml'), 'utf8')) as Manifest;
  await admin.client.apply(CLUSTER_ROLES, role, true);
  await new Promise<void>((resolve) => mlflow.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  await admin.client.delete(CLUSTER_ROLES, { name: REGISTRY_NAME });
  await admin.close();
  mlflow.closeAllConnections();
  mlflow.close();
  await rm(folder, { recursive: true, force: true });
});

interface UserConfig {
  readonly users: readonly { readonly user: { as?: string } }[];
}

/** A cluster as a ServiceAccount of the namespace knows it. */
async function asAccount(name: string): Promise<AuditedCluster> {
  const config = load(await readFile(kubeconfig, 'utf8')) as UserConfig;
  for (const { user } of config.users) user.as = `system:serviceaccount:${tenant().cluster.namespace}:${name}`;
  const path = join(folder, `${name}.kubeconfig`);
  await writeFile(path, dump(config));
  return new AuditedCluster(path);
}

async function askerConfig(): Promise<RegistryConfig> {
  const isAsker = ({ metadata }: { readonly metadata: { readonly labels?: Readonly<Record<string, string>> } }) =>
    metadata.labels?.[ASKER_LABEL] !== undefined;
  await eventually('somebody is to ask', async () => (await tenant().cluster.list(DEPLOYMENTS)).some(isAsker));
  const [text] = (await tenant().cluster.list(DEPLOYMENTS)).filter(isAsker).map((each) => JSON.stringify(each));
  const [, value] = /"name":"FAIRLEAD_REGISTRY_CONFIG","value":("(?:[^"\\]|\\.)*")/.exec(text ?? '') ?? [];
  return JSON.parse(JSON.parse(value ?? '""') as string) as RegistryConfig;
}

test('an alias that moves at the tracking server is seen by the operator, by way of one right', async () => {
  const endpoint = `http://127.0.0.1:${(mlflow.address() as AddressInfo).port}`;
  tenant().play({ job: () => ({ succeeds: true, message: JSON.stringify({ sha256: digest('7'), sizeBytes: 5 }) }) });
  tenant().startOperator();
  await tenant().create({ model: { uri: 'models:/churn@champion', endpoint } });
  const config = await askerConfig();
  const { namespace } = tenant().cluster;
  const binding = bindingName(REGISTRY_NAME, { kind: 'ClusterRole', name: REGISTRY_NAME });
  await eventually('it has its right', async () => (await tenant().cluster.get(ROLE_BINDINGS, binding)) !== undefined);

  const account = await asAccount(REGISTRY_NAME);
  const { client } = account;
  const asking = new Asking({
    config,
    registry: new MlflowRegistry({
      endpoint: config.endpoint,
      credentials: {},
      timeoutMs: 5_000,
      fetch: globalThis.fetch,
      signal: new AbortController().signal,
    }),
    publish: async (data) => {
      await client.mergePatch(CONFIG_MAPS, { namespace, name: REGISTRY_NAME }, { data });
    },
    clock: systemClock,
    random: () => 0.5,
    logger: silentLogger,
  });
  // RBAC follows a new RoleBinding within moments; in a pod the next round comes by itself.
  const asked = () =>
    asking.round().then(
      () => true,
      () => false,
    );
  await eventually('it is answered', asked);
  const first = await tenant().until('version 1', (object) => isReady(object) && object.status?.model?.version === '1');
  expect(first.status?.model?.uri).toBe('mlflow-artifacts:///0/models/m-1/artifacts');

  champion = '2';
  await asking.round();
  const second = await tenant().until(
    'version 2',
    (object) => isReady(object) && object.status?.model?.version === '2',
  );
  expect(second.metadata.generation).toBe(first.metadata.generation);

  await expect(client.get(CONFIG_MAPS, { namespace, name: REGISTRY_NAME })).rejects.toMatchObject({
    isForbidden: true,
  });
  await expect(client.mergePatch(CONFIG_MAPS, { namespace, name: 'churn-route' }, { data: {} })).rejects.toMatchObject({
    isForbidden: true,
  });
  await account.close();
});
