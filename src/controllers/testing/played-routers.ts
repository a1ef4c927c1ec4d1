import { ANNOTATIONS, LABELS } from '../../api/names.ts';
import { ROUTE_KEY, type Route } from '../../api/route.ts';
import type { ApiClient } from '../../runtime/api-client.ts';
import { ApiError } from '../../runtime/api-error.ts';
import { LEASES } from '../../runtime/kubernetes-resources.ts';
import { isReady } from '../modeldeployment/diagnose.ts';
import { CONFIG_MAPS, PODS, type Pod } from '../resources.ts';
import { isRouterPod } from '../router/selector.ts';

/**
 * Plays the routers of a namespace: every one that runs applies the routes that it sees and says so in its Lease. What
 * they apply is held against the pods that there are: a request that was sent to a revision without one is remembered.
 */
export class PlayedRouters {
  /** Whether a router takes notice of routes now. */
  follows: (router: string) => boolean = () => true;
  /** Every route that any router applied, in order, by ModelDeployment. */
  readonly applied = new Map<string, Route[]>();
  /** Sentences about requests that would have reached nobody. */
  readonly lost: string[] = [];
  readonly #client: ApiClient;
  readonly #namespace: string;
  readonly #applies = new Map<string, ReadonlyMap<string, Route>>();
  readonly #told = new Map<string, string>();

  constructor(client: ApiClient, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
  }

  /** The weights of the routes that were applied, such as `10/90`, each with the revision that is taking over first. */
  weights(modelDeployment: string): readonly string[] {
    return (this.applied.get(modelDeployment) ?? []).map(({ backends }) =>
      backends.map(({ weight }) => weight).join('/'),
    );
  }

  async round(): Promise<void> {
    // In this order: pods that a route needs are there before it is.
    const routes = await this.#routes();
    const { items: pods } = await this.#client.list(PODS, { namespace: this.#namespace });
    const routers = pods.filter((pod) => isRouterPod(pod) && pod.status?.phase === 'Running');
    for (const { metadata } of routers) {
      if (this.follows(metadata.name)) this.#applies.set(metadata.name, routes);
      const applies = this.#applies.get(metadata.name) ?? new Map<string, Route>();
      for (const route of applies.values()) {
        this.#remember(route);
        this.#check(route, pods);
      }
      await this.#tell(metadata.name, metadata.uid ?? '', applies);
    }
  }

  async #routes(): Promise<ReadonlyMap<string, Route>> {
    const selector = { [LABELS.route]: 'true' };
    const { items } = await this.#client.list(CONFIG_MAPS, { namespace: this.#namespace, selector });
    const routes = items.map(({ data }) => JSON.parse(data?.[ROUTE_KEY] ?? '') as Route);
    return new Map(routes.map((route) => [route.modelDeployment, route]));
  }

  #remember(route: Route): void {
    const known = this.applied.get(route.modelDeployment) ?? [];
    if (!known.some(({ generation }) => generation === route.generation)) known.push(route);
    this.applied.set(route.modelDeployment, known);
  }

  #check({ modelDeployment, generation, backends }: Route, pods: readonly Pod[]): void {
    const serves = (revision: string) =>
      pods.some((pod) => pod.metadata.labels?.[LABELS.revision] === revision && isReady(pod));
    for (const { revision, weight } of backends) {
      if (weight === 0 || serves(revision)) continue;
      // Before anything serves there is nothing to lose.
      if (!backends.some((other) => serves(other.revision))) continue;
      this.lost.push(
        `${modelDeployment}: generation ${generation} sends ${weight}% to ${revision}, which has no ready pod`,
      );
    }
  }

  async #tell(name: string, uid: string, applies: ReadonlyMap<string, Route>): Promise<void> {
    const text = JSON.stringify(Object.fromEntries([...applies].map(([route, { generation }]) => [route, generation])));
    if (this.#told.get(uid) === text) return;
    const metadata = {
      name,
      namespace: this.#namespace,
      labels: { [LABELS.routerReport]: 'true' },
      annotations: { [ANNOTATIONS.appliedRoutes]: text },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name, uid }],
    };
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec: { holderIdentity: name } };
    try {
      await this.#client.apply(LEASES, lease, true);
      this.#told.set(uid, text);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }
}
