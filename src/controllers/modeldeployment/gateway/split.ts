/** What a gateway is asked to do with the requests of one ModelDeployment, by Services rather than revisions. */
import { PORTS } from '../../../api/names.ts';
import type { Route } from '../../../api/route.ts';

export interface GatewayBackend {
  /** A Service of the ModelDeployment's namespace, and its ports. */
  readonly service: string;
  readonly ports: { readonly http: number; readonly grpc?: number | undefined };
  /** In percent; all add up to 100, or are all 0. */
  readonly weight: number;
}

export interface GatewaySplit {
  /** Grows with every change of the rest; 0 where nothing is to be acknowledged. */
  readonly generation: number;
  readonly backends: readonly GatewayBackend[];
  /** The first that matches decides, before weights do. */
  readonly match: readonly { readonly name: string; readonly value: string; readonly backend: GatewayBackend }[];
  readonly mirror?: { readonly backend: GatewayBackend; readonly percent: number };
}

/** Provider Router: the gateway only leads to the ModelDeployment's Service, behind which routers split. */
export function splitToService(service: string, hasGrpc: boolean): GatewaySplit {
  const ports = { http: PORTS.http.service, ...(hasGrpc && { grpc: PORTS.grpc.service }) };
  return { generation: 0, backends: [{ service, ports, weight: 100 }], match: [] };
}

/**
 * Provider GatewayAPI: what routers would do, by the revisions' own headless Services. Every implementation that
 * conforms routes to the endpoints of such Services (`HTTPRouteServiceTypes`, a core test).
 * @throws RangeError when the route names a revision that is none of its backends.
 */
export function splitOfRoute({ generation, backends, match = [], mirror }: Route): GatewaySplit {
  const all = backends.map(({ revision, ports, weight }): GatewayBackend => ({ service: revision, ports, weight }));
  const backendOf = (revision: string): GatewayBackend => {
    const found = all.find(({ service }) => service === revision);
    if (found === undefined)
      throw new RangeError(`the route names revision ${revision}, which is none of its backends`);
    return found;
  };
  return {
    generation,
    backends: all,
    match: match.map(({ name, value, revision }) => ({ name, value, backend: backendOf(revision) })),
    ...(mirror && { mirror: { backend: backendOf(mirror.revision), percent: mirror.percent } }),
  };
}
