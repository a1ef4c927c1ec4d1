import { defineResource, type KubeObject } from '../runtime/types.ts';

/** On each slice: the Service whose endpoints it holds. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

interface SliceEndpoint {
  readonly addresses: readonly string[];
  readonly conditions?: {
    readonly ready?: boolean | null;
    readonly serving?: boolean | null;
    readonly terminating?: boolean | null;
  };
}

export interface EndpointSlice extends KubeObject {
  readonly addressType?: string;
  readonly endpoints?: readonly SliceEndpoint[] | null;
}

export const ENDPOINT_SLICES = defineResource<EndpointSlice>({
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  namespaced: true,
});

/**
 * The pods behind one Service that may be sent to, each once, by all of its slices: the ready ones; where there are none,
 * those that end and still serve, as kube-proxy does it. Of pods with addresses of both families IPv4 is taken.
 */
export function podAddresses(slices: readonly EndpointSlice[]): readonly string[] {
  const family = ['IPv4', 'IPv6'].find((type) =>
    slices.some((slice) => slice.addressType === type && hasEndpoints(slice)),
  );
  const endpoints = slices
    .filter(({ addressType }) => addressType === family)
    .flatMap((slice) => slice.endpoints ?? []);
  // Unknown means ready, as the API has it.
  const ready = endpoints.filter(({ conditions }) => conditions?.ready !== false);
  const usable = ready.length > 0 ? ready : endpoints.filter(({ conditions }) => conditions?.serving === true);
  // An endpoint's addresses are one pod's: any of them will do.
  return [...new Set(usable.flatMap(({ addresses }) => addresses[0] ?? []))].sort();
}

function hasEndpoints({ endpoints }: EndpointSlice): boolean {
  return (endpoints?.length ?? 0) > 0;
}
