/** What publishes a ModelDeployment outside of the cluster, as it should be. */
import type { ModelDeploymentSpec } from '../../../api/v1alpha1/model-deployment.ts';
import type { DesiredObject } from '../../../runtime/apply.ts';
import type { Resource } from '../../../runtime/types.ts';
import { SERVICES } from '../../resources.ts';
import type { Owner } from '../children.ts';
import type { Acknowledgement } from '../gateway/acknowledgement.ts';
import { GRPC_ROUTES, HTTP_ROUTES } from '../gateway/resources.ts';
import { desiredGrpcRoute, desiredHttpRoute } from '../gateway/routes.ts';
import type { GatewaySplit } from '../gateway/split.ts';
import type { Addresses } from './addresses.ts';
import { desiredIngress } from './ingress.ts';
import { desiredLoadBalancer } from './load-balancer.ts';
import { INGRESSES } from './resources.ts';

/** What came of publishing it. */
export interface Exposure {
  /** As far as they are known. */
  readonly addresses: Addresses;
  /** What the Gateway says; undefined where none is asked. */
  readonly acknowledgement: Acknowledgement | undefined;
}

export const NOT_EXPOSED: Exposure = { addresses: {}, acknowledgement: undefined };

export interface DesiredExposure {
  readonly resource: Resource;
  readonly desired: DesiredObject;
}

/**
 * @param inside the ModelDeployment's own Service, as it should be
 * @param split what the Gateway is asked to do; undefined while there is nothing to send to
 */
export function desiredExposure(
  owner: Owner,
  { traffic }: Pick<ModelDeploymentSpec, 'traffic'>,
  inside: DesiredObject,
  split: GatewaySplit | undefined,
): readonly DesiredExposure[] {
  const { loadBalancer, ingress, gateway } = traffic?.expose ?? {};
  const grpcRoute = gateway && split && desiredGrpcRoute(owner, gateway, split);
  return [
    ...(loadBalancer ? [{ resource: SERVICES, desired: desiredLoadBalancer(owner, loadBalancer, inside) }] : []),
    ...(ingress ? [{ resource: INGRESSES, desired: desiredIngress(owner, ingress) }] : []),
    ...(gateway && split ? [{ resource: HTTP_ROUTES, desired: desiredHttpRoute(owner, gateway, split) }] : []),
    ...(grpcRoute ? [{ resource: GRPC_ROUTES, desired: grpcRoute }] : []),
  ];
}
