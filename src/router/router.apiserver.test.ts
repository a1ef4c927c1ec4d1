import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import Value from 'typebox/value';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest';
import { type ControlPlane, startControlPlane } from '../../e2e/cluster/control-plane.ts';
import { freePort, freePorts } from '../../e2e/cluster/free-port.ts';
import { CountsSnapshot } from '../api/counts.ts';
import { ANNOTATIONS, LABELS } from '../api/names.ts';
import { ROUTE_KEY, type Route } from '../api/route.ts';
import { LEASES, type Lease } from '../runtime/kubernetes-resources.ts';
import { AuditedCluster, CONFIG_MAPS, configMap, eventually } from '../runtime/testing/cluster.ts';
import { NamedPod } from '../serving/testing/named-pod.ts';
import { ENDPOINT_SLICES, SERVICE_NAME_LABEL } from './endpoint-slices.ts';
import { POD_ADDRESS, type RouterFlags, RouterUnderTest } from './testing/router-under-test.ts';

/** A control plane of its own: these tests stop it. */
let plane: ControlPlane;
let cluster: AuditedCluster;
let namespace: string;
let stateDir: string;
let port: number;
let pods: readonly NamedPod[];
let routers: RouterUnderTest[];

beforeAll(async () => {
  plane = await startControlPlane();
  cluster = new AuditedCluster(plane.kubeconfigPath);
});
afterAll(async () => {
  await cluster.close();
  await plane.stop();
});
beforeEach(async () => {
  routers = [];
  namespace = await cluster.createNamespace();
  stateDir = await stateDirectory();
  port = await freePort();
  pods = [await NamedPod.start('old', POD_ADDRESS), await NamedPod.start('new', POD_ADDRESS)];
  for (const revision of ['old', 'new']) await createSlice(revision);
});
afterEach(async () => {
  await Promise.all(routers.map((router) => router.kill()));
  for (const pod of pods) pod.kill();
});

/** Deleted with the test, once its routers are gone. */
async function stateDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'fairlead-router-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

function start(options: Partial<RouterFlags> = {}): RouterUnderTest {
  const flags = {
    program: inject('program'),
    kubeconfig: plane.kubeconfigPath,
    namespace,
    stateDir,
    podName: 'router-1',
    ...options,
  };
  const router = new RouterUnderTest(flags);
  routers.push(router);
  return router;
}

async function createSlice(revision: string): Promise<void> {
  await cluster.client.create(ENDPOINT_SLICES, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      namespace,
      name: `${revision}-x`,
      labels: { [SERVICE_NAME_LABEL]: revision, [LABELS.revision]: revision },
    },
    addressType: 'IPv4',
    endpoints: [{ addresses: [POD_ADDRESS], conditions: { ready: true } }],
  });
}

function route(generation: number, weightOfNew: number, modelDeployment = 'churn', at = port): Record<string, string> {
  const backend = (revision: string, weight: number, index: number) => ({
    revision,
    weight,
    ports: { http: pods[index]?.port ?? 0 },
  });
  const whole: Route = {
    generation,
    modelDeployment,
    ports: { http: at },
    backends: [backend('new', weightOfNew, 1), backend('old', 100 - weightOfNew, 0)],
    limits: { maxBodyBytes: 1_000, maxQueue: 10, maxInFlight: 10, timeoutMs: 30_000 },
  };
  return { [ROUTE_KEY]: JSON.stringify(whole) };
}

const createRoute = (data: Record<string, string>, name = 'churn') =>
  cluster.client.create(CONFIG_MAPS, configMap(namespace, `${name}-route`, data, { [LABELS.route]: 'true' }));
const changeRoute = (data: Record<string, string>, name = 'churn') =>
  cluster.client.mergePatch(CONFIG_MAPS, { namespace, name: `${name}-route` }, { data });

async function ask(at = `127.0.0.1:${port}`): Promise<string> {
  const response = await fetch(`http://${at}/predict`);
  return await response.text();
}

const closed = () =>
  ask().then(
    () => false,
    () => true,
  );

async function lease(name = 'router-1'): Promise<Lease> {
  return await cluster.client.get(LEASES, { namespace, name });
}

async function told(annotation: string, name?: string): Promise<unknown> {
  const text = (await lease(name)).metadata.annotations?.[annotation];
  return text === undefined ? undefined : JSON.parse(text);
}

async function acknowledged(generation: number): Promise<void> {
  await eventually(`generation ${generation} is acknowledged`, async () => {
    const applied = (await told(ANNOTATIONS.appliedRoutes).catch(() => undefined)) as
      | Record<string, number>
      | undefined;
    return applied?.churn === generation;
  });
}

