/** What whoever splits the requests is told: the route of a ModelDeployment, from its spec and the split of the moment. Pure. */

import { Compile } from 'typebox/compile';
import Value from 'typebox/value';
import { LABELS } from '../../../api/names.ts';
import { ROUTE_KEY, Route } from '../../../api/route.ts';
import { durationMs } from '../../../api/v1alpha1/duration.ts';
import type { ModelDeploymentSpec } from '../../../api/v1alpha1/model-deployment.ts';
import { TrafficLimits } from '../../../api/v1alpha1/traffic.ts';
import type { DecidedRoute } from '../../../rollout/types.ts';
import type { DesiredObject } from '../../../runtime/apply.ts';
import type { ConfigMap } from '../../resources.ts';
import { childMetadata, type Owner } from '../children.ts';
import { canonicalJson, type Revision } from '../revision.ts';
import { serverPorts } from '../services.ts';
import type { ServerPorts } from '../types.ts';
import type { OtherRoute } from './ports.ts';

/** A route but for the number by which it is acknowledged. */
export type RouteContent = Omit<Route, 'generation'>;

/** On a route that is no longer wanted: since when the Service leads elsewhere, in milliseconds since the Unix epoch. */
export const UNUSED_SINCE = 'fairlead.dev/unused-since';
/** Beside the route of an ensemble: JSON of the weights that its own revisions would have. */
const WEIGHTS_KEY = 'weights.json';
/** The label's value by which routers find their routes. */
const READ_BY_ROUTERS = 'true';
/** The index of the ConfigMaps that hold routes of routers, by the key of their port for REST. */
export const BY_ROUTER_PORT = 'routerPort';
/** Largest difference of two numbers that agree, where `model.examples` say none. */
const DEFAULT_TOLERANCE = 1e-6;

/** The ConfigMap by which routers are told. */
export function routeName(modelDeployment: string): string {
  return `${modelDeployment}-route`;
}

/** The ConfigMap that remembers what a Gateway was told; routers do not read it. No name of a ModelDeployment makes a route of it. */
export function gatewayRouteName(modelDeployment: string): string {
  return `${modelDeployment}-gateway-split`;
}

export interface RouteInput {
  readonly owner: Owner;
  readonly spec: ModelDeploymentSpec;
  readonly decided: DecidedRoute;
  /** The even one of the pair of router ports. */
  readonly restPort: number;
  readonly portsOf: (revision: string) => ServerPorts;
}

/**
 * Ports of each revision: those that its pods were made with, whatever the spec says by now. One whose Deployment is gone
 * is where the route that stands has it; one that has none yet is to be made of the spec.
 */
export function portsOf(
  spec: ModelDeploymentSpec,
  revisions: readonly Pick<Revision, 'name' | 'ports'>[],
  standing: Route | undefined,
): (revision: string) => ServerPorts {
  const known = new Map<string, ServerPorts>([
    ...(standing?.backends ?? []).map(({ revision, ports }) => [revision, ports] as const),
    ...revisions.map(({ name, ports }) => [name, ports] as const),
  ]);
  return (revision) => known.get(revision) ?? serverPorts(spec);
}

/** Every revision that the route may name. */
function revisionsOf({ weights, mirror, stable, canary }: DecidedRoute): readonly string[] {
  const named = [canary, mirror?.revision, stable].filter((name) => name !== undefined);
  return [...new Set([...weights.keys(), ...named])];
}

