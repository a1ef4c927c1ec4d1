/** What stands in the way of a Gateway that the spec names, and that only the cluster can tell. */
import type { ModelDeploymentSpec } from '../../../api/v1alpha1/model-deployment.ts';
import type { ApiError } from '../../../runtime/api-error.ts';
import { type Resource, resourceName } from '../../../runtime/types.ts';
import type { Refusal } from '../acceptance.ts';
import { GATEWAY_API_RELEASE, GRPC_ROUTES, HTTP_ROUTES } from './resources.ts';

const INSTALL = `install the CRDs of the Gateway API (standard channel, ${GATEWAY_API_RELEASE} or later)`;

/** @param isInstalled whether the API server has a kind */
export function gatewayRefusal(
  { traffic }: Pick<ModelDeploymentSpec, 'traffic'>,
  isInstalled: (resource: Resource) => boolean,
): Refusal | undefined {
  const gateway = traffic?.expose?.gateway;
  if (gateway === undefined) return undefined;
  const needed = [HTTP_ROUTES, ...(gateway.grpc === undefined ? [] : [GRPC_ROUTES])];
  const missing = needed.filter((resource) => !isInstalled(resource)).map(resourceName);
  if (missing.length === 0) return undefined;
  return {
    reason: 'GatewayApiMissing',
    message:
      `traffic.expose.gateway: this cluster does not have ${missing.join(' and ')} in version v1: ${INSTALL} and a ` +
      'gateway that implements it',
  };
}

/** The API server has the kind, but of an older release: it does not know a field that is needed, and says which. */
export function strictnessRefusal(error: ApiError): Refusal | undefined {
  const unknown = error.status === 400 ? /unknown field "([^"]+)"/.exec(error.message)?.[1] : undefined;
  if (unknown === undefined) return undefined;
  const message = `the routes of this cluster have no ${unknown}, which a mirror by percentage needs: ${INSTALL}`;
  return { reason: 'GatewayApiMissing', message };
}