describe('a router', () => {
  test('is ready when all routes are in force, and sends where it says as soon as it acknowledged a change', async () => {
    await createRoute(route(1, 0));
    await createRoute(route(1, 0), 'fraud');
    const metrics = await start().ready();
    expect(await (await fetch(`http://127.0.0.1:${metrics}/readyz`)).text()).toBe('ok\n');
    expect(await ask()).toBe('old');
    await acknowledged(1);
    await eventually('the route with a port that is taken is refused', async () => {
      const refused = (await told(ANNOTATIONS.refusedRoutes)) as Readonly<Record<string, string>> | undefined;
      return refused?.fraud?.includes('is that of fraud') === true;
    });

    for (let generation = 2; generation < 12; generation++) {
      await changeRoute(route(generation, generation % 2 === 0 ? 100 : 0));
      await acknowledged(generation);
      expect(await ask()).toBe(generation % 2 === 0 ? 'new' : 'old');
    }

    const { resourceVersion } = (await lease()).metadata;
    for (let request = 0; request < 100; request++) await ask();
    expect((await lease()).metadata.resourceVersion).toBe(resourceVersion);
    const counts = (await (await fetch(`http://127.0.0.1:${metrics}/counts`)).json()) as CountsSnapshot;
    expect(Value.Check(CountsSnapshot, counts)).toBe(true);
    expect(counts.revisions.churn?.old).toMatchObject({ requests: 106, errors: 0 });
    expect(await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text()).toContain(
      'router_requests_total{model_deployment="churn",revision="old",outcome="success"} 106',
    );
  });

  test('is one of several: each follows many routes, and all acknowledge a change of any', async () => {
    const hosts = ['127.0.0.1', '127.0.0.2', '127.0.0.3'];
    const routes = new Map((await freePorts(20)).map((at, index) => [`model-${index}`, at]));
    const names = [...routes.keys()];
    const generations = new Map(names.map((name) => [name, 1]));
    for (const [name, at] of routes) await createRoute(route(1, 0, name, at), name);
    const started = hosts.map(async (host, index) =>
      start({ podName: `router-${index}`, host, stateDir: await stateDirectory() }).ready(),
    );
    await Promise.all(started);
    const areAcknowledged = async () => {
      const told = hosts.map((_, index) => lease(`router-${index}`).catch(() => undefined));
      return (await Promise.all(told)).every((each) => {
        const applied: unknown = JSON.parse(each?.metadata.annotations?.[ANNOTATIONS.appliedRoutes] ?? '{}');
        return isDeepStrictEqual(applied, Object.fromEntries(generations));
      });
    };
    const change = async (name: string, weightOfNew: number) => {
      const generation = (generations.get(name) ?? 0) + 1;
      generations.set(name, generation);
      await changeRoute(route(generation, weightOfNew, name, routes.get(name)), name);
    };
    await eventually('all have all routes', areAcknowledged);

    for (const name of names.slice(0, 10)) {
      await change(name, 100);
      await eventually(`the change of ${name} is acknowledged by all`, areAcknowledged);
      for (const host of hosts) expect(await ask(`${host}:${routes.get(name)}`)).toBe('new');
    }

    await Promise.all(names.map((name, index) => change(name, index < 10 ? 0 : 100)));
    await eventually('the change of all is acknowledged by all', areAcknowledged);
    for (const host of hosts) {
      const answers = await Promise.all([...routes.values()].map((at) => ask(`${host}:${at}`)));
      expect(answers).toEqual(names.map((_, index) => (index < 10 ? 'old' : 'new')));
    }
  });

  test('follows pods as they come and go, and closes the port of a route that is deleted', async () => {
    await createRoute(route(1, 50));
    await start().ready();
    await cluster.client.delete(ENDPOINT_SLICES, { namespace, name: 'new-x' });
    await eventually('nothing goes to pods that are gone', async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => ask()));
      return answers.every((answer) => answer === 'old');
    });
    await cluster.client.delete(CONFIG_MAPS, { namespace, name: 'churn-route' });
    await eventually('the port is closed', closed);
  });

  test('told to stop, it serves on while endpoints follow, leaves its last counts, and ends with 0', async () => {
    await createRoute(route(1, 0));
    const router = start({ drainDelay: '5s' });
    const metrics = await router.ready();
    expect(await ask()).toBe('old');
    await acknowledged(1);
    const stopped = router.stop();
    await router.logged(/^stopping/);
    expect((await fetch(`http://127.0.0.1:${metrics}/readyz`)).status).toBe(503);
    expect(await ask()).toBe('old');
    expect(await stopped).toBe(0);
    expect(await told(ANNOTATIONS.finalCounts)).toMatchObject({
      instance: expect.any(String),
      revisions: { churn: { old: { requests: 2, errors: 0 } } },
    });
  });

  test('serves on without the API server, through its own restart too, and catches up when it is back', async () => {
    await createRoute(route(1, 100));
    const first = start();
    await first.ready();
    await acknowledged(1);
    await plane.killApiServer();
    expect(await ask()).toBe('new');
    await first.kill();
    await expect(ask()).rejects.toThrow();

    const second = start();
    expect(await second.logged(/^ready$/)).toMatchObject({ source: 'what was kept' });
    expect(await ask()).toBe('new');

    await plane.startApiServer();
    await second.logged(/^in step with the API server$/);
    await changeRoute(route(2, 0));
    await acknowledged(2);
    expect(await ask()).toBe('old');
  });

  test('without the API server and with nothing kept it is alive, not ready, and can be stopped', async () => {
    await plane.killApiServer();
    const router = start();
    await router.logged(/^cannot follow/);
    expect(await router.stop()).toBe(0);
    await plane.startApiServer();
  });

  test('a route that was deleted while it was away is not served again for long', async () => {
    await createRoute(route(1, 100));
    const first = start();
    await first.ready();
    await acknowledged(1);
    await first.kill();
    await cluster.client.delete(CONFIG_MAPS, { namespace, name: 'churn-route' });
    await start().ready();
    await eventually('the port is closed', closed);
  });
});
