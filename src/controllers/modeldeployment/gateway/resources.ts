/** The kinds of the Gateway API, which a cluster has or has not, with the fields that are read. */
import { LABELS } from '../../../api/names.ts';
import type { Watch } from '../../../runtime/reconcile-context.ts';
import { slimMetadata } from '../../../runtime/slim-metadata.ts';
import { defineResource, type KubeObject, type Resource } from '../../../runtime/types.ts';
import type { KubeCondition } from '../../resources.ts';
import { MANAGED_BY } from '../children.ts';

export const GATEWAY_API_GROUP = 'gateway.networking.k8s.io';
/** The oldest release whose standard channel has all that is written here: mirrors by percentage came with it. */
export const GATEWAY_API_RELEASE = 'v1.3';

export interface RouteCondition extends KubeCondition {
  readonly observedGeneration?: number;
}

export interface ParentRef {
  readonly name: string;
  /** Absent: that of the route. */
  readonly namespace?: string;
  /** A listener; absent: all of them. */
  readonly sectionName?: string;
}

/** What one controller says about a route on one of its parents. */
export interface RouteParentStatus {
  readonly parentRef: ParentRef;
  readonly controllerName?: string;
  readonly conditions?: readonly RouteCondition[];
}

/** An HTTPRoute or a GRPCRoute. */
export interface GatewayRoute extends KubeObject {
  readonly spec?: { readonly parentRefs?: readonly ParentRef[] };
  readonly status?: { readonly parents?: readonly RouteParentStatus[] };
}

export interface GatewayListener {
  readonly name: string;
  readonly hostname?: string;
  readonly port: number;
  readonly protocol: string;
}

export interface Gateway extends KubeObject {
  readonly spec?: { readonly gatewayClassName?: string; readonly listeners?: readonly GatewayListener[] };
  readonly status?: { readonly addresses?: readonly { readonly type?: string; readonly value: string }[] };
}

export interface GatewayClass extends KubeObject {
  /** Absent where the implementation does not say what it can do. */
  readonly status?: { readonly supportedFeatures?: readonly { readonly name: string }[] };
}

const gatewayApi = <T extends KubeObject>(kind: string, plural = `${kind.toLowerCase()}s`): Resource<T> =>
  defineResource<T>({
    group: GATEWAY_API_GROUP,
    version: 'v1',
    kind,
    plural,
    namespaced: kind !== 'GatewayClass',
  });

export const HTTP_ROUTES = gatewayApi<GatewayRoute>('HTTPRoute');
export const GRPC_ROUTES = gatewayApi<GatewayRoute>('GRPCRoute');
export const GATEWAYS = gatewayApi<Gateway>('Gateway');
/** In a namespaced install the operator may not read them. */
export const GATEWAY_CLASSES = gatewayApi<GatewayClass>('GatewayClass', 'gatewayclasses');

const OURS = { [LABELS.managedBy]: MANAGED_BY };

/** Conditions change their times and words with every look of a gateway; only what they say is kept. */
function verdictOf({ parentRef, controllerName, conditions = [] }: RouteParentStatus): RouteParentStatus {
  return {
    parentRef,
    ...(controllerName !== undefined && { controllerName }),
    conditions: conditions.map(({ lastTransitionTime: _time, ...said }) => said),
  };
}

const watchRoutes = (resource: Resource<GatewayRoute>): Watch<GatewayRoute> => ({
  resource,
  selector: OURS,
  optional: true,
  transform: ({ apiVersion, kind, metadata, spec, status }) => ({
    apiVersion,
    kind,
    metadata,
    ...(spec?.parentRefs && { spec: { parentRefs: spec.parentRefs } }),
    ...(status?.parents && { status: { parents: status.parents.map(verdictOf) } }),
  }),
});

export const watchHttpRoutes = watchRoutes(HTTP_ROUTES);
export const watchGrpcRoutes = watchRoutes(GRPC_ROUTES);

/** Gateways are of others; where they listen is all that is read. */
export const watchGateways: Watch<Gateway> = {
  resource: GATEWAYS,
  optional: true,
  transform: ({ apiVersion, kind, metadata, spec, status }) => {
    const listeners = spec?.listeners?.map(({ name, hostname, port, protocol }) => ({
      name,
      ...(hostname !== undefined && { hostname }),
      port,
      protocol,
    }));
    return {
      apiVersion,
      kind,
      metadata: slimMetadata(metadata),
      spec: {
        ...(spec?.gatewayClassName !== undefined && { gatewayClassName: spec.gatewayClassName }),
        ...(listeners && { listeners }),
      },
      ...(status?.addresses && { status: { addresses: status.addresses } }),
    };
  },
};

export const watchGatewayClasses: Watch<GatewayClass> = {
  resource: GATEWAY_CLASSES,
  optional: true,
  transform: ({ apiVersion, kind, metadata, status }) => ({
    apiVersion,
    kind,
    metadata: slimMetadata(metadata),
    ...(status?.supportedFeatures && { status: { supportedFeatures: status.supportedFeatures } }),
  }),
};
