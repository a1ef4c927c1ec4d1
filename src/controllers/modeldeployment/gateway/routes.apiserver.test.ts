import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { command } from '../../../../e2e/cluster/command.ts';
import { ensureKubernetes } from '../../../../e2e/cluster/kubernetes.ts';
import { ownKubeconfig } from '../../../../e2e/cluster/own-control-plane.ts';
import { untilEstablished } from '../../../../e2e/cluster/wait.ts';
import { gatewayApiCrds } from '../../../../e2e/services/gateway-api.ts';
import type { Route } from '../../../api/route.ts';
import { ApiError } from '../../../runtime/api-error.ts';
import { Applier } from '../../../runtime/apply.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { Informers } from '../../../runtime/informers.ts';
import { AuditedCluster, eventually, silentLogger } from '../../../runtime/testing/cluster.ts';
import { OWNER } from '../../testing/spec.ts';
import type { Owner } from '../children.ts';
import { schemaRefusal } from './refusal.ts';
import { type GatewayRoute, GRPC_ROUTES, HTTP_ROUTES, watchGrpcRoutes, watchHttpRoutes } from './resources.ts';
import { desiredGrpcRoute, desiredHttpRoute } from './routes.ts';
import { splitOfRoute } from './split.ts';

/** A first run on a machine fetches the CRDs. */
const WITH_DOWNLOAD_MS = 300_000;
const kubeconfig = ownKubeconfig();
let user: AuditedCluster;
let namespace: string;
let kubectl: (...args: string[]) => Promise<string>;

const files = async (release: 'current' | 'old') => {
  const directory = await gatewayApiCrds(release);
  const names = (await readdir(directory)).filter((file) => file.includes('routes'));
  return names.flatMap((file) => ['-f', join(directory, file)]);
};
const install = async (release: 'current' | 'old' = 'current') => {
  const definitions = await files(release);
  await kubectl('apply', '--server-side', '--force-conflicts', ...definitions);
  await untilEstablished((...args) => kubectl(...args, ...definitions));
};
// The API server takes its time to be rid of definitions.
const uninstall = async () => kubectl('delete', '--ignore-not-found', '--timeout=240s', ...(await files('current')));

beforeAll(async () => {
  const programs = await ensureKubernetes(() => undefined);
  kubectl = (...args) => command(programs('kubectl'), ['--kubeconfig', kubeconfig, ...args]);
  user = new AuditedCluster(kubeconfig, {}, 'fairlead');
}, WITH_DOWNLOAD_MS);
afterAll(async () => {
  await uninstall();
  await user.close();
}, WITH_DOWNLOAD_MS);
beforeEach(async () => {
  namespace = await user.createNamespace();
});

const ports = { http: 8080, grpc: 9000 };
const route = (weight: number, change: Partial<Route> = {}): Route => ({
  generation: 1,
  modelDeployment: 'churn',
  ports: { http: 10_000 },
  backends: [
    { revision: 'churn-b', weight, ports },
    { revision: 'churn-a', weight: 100 - weight, ports },
  ],
  limits: { maxBodyBytes: 1, maxQueue: 1, maxInFlight: 1, timeoutMs: 1 },
  ...change,
});
const gateway = {
  name: 'public',
  sectionName: 'http',
  hostnames: ['churn.example.com'],
  grpc: { sectionName: 'grpc' },
};
const owner = (): Owner => ({ ...OWNER, namespace });
const mirrored = (percent: number) => route(0, { mirror: { revision: 'churn-b', percent, tolerance: 0 } });

/** Applies as the operator does, by a cache that knows what was written before. */
function operator() {
  const live = new Map<string, GatewayRoute>();
  const cache = {
    get: (key: string) => live.get(key),
    observe: (object: GatewayRoute) => {
      live.set(`${object.metadata.namespace}/${object.metadata.name}`, object);
      return object;
    },
  };
  const applier = new Applier(user.client, 'fairlead.dev/applied');
  return async (split: Route) =>
    await applier.apply(HTTP_ROUTES, desiredHttpRoute(owner(), gateway, splitOfRoute(split)), cache, silentLogger);
}
const rulesOf = async () => {
  const found = await user.client.get(HTTP_ROUTES, { namespace, name: 'churn' });
  return (found as { spec?: { rules?: { backendRefs: { name: string; weight: number }[]; filters?: object[] }[] } })
    .spec?.rules;
};

