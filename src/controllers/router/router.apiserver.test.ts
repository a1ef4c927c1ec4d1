import { afterEach, beforeEach, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { LABELS, ROUTER_NAME } from '../../api/names.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import type { ControllerDefinition } from '../../runtime/reconcile-context.ts';
import { AuditedCluster, eventually, startManager } from '../../runtime/testing/cluster.ts';
import { FakeClock } from '../../runtime/testing/fake-clock.ts';
import { DEPLOYMENTS, EVENTS, ROLE_BINDINGS } from '../resources.ts';
import { model, tenants } from '../testing/tenant.ts';
import { routerController } from './controller.ts';
import type { RouterSettings } from './desired.ts';

const kubeconfig = ownKubeconfig();
const tenant = tenants(kubeconfig, { beforeEach, afterEach });

let end: () => Promise<void> = async () => undefined;
afterEach(() => end());

/** An operator that keeps routers and does nothing else. */
function keepRouters(role: RouterSettings['role'], clock: Clock = systemClock): AuditedCluster {
  const cluster = new AuditedCluster(kubeconfig, {}, 'fairlead');
  const settings = { image: 'example.com/fairlead:1', role, minReplicas: 2, maxReplicas: 4, cpu: '1', memory: '1Gi' };
  const { stop } = startManager({
    client: cluster.client,
    clock,
    controllers: [routerController(settings) as ControllerDefinition],
    namespaces: [tenant().cluster.namespace],
    // Nothing is looked at again because time went by.
    resyncPeriodMs: 3_600_000_000,
  });
  end = async () => {
    await stop();
    await cluster.close();
  };
  return cluster;
}

const isOfRouters = ({ metadata }: { readonly metadata: { readonly labels?: Readonly<Record<string, string>> } }) =>
  metadata.labels?.[LABELS.name] === ROUTER_NAME;

/** The bindings of routers: to which role, by their names. */
const bindings = async () =>
  new Map(
    (await tenant().cluster.list(ROLE_BINDINGS))
      .filter(isOfRouters)
      .map((binding) => [binding.metadata.name, (binding as unknown as { readonly roleRef: object }).roleRef]),
  );
const isBoundTo = async (role: RouterSettings['role']) =>
  [...(await bindings()).values()].some((roleRef) => JSON.stringify(roleRef).includes(`"kind":"${role.kind}"`));

test('routers are given the role that a restarted operator is told, though no binding can be led to another', async () => {
  await tenant().create({ model: model('1'), traffic: {} });
  const first = { kind: 'ClusterRole', name: 'a' } as const;
  keepRouters(first);
  await eventually('a binding', () => isBoundTo(first));
  await end();

  const second = { kind: 'Role', name: 'a' } as const;
  const restarted = keepRouters(second);
  await eventually('a binding to the other role', () => isBoundTo(second));
  expect(restarted.calls.filter(({ status }) => status === 422)).toEqual([]);
  expect([...(await bindings()).values()]).toEqual(
    expect.arrayContaining([expect.objectContaining(first), expect.objectContaining(second)]),
  );
});

test('routers come within half a minute once the object goes that had their name', async () => {
  const { client, namespace } = tenant().cluster;
  const labels = { team: 'x' };
  await client.create(DEPLOYMENTS, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: ROUTER_NAME, namespace },
    spec: {
      replicas: 0,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'web', image: 'example.com/web:1' }] } },
    },
  });
  await tenant().create({ model: model('1'), traffic: {} });
  const clock = new FakeClock();
  keepRouters({ kind: 'ClusterRole', name: 'a' }, clock);
  await eventually('an Event', async () =>
    (await tenant().cluster.list(EVENTS)).some(({ reason }) => reason === 'NameConflict'),
  );
  await client.delete(DEPLOYMENTS, { namespace, name: ROUTER_NAME });
  await clock.advance(31_000);
  await eventually('routers', async () => (await tenant().cluster.list(DEPLOYMENTS)).some(isOfRouters));
});
