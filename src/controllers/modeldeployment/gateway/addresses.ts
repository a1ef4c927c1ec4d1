/** Where clients reach a route by its Gateway. */
import type { GatewayExposure } from '../../../api/v1alpha1/expose.ts';
import type { Addresses } from '../exposure/addresses.ts';
import { hostOfIp } from '../exposure/load-balancer.ts';
import type { Gateway, GatewayListener } from './resources.ts';

/**
 * @param gateway undefined where it does not exist, or is in a namespace that the operator does not see: then nothing is
 *   known about its ports
 */
export function gatewayAddresses(exposure: GatewayExposure, gateway: Gateway | undefined): Addresses {
  if (gateway === undefined) return {};
  const http = reached(exposure, gateway);
  const grpc = exposure.grpc && reached(exposure.grpc, gateway);
  return { ...(http && { http: urlOf(http) }), ...(grpc && { grpc: `${grpc.host}:${grpc.listener.port}` }) };
}

interface Reached {
  readonly host: string;
  readonly listener: GatewayListener;
}

function reached(
  { sectionName, hostnames = [] }: Pick<GatewayExposure, 'sectionName' | 'hostnames'>,
  { spec, status }: Gateway,
): Reached | undefined {
  const listeners = (spec?.listeners ?? []).filter(({ protocol }) => protocol === 'HTTP' || protocol === 'HTTPS');
  // Of several that are open to the route, clients are better told of one that encrypts.
  const listener = sectionName
    ? listeners.find(({ name }) => name === sectionName)
    : (listeners.find(({ protocol }) => protocol === 'HTTPS') ?? listeners[0]);
  if (listener === undefined) return undefined;
  const named = [...hostnames, ...(listener.hostname ? [listener.hostname] : [])].find((name) => !name.startsWith('*'));
  const [address] = status?.addresses ?? [];
  const host = named ?? (address && (address.type === 'Hostname' ? address.value : hostOfIp(address.value)));
  return host === undefined ? undefined : { host, listener };
}

function urlOf({ host, listener: { protocol, port } }: Reached): string {
  const [scheme, usual] = protocol === 'HTTPS' ? ['https', 443] : ['http', 80];
  return `${scheme}://${host}${port === usual ? '' : `:${port}`}`;
}
