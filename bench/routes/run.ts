/**
 * The benchmark of route changes: routers of one namespace follow many routes, one route changes at a time, and it is
 * measured until every router has told that it applies the change. The bar is a bare watch of the same change in this
 * process, since no router can know of it earlier. Aim: under 200 ms.
 *
 *   node bench/routes/run.ts [--routers 3] [--routes 20] [--changes 200]
 */
import { parseArgs } from 'node:util';
import { bundle } from '../../e2e/bundle.ts';
import { startControlPlane } from '../../e2e/cluster/control-plane.ts';
import { freePorts } from '../../e2e/cluster/free-port.ts';
import { ANNOTATIONS, LABELS } from '../../src/api/names.ts';
import { ROUTE_KEY, type Route } from '../../src/api/route.ts';
import { RouterUnderTest } from '../../src/router/testing/router-under-test.ts';
import { LEASES } from '../../src/runtime/kubernetes-resources.ts';
import { CONFIG_MAPS, configMap } from '../../src/runtime/testing/cluster.ts';
import { type Connection, connect, createNamespace, follow, NAMESPACE } from '../operator/workload.ts';
import { milliseconds } from '../quantile.ts';

const { values } = parseArgs({
  options: {
    routers: { type: 'string', default: '3' },
    routes: { type: 'string', default: '20' },
    changes: { type: 'string', default: '200' },
  },
});
const ROUTERS = Number(values.routers);
const ROUTES = Number(values.routes);
const CHANGES = Number(values.changes);

const nameOf = (index: number): string => `model-${index}`;

function routeOf(index: number, port: number, generation: number): Record<string, string> {
  const backend = (revision: string, weight: number) => ({ revision, weight, ports: { http: 8080 } });
  const weight = generation % 2 === 0 ? 10 : 50;
  const route: Route = {
    generation,
    modelDeployment: nameOf(index),
    ports: { http: port },
    backends: [backend('new', weight), backend('old', 100 - weight)],
    limits: { maxBodyBytes: 1_000, maxQueue: 10, maxInFlight: 10, timeoutMs: 1_000 },
  };
  return { [ROUTE_KEY]: JSON.stringify(route) };
}

interface Times {
  /** Milliseconds from the change's request until each was seen, a change each. */
  readonly watched: readonly number[];
  readonly acknowledged: readonly number[];
}

/** Changes one route after the other, the next as soon as all routers told of the one before. */
async function changeRoutes({ client }: Connection, ports: readonly number[]): Promise<Times> {
  const [routes, leases] = await Promise.all([follow(client, CONFIG_MAPS), follow(client, LEASES)]);
  const watched: number[] = [];
  const acknowledged: number[] = [];
  let looks = () => {};
  routes.informer.onChange(() => looks());
  leases.informer.onChange(() => looks());
  const until = (holds: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      looks = () => {
        if (holds()) resolve();
      };
      looks();
    });
  const isWatched = (index: number, generation: number) =>
    routes.informer
      .list()
      .some(
        ({ metadata, data }) =>
          metadata.name === `${nameOf(index)}-route` &&
          data?.[ROUTE_KEY] === routeOf(index, ports[index] ?? 0, generation)[ROUTE_KEY],
      );
  const areApplied = (index: number, generation: number) => {
    const told = leases.informer.list().map(({ metadata }) => metadata.annotations?.[ANNOTATIONS.appliedRoutes]);
    const applied = told.filter((text) => text !== undefined && JSON.parse(text)[nameOf(index)] === generation);
    return applied.length === ROUTERS;
  };
  for (const index of ports.keys()) await until(() => areApplied(index, 1));
  for (let change = 0; change < CHANGES; change++) {
    const index = change % ROUTES;
    const generation = 2 + Math.floor(change / ROUTES);
    const startedMs = performance.now();
    const data = routeOf(index, ports[index] ?? 0, generation);
    const changed = client.mergePatch(CONFIG_MAPS, { namespace: NAMESPACE, name: `${nameOf(index)}-route` }, { data });
    await until(() => isWatched(index, generation));
    watched.push(performance.now() - startedMs);
    await until(() => areApplied(index, generation));
    acknowledged.push(performance.now() - startedMs);
    await changed;
  }
  await Promise.all([routes.stop(), leases.stop()]);
  return { watched, acknowledged };
}

async function measure(): Promise<Times> {
  const { program, remove } = await bundle();
  const plane = await startControlPlane();
  const connection = await connect(plane.kubeconfigPath);
  const routers: RouterUnderTest[] = [];
  try {
    await createNamespace(connection.client);
    const ports = await freePorts(ROUTES);
    for (const [index, port] of ports.entries()) {
      const data = routeOf(index, port, 1);
      const object = configMap(NAMESPACE, `${nameOf(index)}-route`, data, { [LABELS.route]: 'true' });
      await connection.client.create(CONFIG_MAPS, object);
    }
    for (let index = 0; index < ROUTERS; index++) {
      routers.push(
        new RouterUnderTest({
          program,
          kubeconfig: plane.kubeconfigPath,
          namespace: NAMESPACE,
          podName: `router-${index}`,
          host: `127.0.0.${index + 1}`,
        }),
      );
    }
    await Promise.all(routers.map((router) => router.ready()));
    return await changeRoutes(connection, ports);
  } finally {
    await Promise.all(routers.map((router) => router.kill()));
    await connection.close();
    await plane.stop();
    await remove();
  }
}

const { watched, acknowledged } = await measure();
console.log(`${ROUTERS} routers with ${ROUTES} routes, ${CHANGES} changes, everything on this machine`);
for (const q of [0.5, 0.99]) {
  console.log(
    `p${q * 100} until a bare watch shows it ${milliseconds(watched, q)}, ` +
      `until all routers told that they apply it ${milliseconds(acknowledged, q)} (aim: under 200 ms)`,
  );
}
