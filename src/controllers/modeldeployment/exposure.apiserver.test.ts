import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { command } from '../../../e2e/cluster/command.ts';
import { ensureKubernetes } from '../../../e2e/cluster/kubernetes.ts';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { untilEstablished } from '../../../e2e/cluster/wait.ts';
import { gatewayApiCrds } from '../../../e2e/services/gateway-api.ts';
import { LABELS } from '../../api/names.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { SERVICES } from '../resources.ts';
import { PlayedGateway } from '../testing/played-gateway.ts';
import { digest, model, NAME, served, serves, tenants } from '../testing/tenant.ts';
import { INGRESSES } from './exposure/resources.ts';
import { GATEWAYS, GRPC_ROUTES, HTTP_ROUTES } from './gateway/resources.ts';
import { leadOf } from './routing/lead.ts';

/** A first run on a machine fetches the CRDs. */
const WITH_DOWNLOAD_MS = 300_000;
const kubeconfig = ownKubeconfig();
const tenant = tenants(kubeconfig, { beforeEach, afterEach });
let crds: (verb: 'install' | 'uninstall') => Promise<void>;

beforeAll(async () => {
  const programs = await ensureKubernetes(() => undefined);
  const directory = await gatewayApiCrds();
  const files = (await readdir(directory)).flatMap((file) => ['-f', join(directory, file)]);
  const kubectl = (...args: string[]) => command(programs('kubectl'), ['--kubeconfig', kubeconfig, ...args, ...files]);
  crds = async (verb) => {
    // The API server takes its time to be rid of definitions.
    if (verb === 'uninstall') await kubectl('delete', '--ignore-not-found', '--timeout=240s');
    else {
      await kubectl('apply', '--server-side', '--force-conflicts');
      await untilEstablished(kubectl);
    }
  };
  await crds('install');
}, WITH_DOWNLOAD_MS);
afterAll(() => crds('uninstall'), WITH_DOWNLOAD_MS);

let played: PlayedGateway;
beforeEach(() => {
  played = new PlayedGateway(tenant().cluster.client, tenant().cluster.namespace);
});
afterEach(() => played.stop());

const gateway = { name: 'public' };
const traffic = { provider: 'GatewayAPI', expose: { gateway } };
const rollout = {
  strategy: 'Canary',
  steps: [{ smoke: {} }, { weight: 10 }, { weight: 50 }],
  analysis: { metrics: [] },
};
const rulesOf = async () => (await tenant().cluster.list(HTTP_ROUTES)).map((each) => (each as { spec?: unknown }).spec);

describe('a Gateway that splits', () => {
  test('is given the weights of a canary one after the other, and the Service stays with the stable revision', async () => {
    tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 4, rollout, traffic });
    const before = await tenant().untilReady();
    const stable = before.status?.stable?.revision;
    expect(leadOf(await tenant().cluster.get(SERVICES, NAME))).toEqual({ to: 'servers', revision: stable });
    tenant().cluster.forgetExtremes();
    await tenant().change({ model: model('2') });
    await tenant().until('the new model', serves('2'));
    expect(played.shares).toEqual(['1', '10/90', '50/50', '1']);
    expect(tenant().cluster.extremes.leastReady).toBeGreaterThanOrEqual(4);
    await eventually('the old pods are taken away', async () => (await tenant().running()).length === 1);
    expect((await tenant().running()).map(served)).toEqual([digest('2')]);
    const last = (await tenant().running())[0]?.metadata.name;
    expect(played.taken.at(-1)?.spec.rules).toMatchObject([{ backendRefs: [{ name: last, port: 8080 }] }]);
    const service = await tenant().cluster.get(SERVICES, NAME);
    expect(service?.spec?.selector?.[LABELS.revision]).toBe(last);
  });

  test('that does not look at a route holds up the step and everything that would be taken away', async () => {
    tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 4, rollout, traffic });
    await tenant().untilReady();
    played.follows = false;
    await tenant().change({ model: model('2') });
    const waiting = await tenant().until(
      'weight 10 waits',
      ({ status }) => status?.rollout?.message?.includes('has not taken generation') === true,
    );
    expect(waiting.status?.stable).toMatchObject({ replicas: 4, ready: 4 });
    played.follows = true;
    await tenant().until('the new model', serves('2'));
  });

  test('that refuses the route is told in its own words', async () => {
    played.refuses = () => 'NotAllowedByListeners';
    tenant().startOperator();
    await tenant().create({ model: model('1'), rollout, traffic });
    const { status } = await tenant().untilReason('RouteRefused');
    expect(status?.conditions?.find(({ type }) => type === 'Ready')?.message).toContain(
      'Gateway public refuses HTTPRoute churn (Accepted: NotAllowedByListeners): it is played so',
    );
  });

  test('gives gRPC a route of its own where it has a place', async () => {
    tenant().startOperator();
    const both = { ...gateway, sectionName: 'http', grpc: { sectionName: 'grpc' } };
    await tenant().create({ model: model('1'), rollout, traffic: { ...traffic, expose: { gateway: both } } });
    await tenant().untilReady();
    expect((await tenant().cluster.list(GRPC_ROUTES)).map(({ metadata }) => metadata.name)).toEqual([NAME]);
    await tenant().change({ traffic: { expose: { gateway: { grpc: null } } } });
    await eventually('it is taken away', async () => (await tenant().cluster.list(GRPC_ROUTES)).length === 0);
  });
});

