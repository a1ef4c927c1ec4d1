import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePort } from '../../e2e/cluster/free-port.ts';
import { ownKubeconfig } from '../../e2e/cluster/own-control-plane.ts';
import { ANNOTATIONS, LABELS } from '../api/names.ts';
import { ROUTE_KEY, type Route } from '../api/route.ts';
import { ApiClient } from '../runtime/api-client.ts';
import { ApiError } from '../runtime/api-error.ts';
import { systemClock } from '../runtime/clock.ts';
import { loadKubeConfig } from '../runtime/kube-config.ts';
import { KubeTransport } from '../runtime/kube-transport.ts';
import { LEASES } from '../runtime/kubernetes-resources.ts';
import { PodTransport } from '../runtime/pod-transport.ts';
import { AuditedCluster, CONFIG_MAPS, configMap, eventually, silentLogger } from '../runtime/testing/cluster.ts';
import { defineResource } from '../runtime/types.ts';
import { RouterProcess } from './router-process.ts';

const kubeconfig = ownKubeconfig();
const ROUTER = 'fairlead-router';

const core = { group: '', version: 'v1', namespaced: true };
const rbac = { group: 'rbac.authorization.k8s.io', version: 'v1', namespaced: true };
const SERVICE_ACCOUNTS = defineResource({ ...core, kind: 'ServiceAccount', plural: 'serviceaccounts' });
const PODS = defineResource({ ...core, kind: 'Pod', plural: 'pods' });
const ROLES = defineResource({ ...rbac, kind: 'Role', plural: 'roles' });
const ROLE_BINDINGS = defineResource({ ...rbac, kind: 'RoleBinding', plural: 'rolebindings' });

let cluster: AuditedCluster;
let namespace: string;
let directory: string;
let transport: PodTransport;

beforeEach(async () => {
  cluster = new AuditedCluster(kubeconfig);
  namespace = await cluster.createNamespace();
  directory = await mkdtemp(join(tmpdir(), 'fairlead-rights-'));
  const { client } = cluster;
  const metadata = { namespace, name: ROUTER };
  await client.create(SERVICE_ACCOUNTS, { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  const role = load(await readFile(new URL('../../config/rbac/router-role.yaml', import.meta.url), 'utf8'));
  const { rules } = role as { rules: unknown };
  await client.create(ROLES, { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata, rules });
  await client.create(ROLE_BINDINGS, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata,
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: ROUTER },
    subjects: [{ kind: 'ServiceAccount', name: ROUTER, namespace }],
  });
  const config = loadKubeConfig({ kubeconfig });
  const { server = '', caFile, caData } = config.getCurrentCluster() ?? {};
  const ca = caData === undefined ? await readFile(caFile ?? '') : Buffer.from(caData, 'base64');
  await writeFile(join(directory, 'ca.crt'), ca);
  const { hostname, port } = new URL(server);
  const files = { caFile: join(directory, 'ca.crt'), tokenFile: join(directory, 'token') };
  transport = new PodTransport({ host: hostname, port: Number(port), ...files }, systemClock);
});
afterEach(async () => {
  await transport.close();
  await cluster.close();
  await rm(directory, { recursive: true, force: true });
});

/** A token as the kubelet asks for one. */
async function token(): Promise<string> {
  const admin = new KubeTransport(loadKubeConfig({ kubeconfig }), { clock: systemClock });
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${ROUTER}/token`;
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
  const answer = (await admin.json({ method: 'POST', path, body })) as { status: { token: string } };
  await admin.close();
  return answer.status.token;
}

test('a router needs no more than the rights that are shipped and the token in its pod', async () => {
  await writeFile(join(directory, 'token'), await token());
  const port = await freePort();
  const route: Route = {
    generation: 3,
    modelDeployment: 'churn',
    ports: { http: port },
    backends: [{ revision: 'churn-a', weight: 100, ports: { http: 8080 } }],
    limits: { maxBodyBytes: 1_000, maxQueue: 10, maxInFlight: 10, timeoutMs: 1_000 },
  };
  const data = { [ROUTE_KEY]: JSON.stringify(route) };
  await cluster.client.create(CONFIG_MAPS, configMap(namespace, 'churn-route', data, { [LABELS.route]: 'true' }));
  const pod = await cluster.client.create(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name: 'router-1' },
    spec: { serviceAccountName: ROUTER, containers: [{ name: 'router', image: 'example.com/fairlead:1' }] },
  });
  const router = new RouterProcess({
    client: new ApiClient(transport, 'fairlead'),
    clock: systemClock,
    random: Math.random,
    logger: silentLogger,
    namespace,
    podName: 'router-1',
    podUid: pod.metadata.uid,
    instance: randomUUID(),
    host: '127.0.0.1',
    metricsPort: 0,
    kept: undefined,
    drainDelayMs: 0,
    reportLimitMs: 60_000,
  });
  await router.start();
  const report = async () =>
    await cluster.client.get(LEASES, { namespace, name: 'router-1' }).catch((error: unknown) => {
      if (error instanceof ApiError && error.isNotFound) return undefined;
      throw error;
    });
  await eventually('the route is acknowledged', async () => {
    const text = (await report())?.metadata.annotations?.[ANNOTATIONS.appliedRoutes];
    return text === '{"churn":3}';
  });
  const lease = await report();
  expect(lease?.metadata.labels).toEqual({ [LABELS.routerReport]: 'true' });
  expect(lease?.metadata.ownerReferences).toEqual([
    { apiVersion: 'v1', kind: 'Pod', name: 'router-1', uid: pod.metadata.uid },
  ]);
  expect(await router.stop(new AbortController().signal)).toBe(true);
  expect((await report())?.metadata.annotations).toHaveProperty([ANNOTATIONS.finalCounts]);
});

test('a token that was replaced is read again when the old one is refused', async () => {
  const client = new ApiClient(transport, 'fairlead');
  await writeFile(join(directory, 'token'), 'expired');
  await expect(client.list(CONFIG_MAPS, { namespace })).rejects.toMatchObject({ status: 401 });
  await writeFile(join(directory, 'token'), await token());
  // Who is known may still be refused for a moment: the API server learns of rights by watches.
  await eventually('the list', () =>
    client.list(CONFIG_MAPS, { namespace }).then(
      () => true,
      (error: unknown) => {
        if (error instanceof ApiError && error.isForbidden) return false;
        throw error;
      },
    ),
  );
  await expect(client.list(PODS, { namespace })).rejects.toMatchObject({ status: 403 });
});

test('what cannot be reached is a connection error', async () => {
  await writeFile(join(directory, 'token'), 'any');
  const files = { caFile: join(directory, 'ca.crt'), tokenFile: join(directory, 'token') };
  const nobody = new PodTransport({ host: '127.0.0.1', port: await freePort(), ...files }, systemClock);
  await expect(nobody.json({ method: 'GET', path: '/api' })).rejects.toMatchObject({ name: 'ConnectionError' });
  await nobody.close();
});