export function routeContent({ owner, spec, decided, restPort, portsOf: portsAt }: RouteInput): RouteContent {
  const { traffic } = spec;
  const { ensemble, sticky } = traffic ?? {};
  const { weights, mirror, stable } = decided;
  const revisions = revisionsOf(decided);
  const weightOf = (revision: string) => (ensemble === undefined ? (weights.get(revision) ?? 0) : 0);
  const limits = traffic?.limits ?? Value.Create(TrafficLimits);
  const source = sticky && unitSource(sticky);
  const match = matchOf(spec, decided);
  const fallback = ensemble === undefined ? fallbackOf(spec, decided) : undefined;
  const backends = revisions.map((revision) => ({
    revision,
    weight: weightOf(revision),
    ports: portsAt(revision),
  }));
  const hasGrpc = backends.some(({ ports }) => ports.grpc !== undefined);
  return {
    modelDeployment: owner.name,
    ports: { http: restPort, ...(hasGrpc && { grpc: restPort + 1 }) },
    backends,
    ...(source && { sticky: { source, seed: `${owner.namespace}/${owner.name}` } }),
    ...(match.length > 0 && { match }),
    ...(mirror && ensemble === undefined && { mirror: { ...mirror, tolerance: toleranceOf(spec) } }),
    ...(fallback && { fallback }),
    ...(ensemble && { ensemble: ensembleOf(ensemble, heaviest(decided) ?? stable) }),
    limits: {
      maxBodyBytes: limits.maxBodyBytes,
      maxQueue: limits.maxQueue,
      maxInFlight: limits.maxInFlight,
      timeoutMs: durationMs(limits.timeout),
    },
  };
}

/** The route that stands, with other weights: while the spec, which says the rest, cannot be acted on. */
export function reweighted(
  { generation: _generation, ...standing }: Route,
  decided: DecidedRoute,
  portsAt: RouteInput['portsOf'],
): RouteContent {
  const { weights, mirror, stable, canary } = decided;
  const { match, mirror: copied, fallback, ensemble, ...rest } = standing;
  const revisions = revisionsOf(decided);
  const whole = heaviest(decided) ?? stable;
  const matching = (match ?? []).filter(({ revision }) => revision === stable || revision === canary);
  const isToOther = fallback !== undefined && 'modelDeployment' in fallback.to;
  return {
    ...rest,
    backends: revisions.map((revision) => ({
      revision,
      weight: ensemble === undefined ? (weights.get(revision) ?? 0) : 0,
      ports: portsAt(revision),
    })),
    ...(matching.length > 0 && { match: matching }),
    ...(mirror && copied && { mirror: { ...mirror, tolerance: copied.tolerance } }),
    ...(fallback && isToOther && { fallback }),
    // The stable revision is no fallback for itself.
    ...(fallback && !isToOther && canary !== undefined && { fallback: { ...fallback, to: { revision: stable } } }),
    ...(ensemble && {
      ensemble: {
        ...ensemble,
        members: ensemble.members.map((member) =>
          'revision' in member.to ? { ...member, to: { revision: whole } } : member,
        ),
      },
    }),
  };
}

type Traffic = NonNullable<ModelDeploymentSpec['traffic']>;

function unitSource({ header, cookie, metadata }: NonNullable<Traffic['sticky']>) {
  if (cookie !== undefined) return { kind: 'Cookie' as const, name: cookie };
  return { kind: 'Header' as const, name: (header ?? metadata ?? '').toLowerCase() };
}

/** Without a revision that is taking over, requests meant for it go where all others go. */
function matchOf({ traffic }: ModelDeploymentSpec, { stable, canary }: DecidedRoute): NonNullable<Route['match']> {
  return (traffic?.match ?? []).flatMap(({ header, value, to }) => {
    const revision = to === 'Canary' ? canary : stable;
    return revision === undefined ? [] : [{ name: header.toLowerCase(), value, revision }];
  });
}

/** The stable revision is no fallback for itself. */
function fallbackOf({ traffic }: ModelDeploymentSpec, { stable, canary }: DecidedRoute): Route['fallback'] {
  const { to, modelDeploymentRef, after } = traffic?.fallback ?? {};
  const afterMs = after && { afterMs: durationMs(after) };
  if (modelDeploymentRef !== undefined) return { to: { modelDeployment: modelDeploymentRef.name }, ...afterMs };
  if (to === undefined || canary === undefined) return undefined;
  return { to: { revision: stable }, ...afterMs };
}

/** An ensemble has one revision of each model: of this one, that with the most of the traffic. */
function ensembleOf({ combine, weight, members }: NonNullable<Traffic['ensemble']>, revision: string) {
  return {
    combine,
    members: [
      { to: { revision }, weight },
      ...members.map(({ name, weight: share }) => ({ to: { modelDeployment: name }, weight: share })),
    ],
  };
}

