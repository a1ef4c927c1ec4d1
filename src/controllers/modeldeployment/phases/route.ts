import type { DecidedRoute } from '../../../rollout/types.ts';
import type { DesiredObject } from '../../../runtime/apply.ts';
import { objectKey } from '../../../runtime/types.ts';
import { MODEL_DEPLOYMENTS } from '../../kinds.ts';
import { CONFIG_MAPS, SERVICES } from '../../resources.ts';
import { acknowledgementOf, gatewayAcknowledgement } from '../routing/acknowledgement.ts';
import { nextLead } from '../routing/lead.ts';
import { withModelNames } from '../routing/model-names.ts';
import type { RoutesAt } from '../routing/ports.ts';
import {
  BY_ROUTER_PORT,
  desiredRoute,
  gatewayRouteName,
  numbered,
  otherRoutes,
  portsOf,
  reweighted,
  routeContent,
  routeName,
  routerPortKey,
  UNUSED_SINCE,
} from '../routing/route.ts';
import { lookAgain, type Scope } from '../scope.ts';
import { desiredService, type ServiceLead, speaksGrpc } from '../services.ts';
import { expose } from './expose.ts';
import type { Phase, PhaseContext } from './phase.ts';

/** How long a route stands that the Service no longer leads to: endpoints take a moment to follow everywhere. */
const UNUSED_MS = 30_000;
/** Tells whoever splits the requests where they go now, and leads the Service to them once they all know. */
export const route: Phase = async (scope, context) => {
  const { splitter } = scope.routing;
  if (splitter !== 'None') await writeRoute(scope, context, splitter);
  const inside = await leadService(scope, context);
  await expose(scope, context, inside, splitter === 'GatewayAPI' ? scope.routing.route : undefined);
  if (splitter !== 'Router') await retireRoute(scope, context);
  if (splitter !== 'GatewayAPI') await forgetGatewayRoute(scope, context);
  return 'continue';
};

async function writeRoute(scope: Scope, context: PhaseContext, splitter: 'Router' | 'GatewayAPI'): Promise<void> {
  const { object, owner, routing } = scope;
  const decided = scope.decision?.route;
  if (decided === undefined) return;
  const { routers, route: standing } = routing;
  const own = context.cache.get(CONFIG_MAPS, objectKey({ namespace: owner.namespace, name: routeName(owner.name) }));
  const createdAt = own?.metadata.creationTimestamp ?? object.metadata.creationTimestamp ?? '';
  const { namespace } = owner;
  const others: RoutesAt = (port) =>
    otherRoutes(context.cache.byIndex(CONFIG_MAPS, BY_ROUTER_PORT, routerPortKey(namespace, port)), owner, createdAt);
  const restPort = context.ports.restPortOf(owner, standing?.ports.http, others);
  const reported = Math.max(0, ...routers.map(({ applied }) => applied[owner.name] ?? 0));
  const content = contentOf(scope, decided, restPort);
  const named = withModelNames(content, (name) => context.cache.get(MODEL_DEPLOYMENTS, objectKey({ namespace, name })));
  const written = numbered(named, standing, reported);
  const configMap = await context.apply(CONFIG_MAPS, desiredRoute(owner, written, decided.weights, splitter));
  await context.annotate(CONFIG_MAPS, configMap, { [UNUSED_SINCE]: undefined });
  scope.hasNewRoute = written.generation !== standing?.generation;
  const acknowledgement =
    splitter === 'Router'
      ? acknowledgementOf(routers, owner.name, written.generation)
      : gatewayAcknowledgement(scope.exposure.acknowledgement, written.generation);
  scope.routing = { ...routing, route: written, weights: decided.weights, acknowledgement };
}

function contentOf({ object, owner, revisions, routing, isHeld }: Scope, decided: DecidedRoute, restPort: number) {
  const ports = portsOf(object.spec, revisions, routing.route);
  if (isHeld && routing.route !== undefined) return reweighted(routing.route, decided, ports);
  return routeContent({ owner, spec: object.spec, decided, restPort, portsOf: ports });
}

async function leadService(scope: Scope, context: PhaseContext): Promise<DesiredObject> {
  const { object, owner, routing, decision, revisions } = scope;
  const { splitter, lead: now, route: standing, acknowledgement } = routing;
  const weights = [...(decision?.route?.weights ?? [])].filter(([, weight]) => weight > 0);
  const lead: ServiceLead = nextLead({
    splitter,
    now,
    route: standing,
    acknowledgement,
    sole: splitter === 'GatewayAPI' ? decision?.route?.stable : weights.length === 1 ? weights[0]?.[0] : undefined,
    ready: new Map(revisions.map(({ name, ready }) => [name, ready])),
  });
  const desired = desiredService(owner, lead, speaksGrpc(object.spec, revisions));
  await context.apply(SERVICES, desired);
  // What was decided knew another way of requests.
  if (now !== undefined && now.to !== lead.to) {
    scope.hasNewRoute = true;
    lookAgain(scope, scope.nowMs);
  }
  scope.routing = { ...scope.routing, lead };
  return desired;
}

/** Clients may still come by routers for a moment after the Service has turned away from them. */
async function retireRoute(scope: Scope, { cache, client, annotate }: PhaseContext): Promise<void> {
  const { namespace, name } = scope.owner;
  const configMap = cache.get(CONFIG_MAPS, objectKey({ namespace, name: routeName(name) }));
  if (configMap === undefined || configMap.metadata.deletionTimestamp !== undefined) return;
  const since = Number(configMap.metadata.annotations?.[UNUSED_SINCE]);
  if (!Number.isFinite(since)) {
    await annotate(CONFIG_MAPS, configMap, { [UNUSED_SINCE]: String(scope.nowMs) });
    lookAgain(scope, scope.nowMs + UNUSED_MS);
  } else if (scope.nowMs < since + UNUSED_MS) {
    lookAgain(scope, since + UNUSED_MS);
  } else {
    await client.delete(CONFIG_MAPS, configMap.metadata, { uid: configMap.metadata.uid });
  }
}

async function forgetGatewayRoute(
  { owner: { namespace, name } }: Scope,
  { cache, client }: PhaseContext,
): Promise<void> {
  const record = cache.get(CONFIG_MAPS, objectKey({ namespace, name: gatewayRouteName(name) }));
  if (record === undefined || record.metadata.deletionTimestamp !== undefined) return;
  await client.delete(CONFIG_MAPS, record.metadata, { uid: record.metadata.uid });
}
