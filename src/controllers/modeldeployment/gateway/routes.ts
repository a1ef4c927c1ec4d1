/** HTTPRoutes and GRPCRoutes, as they should be. */
import { API_GROUP } from '../../../api/names.ts';
import type { GatewayExposure } from '../../../api/v1alpha1/expose.ts';
import type { DesiredObject } from '../../../runtime/apply.ts';
import { childMetadata, type Owner } from '../children.ts';
import type { GatewayBackend, GatewaySplit } from './split.ts';

/** On a route: the generation of the split that it carries. */
export const SPLIT_GENERATION = `${API_GROUP}/split-generation`;

type Protocol = 'http' | 'grpc';
type Attachment = Pick<GatewayExposure, 'sectionName' | 'hostnames'>;

export function desiredHttpRoute(owner: Owner, gateway: GatewayExposure, split: GatewaySplit): DesiredObject {
  return desiredRoute(owner, gateway, gateway, split, 'http');
}

/**
 * Undefined where the user names no place for gRPC on the Gateway, or nobody who speaks it has a share. It needs a listener or a
 * hostname of its own: of an HTTPRoute and a GRPCRoute with one hostname on one listener, a gateway accepts only one.
 */
export function desiredGrpcRoute(
  owner: Owner,
  gateway: GatewayExposure,
  split: GatewaySplit,
): DesiredObject | undefined {
  const speaking = speakingGrpc(split);
  const leads = speaking.match.length > 0 || speaking.backends.some(({ weight }) => weight > 0);
  if (gateway.grpc === undefined || !leads) return undefined;
  return desiredRoute(owner, gateway, gateway.grpc, speaking, 'grpc');
}

/** As routers do it: revisions that speak none are passed over, and the others have their shares. */
function speakingGrpc({ backends, match, mirror, ...rest }: GatewaySplit): GatewaySplit {
  const speaks = ({ ports }: GatewayBackend) => ports.grpc !== undefined;
  return {
    ...rest,
    backends: backends.filter(speaks),
    match: match.filter(({ backend }) => speaks(backend)),
    ...(mirror && speaks(mirror.backend) && { mirror }),
  };
}

function desiredRoute(
  owner: Owner,
  { name, namespace }: GatewayExposure,
  { sectionName, hostnames }: Attachment,
  split: GatewaySplit,
  protocol: Protocol,
): DesiredObject {
  const parent = { name, ...(namespace && { namespace }), ...(sectionName && { sectionName }) };
  return {
    metadata: childMetadata(owner, owner.name, {}, { [SPLIT_GENERATION]: String(split.generation) }),
    spec: {
      parentRefs: [parent],
      ...(hostnames && hostnames.length > 0 && { hostnames }),
      rules: rulesOf(split, protocol),
    },
  };
}

/** Among rules that match alike the first one decides, so that headers come before weights. */
function rulesOf({ backends, match, mirror }: GatewaySplit, protocol: Protocol): readonly object[] {
  const weighted = backends.filter(({ weight }) => weight > 0);
  const rule = (to: readonly GatewayBackend[], headers?: readonly object[]) => ({
    ...(headers && { matches: [{ headers }] }),
    ...filtersOf(mirror, to, protocol),
    backendRefs: to.map((backend) => ({
      ...backendRef(backend, protocol),
      weight: to.length > 1 ? backend.weight : 1,
    })),
  });
  return [
    ...match.map(({ name, value, backend }) => rule([backend], [{ type: 'Exact', name, value }])),
    ...(weighted.length > 0 ? [rule(weighted)] : []),
  ];
}

function backendRef({ service, ports }: GatewayBackend, protocol: Protocol): { name: string; port: number } {
  return { name: service, port: ports[protocol] ?? ports.http };
}

/** Nothing is copied to the backend that answers it. */
function filtersOf(mirror: GatewaySplit['mirror'], to: readonly GatewayBackend[], protocol: Protocol): object {
  if (mirror === undefined || to.every(({ service }) => service === mirror.backend.service)) return {};
  const requestMirror = { backendRef: backendRef(mirror.backend, protocol), ...share(mirror.percent) };
  return { filters: [{ type: 'RequestMirror', requestMirror }] };
}

const FRACTIONS = 100_000;

/** All is what every implementation copies; a whole percentage is understood by more of them than a fraction. */
function share(percent: number): object {
  if (percent === 100) return {};
  if (Number.isInteger(percent)) return { percent };
  const numerator = Math.max(1, Math.round((percent * FRACTIONS) / 100));
  return { fraction: { numerator, denominator: FRACTIONS } };
}
