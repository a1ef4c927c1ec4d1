import { type Destination, Route } from '../../api/route.ts';
import { schemaMismatch } from '../schema-mismatch.ts';

/** A route that no router applies; the message says why, with the names and numbers. */
export class RouteRefused extends Error {
  override readonly name = 'RouteRefused';
}

/** Headers and cookies are named by tokens (RFC 9110). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * Reads a route as the operator wrote it.
 * @throws RouteRefused when it is no JSON, breaks the schema, or contradicts itself.
 */
export function parseRoute(text: string): Route {
  let route: unknown;
  try {
    route = JSON.parse(text);
  } catch (error) {
    throw new RouteRefused(`the route is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const mismatch = schemaMismatch(Route, route, 'the route');
  if (mismatch !== undefined) throw new RouteRefused(mismatch);
  const contradiction = firstContradiction(route as Route);
  if (contradiction !== undefined) throw new RouteRefused(contradiction);
  return route as Route;
}

/** What a schema cannot say. */
function firstContradiction(route: Route): string | undefined {
  const { backends, match = [], mirror, fallback, ensemble, sticky, ports } = route;
  const revisions = backends.map(({ revision }) => revision);
  const twice = revisions.find((revision, index) => revisions.indexOf(revision) < index);
  if (twice !== undefined) return `/backends name revision ${twice} twice`;
  if (ports.http === ports.grpc) return `/ports http and grpc are both ${ports.http}`;
  const weights = backends.reduce((sum, { weight }) => sum + weight, 0);
  if (weights !== 100 && weights !== 0) {
    return `/backends weights (${backends.map(({ weight }) => weight).join(' + ')} = ${weights}) must add up to 100, or all be 0`;
  }
  const names = [...match.map(({ name }) => name), ...(sticky === undefined ? [] : [sticky.source.name])];
  const bad = names.find((name) => !TOKEN.test(name));
  if (bad !== undefined) return `${JSON.stringify(bad)} is no name of a header or cookie`;
  if (ensemble !== undefined && (weights > 0 || mirror !== undefined || fallback !== undefined)) {
    return '/ensemble excludes weights, mirror and fallback';
  }
  const unknown = (where: string, revision: string): string | undefined =>
    revisions.includes(revision)
      ? undefined
      : `${where} names revision ${revision}; /backends are ${revisions.join(', ')}`;
  const unreachable = (where: string, to: Destination): string | undefined => {
    if ('revision' in to) return unknown(where, to.revision);
    return to.modelDeployment === route.modelDeployment ? `${where} is the ModelDeployment itself` : undefined;
  };
  const complaints = [
    ...match.map(({ revision }, index) => unknown(`/match/${index}`, revision)),
    mirror && unknown('/mirror', mirror.revision),
    fallback && unreachable('/fallback/to', fallback.to),
    ...(ensemble?.members ?? []).map(({ to }, index) => unreachable(`/ensemble/members/${index}/to`, to)),
  ];
  return complaints.find((complaint) => complaint !== undefined);
}
