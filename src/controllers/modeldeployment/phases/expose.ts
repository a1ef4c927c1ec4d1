import type { Route } from '../../../api/route.ts';
import { ApiError } from '../../../runtime/api-error.ts';
import type { DesiredObject } from '../../../runtime/apply.ts';
import { identityOf } from '../../../runtime/prune.ts';
import type { CacheReader } from '../../../runtime/reconcile-context.ts';
import { keyOf, objectKey } from '../../../runtime/types.ts';
import { SERVICES } from '../../resources.ts';
import { type DesiredExposure, desiredExposure, type Exposure, NOT_EXPOSED } from '../exposure/exposure.ts';
import { ingressAddresses } from '../exposure/ingress.ts';
import { loadBalancerAddresses, loadBalancerName } from '../exposure/load-balancer.ts';
import { INGRESSES } from '../exposure/resources.ts';
import { meaningOf } from '../failure.ts';
import { acknowledgementOf } from '../gateway/acknowledgement.ts';
import { gatewayAddresses } from '../gateway/addresses.ts';
import { schemaRefusal } from '../gateway/refusal.ts';
import { GATEWAYS, GRPC_ROUTES, HTTP_ROUTES } from '../gateway/resources.ts';
import { splitOfRoute, splitToService } from '../gateway/split.ts';
import { lookAgain, type Scope } from '../scope.ts';
import type { PhaseContext } from './phase.ts';

/** How soon what was refused is tried again: what is in the way may go by itself. */
const REFUSED_RETRY_MS = 30_000;

/**
 * Publishes the ModelDeployment outside of the cluster as `traffic.expose` wants it, takes away what published it
 * otherwise, and sets `scope.exposure`. With provider GatewayAPI this is what splits the requests. What is refused, as
 * where the cluster's Gateway API lacks something, is in `scope.refusal`; it holds nothing else up.
 *
 * @param inside the ModelDeployment's own Service, as it should be
 * @param route where requests go, with provider GatewayAPI; undefined while no revision can answer
 */
export async function expose(
  scope: Scope,
  context: PhaseContext,
  inside: DesiredObject,
  route: Route | undefined,
): Promise<void> {
  const { object, owner, isHeld } = scope;
  const hasGrpc = (inside.spec as { readonly ports: readonly object[] }).ports.length > 1;
  const isSplitHere = scope.routing.splitter === 'GatewayAPI';
  const split = isSplitHere ? route && splitOfRoute(route) : splitToService(owner.name, hasGrpc);
  const desired = desiredExposure(owner, object.spec, inside, split);
  // While the spec cannot be acted on, what stands follows the rollout, and nothing else is published.
  const stands = (each: DesiredExposure) => context.cache.get(each.resource, keyOf(each.desired)) !== undefined;
  const wanted = isHeld ? desired.filter(stands) : desired;
  try {
    await Promise.all(wanted.map(({ resource, desired }) => context.apply(resource, desired)));
  } catch (error) {
    const meaning = meaningOf(error);
    const lacking = error instanceof ApiError ? schemaRefusal(error) : undefined;
    scope.refusal = lacking ?? (meaning.kind === 'refused' ? meaning.refusal : undefined);
    if (scope.refusal === undefined) throw error;
    lookAgain(scope, scope.nowMs + REFUSED_RETRY_MS);
    return;
  }
  // While nothing can answer, the route that stands stays: a Gateway without one would say that the host is unknown.
  if (split !== undefined && !isHeld) await withdraw(scope, context, wanted);
  scope.exposure = exposureOf(object, context.cache, hasGrpc);
}

/** What is published now, from caches alone. */
export function exposureOf(object: Scope['object'], cache: CacheReader, hasGrpc: boolean): Exposure {
  const { namespace, name, uid = '' } = object.metadata;
  const { loadBalancer, ingress, gateway } = object.spec.traffic?.expose ?? {};
  if (loadBalancer === undefined && ingress === undefined && gateway === undefined) return NOT_EXPOSED;
  const outside = loadBalancer && cache.get(SERVICES, objectKey({ namespace, name: loadBalancerName({ name }) }));
  const at = gateway && { namespace: gateway.namespace ?? namespace, name: gateway.name };
  // Of several, the one behind which clients find most comes last and counts.
  const addresses = {
    ...(loadBalancer && loadBalancerAddresses(outside?.status?.loadBalancer, hasGrpc)),
    ...(ingress && ingressAddresses(ingress)),
    ...(gateway && at && gatewayAddresses(gateway, cache.get(GATEWAYS, objectKey(at)))),
  };
  const routes = [HTTP_ROUTES, GRPC_ROUTES].flatMap((resource) => cache.ownedBy(resource, uid));
  return { addresses, acknowledgement: gateway && acknowledgementOf(routes) };
}

/** The Services of revisions, and the ModelDeployment's own, are not looked at. */
async function withdraw(
  { object, owner }: Scope,
  context: PhaseContext,
  wanted: readonly DesiredExposure[],
): Promise<void> {
  const keep = new Set(wanted.map(({ resource, desired }) => identityOf(resource, desired)));
  await context.prune(object, [INGRESSES, HTTP_ROUTES, GRPC_ROUTES], keep);
  const services = context.cache.ownedBy(SERVICES, object.metadata.uid ?? '');
  const others = services.filter(({ metadata }) => metadata.name !== loadBalancerName(owner));
  await context.prune(object, [SERVICES], new Set([...keep, ...others.map((each) => identityOf(SERVICES, each))]));
}