function heaviest({ weights }: DecidedRoute): string | undefined {
  const [first] = [...weights].sort(([, a], [, b]) => b - a);
  return first?.[0];
}

function toleranceOf({ model }: ModelDeploymentSpec): number {
  return Math.max(DEFAULT_TOLERANCE, ...(model.examples ?? []).map(({ tolerance }) => tolerance ?? 0));
}

/**
 * The route with its generation: that of the route that stands where nothing else differs, or the next one.
 * @param reported the newest generation that any router reports: one that was deleted must not be mistaken for this one
 * @throws {RangeError} for one that routers would refuse: they would go on with the one before, and nobody would know why
 */
export function numbered(content: RouteContent, standing: Route | undefined, reported: number): Route {
  if (standing !== undefined) {
    const { generation, ...rest } = standing;
    if (canonicalJson(rest) === canonicalJson(content)) return standing;
  }
  const route = { generation: Math.max(standing?.generation ?? 0, reported) + 1, ...content };
  const [wrong] = routeSchema.Errors(route);
  if (wrong === undefined) return route;
  throw new RangeError(
    `no router would take the route: ${wrong.instancePath.slice(1).replaceAll('/', '.')} ${wrong.message}`,
  );
}

const routeSchema = Compile(Route);

/** The route in a ConfigMap; undefined where none can be read, and a new one has to be written. */
export function routeIn(configMap: ConfigMap | undefined): Route | undefined {
  const text = configMap?.data?.[ROUTE_KEY];
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return routeSchema.Check(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** @param weights as decided: those in the route of an ensemble are all 0 */
export function desiredRoute(
  owner: Owner,
  route: Route,
  weights: ReadonlyMap<string, number>,
  reader: 'Router' | 'GatewayAPI',
): DesiredObject {
  const [name, label] =
    reader === 'Router' ? [routeName(owner.name), READ_BY_ROUTERS] : [gatewayRouteName(owner.name), 'gateway'];
  return {
    metadata: childMetadata(owner, name, { [LABELS.route]: label }),
    data: {
      [ROUTE_KEY]: JSON.stringify(route),
      ...(route.ensemble && { [WEIGHTS_KEY]: JSON.stringify(Object.fromEntries(weights)) }),
    },
  };
}

/** Finds routes by their port for REST, in the namespace whose routers listen there. */
export function routerPortKey(namespace: string | undefined, restPort: number): string {
  return `${namespace ?? ''}/${restPort}`;
}

/** By which its port is found. What Gateways were told holds none. */
export function routerPortOf(configMap: ConfigMap): readonly string[] {
  const { labels, namespace } = configMap.metadata;
  const route = labels?.[LABELS.route] === READ_BY_ROUTERS ? routeIn(configMap) : undefined;
  return route === undefined ? [] : [routerPortKey(namespace, route.ports.http)];
}

/**
 * The routes that have a port, but for that of `owner`.
 * @param holders the ConfigMaps of all that have it
 * @param createdAt when the owner's route was made, or else the owner itself, as Kubernetes says it
 */
export function otherRoutes(holders: readonly ConfigMap[], owner: Owner, createdAt: string): readonly OtherRoute[] {
  const own = routeName(owner.name);
  return holders
    .filter(({ metadata }) => metadata.name !== own)
    .map(({ metadata: { name, creationTimestamp = '' } }) => ({
      isOlder: creationTimestamp < createdAt || (creationTimestamp === createdAt && name < own),
    }));
}

/** By revision, as they were decided. */
export function weightsIn(configMap: ConfigMap | undefined, route: Route | undefined): ReadonlyMap<string, number> {
  const text = configMap?.data?.[WEIGHTS_KEY];
  if (route?.ensemble !== undefined && text !== undefined) {
    return new Map(Object.entries(JSON.parse(text) as Record<string, number>));
  }
  return new Map(route?.backends.map(({ revision, weight }) => [revision, weight]) ?? []);
}
