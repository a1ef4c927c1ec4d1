/** A ModelDeployment on a load balancer of the cloud: a Service beside its own, which stays as it is for the cluster. */
import { PORTS } from '../../../api/names.ts';
import type { LoadBalancerExposure } from '../../../api/v1alpha1/expose.ts';
import type { DesiredObject } from '../../../runtime/apply.ts';
import type { LoadBalancerStatus } from '../../resources.ts';
import { childMetadata, type Owner } from '../children.ts';
import type { Addresses } from './addresses.ts';

export function loadBalancerName(owner: Pick<Owner, 'name'>): string {
  return `${owner.name}-external`;
}

/** @param inside the ModelDeployment's own Service, as it should be: both lead to the same pods */
export function desiredLoadBalancer(
  owner: Owner,
  { annotations, sourceRanges }: LoadBalancerExposure,
  inside: DesiredObject,
): DesiredObject {
  const { selector, ports } = inside.spec as { readonly selector: object; readonly ports: readonly object[] };
  return {
    metadata: childMetadata(owner, loadBalancerName(owner), {}, annotations),
    spec: {
      type: 'LoadBalancer',
      ...(sourceRanges && { loadBalancerSourceRanges: sourceRanges }),
      selector,
      ports,
    },
  };
}

/** Empty until the cloud has given it an address. */
export function loadBalancerAddresses(status: LoadBalancerStatus | undefined, hasGrpc: boolean): Addresses {
  const host = hostOf(status);
  if (host === undefined) return {};
  return { http: `http://${host}`, ...(hasGrpc && { grpc: `${host}:${PORTS.grpc.service}` }) };
}

/** Where a load balancer listens, as it stands in a URL. */
export function hostOf(status: LoadBalancerStatus | undefined): string | undefined {
  const [first] = status?.ingress ?? [];
  return first?.hostname ?? (first?.ip === undefined ? undefined : hostOfIp(first.ip));
}

/** @returns an IP address as it stands in a URL */
export function hostOfIp(ip: string): string {
  return ip.includes(':') ? `[${ip}]` : ip;
}
