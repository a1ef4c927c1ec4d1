/** What a gateway says about the routes that it was given. */
import type { GatewayRoute, ParentRef, RouteCondition, RouteParentStatus } from './resources.ts';
import { SPLIT_GENERATION } from './routes.ts';

export type Acknowledgement =
  /** The gateway has taken the routes as they are now: it sends by the split of this generation. */
  | { readonly kind: 'acknowledged'; readonly generation: number }
  | { readonly kind: 'waiting'; readonly message: string }
  /** It will not have them as they are now; a change of the Gateway, its listeners or the spec can help. */
  | { readonly kind: 'refused'; readonly message: string };

/** Of all routes of a ModelDeployment; what is refused is told before what is waited for. */
export function acknowledgementOf(routes: readonly GatewayRoute[]): Acknowledgement {
  if (routes.length === 0) return { kind: 'waiting', message: 'the route is not written yet' };
  const each = routes.map(acknowledgementOfRoute);
  const worst = each.find(({ kind }) => kind === 'refused') ?? each.find(({ kind }) => kind === 'waiting');
  if (worst !== undefined) return worst;
  const generations = each.flatMap((one) => (one.kind === 'acknowledged' ? [one.generation] : []));
  return { kind: 'acknowledged', generation: Math.min(...generations) };
}

function acknowledgementOfRoute(route: GatewayRoute): Acknowledgement {
  const name = `${route.kind} ${route.metadata.name}`;
  // What a gateway said that the route was taken from may stay for ever.
  const parents = (route.status?.parents ?? []).filter(({ parentRef }) => isParent(parentRef, route));
  if (parents.length === 0) {
    const [wanted] = route.spec?.parentRefs ?? [];
    const message = `no gateway has looked at ${name} yet; it waits for Gateway ${wanted?.name ?? ''}`;
    return { kind: 'waiting', message };
  }
  const current = parents.flatMap((parent) =>
    (['Accepted', 'ResolvedRefs'] as const).map((type) => ({ parent, type, said: saidOf(parent, type, route) })),
  );
  const refused = current.find(({ said }) => said?.status === 'False');
  if (refused !== undefined) {
    const { reason = 'Unknown', message = '' } = refused.said ?? {};
    const gateway = `Gateway ${refused.parent.parentRef.name}`;
    return { kind: 'refused', message: `${gateway} refuses ${name} (${refused.type}: ${reason}): ${message}` };
  }
  const missing = current.find(({ said }) => said?.status !== 'True');
  if (missing !== undefined) {
    const generation = route.metadata.generation ?? 0;
    const gateway = `Gateway ${missing.parent.parentRef.name}`;
    return { kind: 'waiting', message: `${gateway} has not taken generation ${generation} of ${name} yet` };
  }
  return { kind: 'acknowledged', generation: Number(route.metadata.annotations?.[SPLIT_GENERATION] ?? 0) };
}

function isParent(said: ParentRef, { spec, metadata }: GatewayRoute): boolean {
  const own = metadata.namespace ?? '';
  return (spec?.parentRefs ?? []).some(
    (wanted) =>
      wanted.name === said.name &&
      (wanted.namespace ?? own) === (said.namespace ?? own) &&
      wanted.sectionName === said.sectionName,
  );
}

/** The condition, if it speaks of the route as it is now. */
function saidOf({ conditions = [] }: RouteParentStatus, type: string, route: GatewayRoute): RouteCondition | undefined {
  const said = conditions.find((condition) => condition.type === type);
  return (said?.observedGeneration ?? 0) >= (route.metadata.generation ?? 0) ? said : undefined;
}
