import { afterEach, beforeEach, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import type { Route } from '../../api/route.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import type { ModelDeployment } from '../kinds.ts';
import { SERVICES } from '../resources.ts';
import { digest, model, NAME, serves, tenants } from '../testing/tenant.ts';

const tenant = tenants(ownKubeconfig(), { beforeEach, afterEach });

const rollout = {
  strategy: 'Canary',
  steps: [{ weight: 10, hold: 'UntilPromoted' }, { weight: 50 }],
  analysis: { metrics: [] },
};
/** Listens elsewhere than the built-in server, and speaks REST alone. */
const runtime = { container: { image: 'triton', ports: { http: 8000 }, protocol: 'OpenInference' } };

const BUILT_IN = { http: 8080, grpc: 9000 };

/** By revision, all ports at which any router was ever led to it. */
function portsSeen(routes: readonly Route[]): Record<string, unknown[]> {
  const seen: Record<string, Map<string, unknown>> = {};
  for (const { backends } of routes) {
    for (const { revision, ports } of backends) {
      seen[revision] = (seen[revision] ?? new Map()).set(JSON.stringify(ports), ports);
    }
  }
  return Object.fromEntries(Object.entries(seen).map(([revision, ports]) => [revision, [...ports.values()]]));
}
const routes = () => tenant().cluster.routers.applied.get(NAME) ?? [];
const servicePorts = async (name: string) =>
  ((await tenant().cluster.get(SERVICES, name))?.spec?.ports ?? []).map(({ name: port }) => port);

const isAtTen = ({ status }: ModelDeployment) => status?.canary?.weight === 10 && status.route?.acknowledged === true;

beforeEach(async () => {
  tenant().startOperator();
  await tenant().create({ model: model('1'), replicas: 2, rollout });
  await tenant().untilReady();
  await tenant().change({ runtime });
  await tenant().until('weight 10', isAtTen);
});

const revisions = async () => {
  const { status } = await tenant().until('both', ({ status: now }) => now?.canary !== undefined);
  return { stable: status?.stable?.revision ?? '', canary: status?.canary?.revision ?? '' };
};

test('a rollout to another runtime leads to each revision at its own ports, and gRPC to those that speak it', async () => {
  const { stable, canary } = await revisions();
  const object = await tenant().until('weight 10', isAtTen);
  expect(portsSeen(routes())).toEqual({ [stable]: [BUILT_IN], [canary]: [{ http: 8000 }] });
  expect(routes().at(-1)?.ports.grpc).toBeDefined();
  expect(await servicePorts(NAME)).toEqual(['http', 'grpc']);
  expect(object.status?.address?.grpc).toBeDefined();
  expect(await servicePorts(canary)).toEqual(['http']);
  await tenant().annotate({ 'fairlead.dev/action': `promote${object.status?.rollout?.action ?? ''}` });
  await tenant().until('the new runtime', serves('1'));
  await tenant().until('nobody speaks gRPC any more', ({ status }) => status?.address?.grpc === undefined);
  await eventually('the Service does not lead to it', async () => (await servicePorts(NAME)).length === 1);
  expect(portsSeen(routes())).toEqual({ [stable]: [BUILT_IN], [canary]: [{ http: 8000 }] });
});

test('and one that is aborted leaves the old revision its ports, and clients their gRPC', async () => {
  const { stable } = await revisions();
  const { status } = await tenant().until('weight 10', isAtTen);
  await tenant().annotate({ 'fairlead.dev/action': `abort${status?.rollout?.action ?? ''}` });
  const after = await tenant().until('it is taken back', (object) => object.status?.phase === 'RolledBack');
  await tenant().until('the old pods alone', (object) => object.status?.replicas === 2);
  expect(portsSeen(routes())[stable]).toEqual([BUILT_IN]);
  expect(routes().at(-1)).toMatchObject({ backends: [{ revision: stable, ports: BUILT_IN }] });
  expect(await servicePorts(NAME)).toEqual(['http', 'grpc']);
  expect(after.status?.model?.sha256).toBe(digest('1'));
});