describe('with the CRDs of the Gateway API', () => {
  beforeAll(() => install(), WITH_DOWNLOAD_MS);

  test.each<[string, Route]>([
    ['weights', route(10)],
    ['the last weight', route(100)],
    ['headers', route(10, { match: [{ name: 'x-tester', value: 'yes', revision: 'churn-b' }] })],
    ['a mirror by a whole percentage', mirrored(10)],
    ['a mirror by a fraction', mirrored(0.5)],
    ['a mirror of all', mirrored(100)],
    [
      'as many matches as there may be',
      route(50, {
        match: Array.from({ length: 15 }, (_, index) => ({ name: 'x', value: `${index}`, revision: 'churn-b' })),
      }),
    ],
  ])('the API server admits routes with %s', async (_title, split) => {
    await operator()(split);
    const grpc = desiredGrpcRoute(owner(), gateway, splitOfRoute(split));
    expect(grpc).toBeDefined();
    const manifest = {
      ...grpc,
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'GRPCRoute',
      metadata: grpc?.metadata,
    };
    await user.client.apply(GRPC_ROUTES, manifest as never, true);
  });

  test('a route follows a canary from weight to weight, and is not written when nothing changed', async () => {
    const apply = operator();
    const seen: (number | undefined)[] = [];
    for (const weight of [10, 25, 50, 100]) {
      await apply(route(weight));
      const [rule] = (await rulesOf()) ?? [];
      seen.push(rule?.backendRefs.find(({ name }) => name === 'churn-b')?.weight);
    }
    expect(seen).toEqual([10, 25, 50, 1]);
    user.forgetCalls();
    await apply(route(100));
    expect(user.calls).toEqual([]);
  });
});

describe('with the CRDs of a release that knows no mirror by percentage', () => {
  beforeAll(async () => {
    await uninstall();
    await install('old');
  }, WITH_DOWNLOAD_MS);

  test('weights work, and a mirror that would be of all requests is refused with what to install', async () => {
    const apply = operator();
    await apply(route(10));
    const refused: unknown = await apply(mirrored(10)).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ApiError);
    expect(schemaRefusal(refused as ApiError)).toMatchObject({
      reason: 'GatewayApiMissing',
      message: expect.stringMatching(/percent.*install the CRDs of the Gateway API/),
    });
    expect((await rulesOf())?.[0]?.filters).toBeUndefined();
  });
});

describe('without the CRDs', () => {
  const stop = new AbortController();
  afterEach(() => stop.abort());

  test('the caches are in sync all the same, and follow routes once they are installed', async () => {
    await uninstall();
    const options = { client: user.client, namespaces: [namespace], clock: systemClock, random: Math.random };
    const informers = new Informers([watchHttpRoutes, watchGrpcRoutes], { ...options, logger: silentLogger });
    for (const informer of informers.all()) informer.start(stop.signal);
    await eventually('the caches are in sync', () => informers.hasSynced);
    expect(informers.isInstalled(HTTP_ROUTES)).toBe(false);
    await install();
    await operator()(route(10));
    await eventually(
      'the route is seen',
      () => informers.isInstalled(HTTP_ROUTES) && informers.list(HTTP_ROUTES).length > 0,
    );
    expect(informers.list(HTTP_ROUTES, namespace).map(({ metadata }) => metadata.name)).toEqual(['churn']);
    await uninstall();
    await eventually('they are gone again', () => !informers.isInstalled(HTTP_ROUTES));
    expect(informers.list(HTTP_ROUTES, namespace)).toEqual([]);
  }, 600_000);
});
