import { LABELS } from '../api/names.ts';
import { ROUTE_KEY } from '../api/route.ts';
import type { ApiClient } from '../runtime/api-client.ts';
import type { Clock } from '../runtime/clock.ts';
import { Informer } from '../runtime/informer.ts';
import { defineResource, type KubeObject } from '../runtime/types.ts';
import type { RouteTable } from '../serving/router/route-table.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ENDPOINT_SLICES, type EndpointSlice, podAddresses, SERVICE_NAME_LABEL } from './endpoint-slices.ts';

interface RouteConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

const CONFIG_MAPS = defineResource<RouteConfigMap>({
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
});

const ROUTE_SUFFIX = '-route';
const SERVICE_INDEX = 'service';

export interface ClusterFeedOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly namespace: string;
  readonly table: RouteTable;
  /** The table was told of other pods. */
  readonly onAddresses: () => void;
}

/** Tells the route table what its namespace says: the routes, and the pods of the revisions. */
export class ClusterFeed {
  readonly #options: ClusterFeedOptions;
  readonly #routes: Informer<RouteConfigMap>;
  readonly #slices: Informer<EndpointSlice>;

  constructor(options: ClusterFeedOptions) {
    const { client, clock, random, logger, namespace, table, onAddresses } = options;
    const informing = { client, clock, random, logger, namespaces: [namespace] };
    this.#options = options;
    this.#routes = new Informer<RouteConfigMap>(
      { resource: CONFIG_MAPS, selector: { [LABELS.route]: 'true' } },
      informing,
    );
    this.#slices = new Informer<EndpointSlice>(
      {
        resource: ENDPOINT_SLICES,
        // Slices bear the labels of their Service, and only those of revisions bear this one.
        selector: { [LABELS.revision]: true },
        indexes: { [SERVICE_INDEX]: (slice) => [serviceOf(slice)] },
      },
      informing,
    );
    this.#slices.onChange((change) => {
      const services = new Set(
        [change.old, change.new].flatMap((slice) => (slice === undefined ? [] : [serviceOf(slice)])),
      );
      for (const service of services)
        table.setAddresses(service, podAddresses(this.#slices.byIndex(SERVICE_INDEX, service)));
      onAddresses();
    });
    this.#routes.onChange((change) => {
      const name = nameOf(change.new ?? change.old);
      if (name === undefined) return;
      if (change.new === undefined) void table.remove(name);
      else void table.apply(name, change.new.data?.[ROUTE_KEY] ?? '');
    });
  }

  /** Follows the API server until `signal` aborts. Routes are looked at once the pods that they may name are known. */
  async start(signal: AbortSignal): Promise<void> {
    this.#slices.start(signal);
    await this.#slices.synced;
    if (!signal.aborted) this.#routes.start(signal);
  }

  /** Resolves once all that the API server lists is in force, and what was kept and is not listed any more is gone. */
  async synced(): Promise<void> {
    await Promise.all([this.#slices.synced, this.#routes.synced]);
    const { table } = this.#options;
    const listed = new Set(this.#routes.list().map(nameOf));
    for (const revision of [...table.addresses.keys()]) {
      if (this.#slices.byIndex(SERVICE_INDEX, revision).length === 0) table.setAddresses(revision, []);
    }
    await Promise.all([...table.texts.keys()].filter((name) => !listed.has(name)).map((name) => table.remove(name)));
    await table.settled();
  }
}

function serviceOf(slice: EndpointSlice): string {
  return slice.metadata.labels?.[SERVICE_NAME_LABEL] ?? '';
}

/** The ModelDeployment whose route a ConfigMap is to hold; undefined for one that is labelled by mistake. */
function nameOf(configMap: RouteConfigMap | undefined): string | undefined {
  const name = configMap?.metadata.name;
  return name?.endsWith(ROUTE_SUFFIX) === true ? name.slice(0, -ROUTE_SUFFIX.length) : undefined;
}
