import { waitFor } from './cluster/wait.ts';
import { kubectl } from './environment.ts';
import type { ClusterObject } from './kubectl.ts';

/** As many as the chart asks for. */
const ROUTERS = 2;
const METRICS_PORT = 9090;

/** The pods of a namespace's routers, once their autoscaler has made one router all that there are to be. */
export async function untilRouters(namespace: string): Promise<readonly ClusterObject[]> {
  const areThere = async () => {
    const { status } = await kubectl().get('deployment', namespace, 'fairlead-router');
    return (status.availableReplicas ?? 0) >= ROUTERS ? (true as const) : `${status.availableReplicas} are available`;
  };
  await waitFor('routers', areThere, { timeoutMs: 120_000, intervalMs: 500 });
  return routersOf(namespace);
}

const routersOf = (namespace: string) => kubectl().list('pods', namespace, 'app.kubernetes.io/component=router');

export const metricsAddress = ({ status }: ClusterObject): string => `${status.podIP}:${METRICS_PORT}`;

/** Requests that each router has counted, by the name of its pod. */
export async function requestsOfRouters(namespace: string): Promise<ReadonlyMap<string, number>> {
  const counted = (await routersOf(namespace)).map(async ({ metadata: { name } }) => {
    const path = `/api/v1/namespaces/${namespace}/pods/${name}:${METRICS_PORT}/proxy/metrics`;
    const lines = (await kubectl().run(['get', '--raw', path])).split('\n');
    const requests = lines
      .filter((line) => line.startsWith('router_requests_total{'))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    return [name, requests] as const;
  });
  return new Map(await Promise.all(counted));
}
