/** What stands in the way of a Gateway that the spec names, and that only the cluster can tell. */
import { compileRollout } from '../../../rollout/compile.ts';
import type { ApiError } from '../../../runtime/api-error.ts';
import type { CacheReader } from '../../../runtime/reconcile-context.ts';
import { objectKey, resourceName } from '../../../runtime/types.ts';
import type { ModelDeployment } from '../../kinds.ts';
import type { Refusal } from '../acceptance.ts';
import { GATEWAY_API_RELEASE, GATEWAY_CLASSES, GATEWAYS, GRPC_ROUTES, HTTP_ROUTES } from './resources.ts';

const INSTALL = `install the CRDs of the Gateway API (standard channel, ${GATEWAY_API_RELEASE} or later)`;

/** Reasons that go by themselves once the cluster has what is missing. */
export const GATEWAY_REASONS: ReadonlySet<Refusal['reason']> = new Set(['GatewayApiMissing', 'UnsupportedByGateway']);

type Cluster = Pick<CacheReader, 'get' | 'isInstalled'>;

export function gatewayRefusal(object: ModelDeployment, cluster: Cluster): Refusal | undefined {
  const gateway = object.spec.traffic?.expose?.gateway;
  if (gateway === undefined) return undefined;
  const needed = [HTTP_ROUTES, GATEWAYS, ...(gateway.grpc === undefined ? [] : [GRPC_ROUTES])];
  const missing = needed.filter((resource) => !cluster.isInstalled(resource)).map(resourceName);
  if (missing.length === 0) return mirrorRefusal(object, cluster);
  const what = `${missing.join(' and ')} in version v1, or the operator may not read them`;
  return {
    reason: 'GatewayApiMissing',
    message: `traffic.expose.gateway: this cluster has no ${what}: ${INSTALL} and a gateway that implements it`,
  };
}

/**
 * Not every gateway copies requests, and one that does not may answer all requests of such a route with an error though
 * it accepts the route. What a gateway can do is on its class; one that says nothing there is trusted.
 */
function mirrorRefusal({ spec, metadata }: ModelDeployment, cluster: Cluster): Refusal | undefined {
  const { provider, expose } = spec.traffic ?? {};
  const mirrors = compileRollout(spec.rollout).steps.filter(({ kind }) => kind === 'mirror');
  if (provider !== 'GatewayAPI' || expose?.gateway === undefined || mirrors.length === 0) return undefined;
  const { name, namespace = metadata.namespace } = expose.gateway;
  const className = cluster.get(GATEWAYS, objectKey({ namespace, name }))?.spec?.gatewayClassName;
  // Not ours to read in a namespaced install; asking is what makes the cache follow them once they are there.
  if (className === undefined || !cluster.isInstalled(GATEWAY_CLASSES)) return undefined;
  const features = cluster.get(GATEWAY_CLASSES, className)?.status?.supportedFeatures ?? [];
  if (features.length === 0) return undefined;
  const isPartial = mirrors.some(({ percent }) => percent < 100);
  const needed = ['HTTPRouteRequestMirror', ...(isPartial ? ['HTTPRouteRequestPercentageMirror'] : [])];
  const lacking = needed.filter((feature) => !features.some((supported) => supported.name === feature));
  if (lacking.length === 0) return undefined;
  return {
    reason: 'UnsupportedByGateway',
    message:
      `rollout.steps: a mirror needs ${lacking.join(' and ')}, which Gateway ${name} of class ${className} does not ` +
      'support: leave the mirror out, or take traffic.provider: Router',
  };
}

/** The API server has the kind, but of an older release: it does not know a field that is needed, and says which. */
export function schemaRefusal(error: ApiError): Refusal | undefined {
  const unknown = /: (\.spec\S+): field not declared in schema/.exec(error.message)?.[1];
  if (unknown === undefined) return undefined;
  const message = `the routes of this cluster have no ${unknown.slice(1)}, which a mirror by percentage needs: ${INSTALL}`;
  return { reason: 'GatewayApiMissing', message };
}
