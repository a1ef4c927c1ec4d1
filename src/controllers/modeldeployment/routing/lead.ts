/** Where the Service of a ModelDeployment leads, and when it may lead elsewhere: never to where nobody answers. Pure. */
import { LABELS, PORTS } from '../../../api/names.ts';
import type { Route } from '../../../api/route.ts';
import type { Service } from '../../resources.ts';
import { COMPONENT_LABEL } from '../children.ts';
import type { ServiceLead } from '../services.ts';
import type { Acknowledgement } from './acknowledgement.ts';
import type { Splitter } from './splitter.ts';

/** Where a Service leads now, by its selector; undefined where it does not exist. */
export function leadOf(service: Service | undefined): ServiceLead | undefined {
  if (service === undefined) return undefined;
  const { selector = {}, ports = [] } = service.spec ?? {};
  if (selector[COMPONENT_LABEL] !== 'router') return { to: 'servers', revision: selector[LABELS.revision] };
  const target = (name: string) => ports.find((port) => port.name === name)?.targetPort;
  const grpc = target(PORTS.grpc.name);
  return {
    to: 'routers',
    ports: { http: Number(target(PORTS.http.name)), ...(grpc !== undefined && { grpc: Number(grpc) }) },
  };
}

export interface LeadInput {
  readonly splitter: Splitter;
  readonly now: ServiceLead | undefined;
  /** The route as it is written, and what routers say of it; undefined where there is none. */
  readonly route: Route | undefined;
  readonly acknowledgement: Acknowledgement | undefined;
  /** The revision that is to have all requests that come directly; undefined where all may have some. */
  readonly sole: string | undefined;
  /** Ready pods by revision. */
  readonly ready: ReadonlyMap<string, number>;
}

/**
 * Routers take over only once every one of them applies the route and one is ready; they keep the Service until they are
 * not wanted any more. Before, a revision that is taking over must not get requests just because its pods are ready.
 */
export function nextLead({ splitter, now, route, acknowledgement, sole, ready }: LeadInput): ServiceLead {
  const direct = directLead(now, sole, ready);
  if (splitter !== 'Router') return splitter === 'None' ? { to: 'servers' } : direct;
  const mayMove = acknowledgement?.isComplete === true && acknowledgement.hasReadyRouter;
  if (route !== undefined && mayMove) return { to: 'routers', ports: route.ports };
  return now?.to === 'routers' ? now : direct;
}

function directLead(
  now: ServiceLead | undefined,
  sole: string | undefined,
  ready: ReadonlyMap<string, number>,
): ServiceLead {
  const serves = [...ready.values()].some((count) => count > 0);
  // A revision without a ready pod takes the Service from none that has one.
  if (sole === undefined || (serves && (ready.get(sole) ?? 0) === 0)) {
    return now?.to === 'servers' ? now : { to: 'servers' };
  }
  return { to: 'servers', revision: sole };
}
