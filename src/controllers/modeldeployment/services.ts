/** The Services of a ModelDeployment, as they should be: where clients come in, and where each revision's pods are found. */
import { LABELS, PORTS } from '../../api/names.ts';
import type { Route } from '../../api/route.ts';
import type { ModelDeploymentSpec } from '../../api/v1alpha1/model-deployment.ts';
import type { DesiredObject } from '../../runtime/apply.ts';
import { ROUTER_SELECTOR } from '../router/selector.ts';
import { COMPONENT_LABEL, childMetadata, type Owner, serverSelector } from './children.ts';
import type { Revision } from './revision.ts';
import type { ServerPorts } from './types.ts';

/** What the Service leads to: server pods directly, of all revisions or of one, or the namespace's routers. */
export type ServiceLead =
  | { readonly to: 'servers'; readonly revision?: string | undefined }
  | { readonly to: 'routers'; readonly ports: Route['ports'] };

/** Ports of the pods that a spec makes; those of older revisions are their own. */
export function serverPorts(spec: ModelDeploymentSpec): ServerPorts {
  const declared = spec.runtime?.container?.ports;
  if (declared === undefined) return { http: PORTS.http.container, grpc: PORTS.grpc.container };
  return { http: declared.http, ...(declared.grpc !== undefined && { grpc: declared.grpc }) };
}

/** Whether anybody who may answer speaks gRPC: a rollout that changes that must not take it from those who serve. */
export function speaksGrpc(
  spec: ModelDeploymentSpec,
  revisions: readonly Pick<Revision, 'ports' | 'replicas' | 'ready'>[],
): boolean {
  const serving = revisions.filter(({ replicas, ready }) => replicas > 0 || ready > 0);
  const all = serving.length === 0 ? [serverPorts(spec)] : serving.map(({ ports }) => ports);
  return all.some(({ grpc }) => grpc !== undefined);
}

const servicePort = (name: string, port: number, targetPort: number | string, appProtocol: string) => ({
  name,
  port,
  targetPort,
  protocol: 'TCP',
  appProtocol,
});
const HTTP = 'http';
const H2C = 'kubernetes.io/h2c';

/**
 * One address for all revisions: a rollout moves traffic, not clients. The ports of pods go by their names, which stand
 * for another number in each revision whose runtime is another.
 * @param hasGrpc see `speaksGrpc`; where it leads to routers, it has what they listen to
 */
export function desiredService(owner: Owner, lead: ServiceLead, hasGrpc: boolean): DesiredObject {
  const { http, grpc } = PORTS;
  const direct = { http: http.name, ...(hasGrpc && { grpc: grpc.name }) };
  const targets = lead.to === 'routers' ? lead.ports : direct;
  return {
    metadata: childMetadata(owner, owner.name),
    spec: {
      type: 'ClusterIP',
      selector: lead.to === 'routers' ? ROUTER_SELECTOR : directSelector(owner, lead.revision),
      ports: [
        servicePort(http.name, http.service, targets.http, HTTP),
        ...(targets.grpc === undefined ? [] : [servicePort(grpc.name, grpc.service, targets.grpc, H2C)]),
      ],
    },
  };
}

function directSelector(owner: Owner, revision: string | undefined): Readonly<Record<string, string>> {
  return { ...serverSelector(owner), ...(revision !== undefined && { [LABELS.revision]: revision }) };
}

/** Headless: whoever splits traffic finds the ready pods of one revision by it. */
export function desiredRevisionService(owner: Owner, revision: string, { http, grpc }: ServerPorts): DesiredObject {
  return {
    metadata: childMetadata(owner, revision, { [LABELS.revision]: revision }),
    spec: {
      type: 'ClusterIP',
      clusterIP: 'None',
      selector: { [LABELS.revision]: revision, [COMPONENT_LABEL]: 'server' },
      ports: [
        servicePort(PORTS.http.name, http, PORTS.http.name, HTTP),
        ...(grpc === undefined ? [] : [servicePort(PORTS.grpc.name, grpc, PORTS.grpc.name, H2C)]),
      ],
    },
  };
}