describe('a cluster without the Gateway API', () => {
  afterEach(() => crds('install'));

  test('refuses a Gateway with what to install, serves everyone else, and goes on by itself once it is there', async () => {
    await crds('uninstall');
    tenant().startOperator();
    await tenant().create({ model: model('1') }, 'other');
    await tenant().create({ model: model('1'), rollout, traffic });
    await tenant().untilReady('other');
    const refused = await tenant().untilReason('GatewayApiMissing', 'Accepted');
    expect(refused.status?.conditions?.find(({ type }) => type === 'Accepted')?.message).toContain(
      'install the CRDs of the Gateway API',
    );
    await crds('install');
    await eventually('it is Ready', async () => (await tenant().cluster.list(HTTP_ROUTES)).length === 1, 60_000);
    await tenant().untilReady();
  }, 400_000);
});

describe('what publishes a model beside routers', () => {
  test('is made as it is asked for, told in the status, and taken away when it is not', async () => {
    const { cluster } = tenant();
    tenant().startOperator();
    const listeners = [{ name: 'http', protocol: 'HTTP', port: 8080 }];
    await cluster.client.create(GATEWAYS, {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: { name: 'public', namespace: cluster.namespace },
      spec: { gatewayClassName: 'played', listeners },
    });
    const external = async () =>
      (await tenant().until('it is told', ({ status }) => status?.phase === 'Ready')).status?.address?.external;
    await tenant().create({ model: model('1'), traffic: { expose: { ingress: { host: 'churn.example.com' } } } });
    await tenant().untilReady();
    expect(await external()).toEqual({ http: 'http://churn.example.com' });
    expect((await cluster.list(INGRESSES)).map(({ metadata }) => metadata.name)).toEqual([NAME]);

    await tenant().change({ traffic: { expose: { ingress: null, loadBalancer: {} } } });
    const outside = `${NAME}-external`;
    await eventually('there is a load balancer', async () => (await cluster.get(SERVICES, outside)) !== undefined);
    const inside = await cluster.get(SERVICES, NAME);
    expect((await cluster.get(SERVICES, outside))?.spec?.selector).toEqual(inside?.spec?.selector);
    const status = { loadBalancer: { ingress: [{ ip: '198.51.100.7' }] } };
    await cluster.client.mergePatch(SERVICES, { namespace: cluster.namespace, name: outside }, { status }, 'status');
    const told = await tenant().until('the address', (object) => object.status?.address?.external?.grpc !== undefined);
    expect(told.status?.address?.external).toEqual({ http: 'http://198.51.100.7', grpc: '198.51.100.7:9000' });
    expect(await cluster.list(INGRESSES)).toEqual([]);

    const at = { gateway: { ...gateway, hostnames: ['churn.example.com'] } };
    await tenant().change({ traffic: { expose: { loadBalancer: null, ...at } } });
    await tenant().until(
      'the listener',
      (object) => object.status?.address?.external?.http === 'http://churn.example.com:8080',
    );
    expect(await rulesOf()).toMatchObject([{ rules: [{ backendRefs: [{ name: NAME, port: 80 }] }] }]);
    expect(await cluster.get(SERVICES, outside)).toBeUndefined();

    await tenant().change({ traffic: { expose: null } });
    await eventually('nothing is left', async () => (await cluster.list(HTTP_ROUTES)).length === 0);
    await tenant().until('nothing is told', (object) => object.status?.address?.external === undefined);
  });
});
