/** Names that the operator, the data plane and users share: the API group, labels, annotations, ports. */

export const API_GROUP = 'fairlead.dev';
export const API_VERSION = 'v1alpha1';
export const GROUP_VERSION = `${API_GROUP}/${API_VERSION}`;

/** The one server-side-apply field manager of the operator. */
export const FIELD_MANAGER = 'fairlead';

export const LABELS = {
  managedBy: 'app.kubernetes.io/managed-by',
  name: 'app.kubernetes.io/name',
  /** On everything a ModelDeployment owns: its name. */
  modelDeployment: `${API_GROUP}/model-deployment`,
  /** On everything that belongs to one revision: `<model-deployment>-<hash>`. */
  revision: `${API_GROUP}/revision`,
  /** `true` on the ConfigMaps that hold routes: all that routers watch. */
  route: `${API_GROUP}/route`,
  /** `true` on the Leases by which routers tell what they apply. */
  routerReport: `${API_GROUP}/router-report`,
} as const;

export const ANNOTATIONS = {
  /** On a revision's Deployment: the hash of what the user wrote in `spec.model`, so that a resolved digest is found again. */
  modelSource: `${API_GROUP}/model-source`,
  modelUri: `${API_GROUP}/model-uri`,
  modelVersion: `${API_GROUP}/model-version`,
  modelSha256: `${API_GROUP}/model-sha256`,
  /** What a person asks for: `<verb>@<revision>#<step>`; see `src/rollout/action.ts`. */
  action: `${API_GROUP}/action`,
  /** Who asks: the API server refuses any name but the requesting user's own. */
  actionBy: `${API_GROUP}/action-by`,
  /** On a Model: the last move of an alias that says who made it, `<alias>@<version>#<generation>`; see `controllers/model/move-alias.ts`. */
  aliasMove: `${API_GROUP}/alias-move`,
  /** Who made it: the API server refuses any name but the requesting user's own. */
  aliasMoveBy: `${API_GROUP}/alias-move-by`,
  /** On a router's Lease: JSON of the generation that it applies, by ModelDeployment. */
  appliedRoutes: `${API_GROUP}/applied-routes`,
  /** On a router's Lease: JSON of why it does not apply the route of a ModelDeployment. */
  refusedRoutes: `${API_GROUP}/refused-routes`,
  /** On a router's Lease when it stops: JSON of its last `CountsSnapshot`. */
  finalCounts: `${API_GROUP}/final-counts`,
} as const;

/** Ports of a server pod and of the Service in front of it. */
export const PORTS = {
  http: { name: 'http', container: 8080, service: 80 },
  grpc: { name: 'grpc', container: 9000, service: 9000 },
  metrics: { name: 'metrics', container: 9090 },
} as const;

/** The routers of a namespace: their Deployment, ServiceAccount, HorizontalPodAutoscaler and PodDisruptionBudget. */
export const ROUTER_NAME = 'fairlead-router';

/** What asks outside registries in a namespace: its ConfigMap with the answers, its own ServiceAccount, its RoleBinding (with a suffix). */
export const REGISTRY_NAME = 'fairlead-registry';

/** Routers listen on two ports for each ModelDeployment: an even one for REST and the next one for gRPC. */
export const ROUTER_PORT_RANGE = { first: 10_000, last: 29_999 } as const;

/** The container that runs the inference server. */
export const SERVER_CONTAINER = 'server';

/** Where the pods of a ModelDeployment see the volumes that `pvc://CLAIM/PATH` names: `<PVC_ROOT>/CLAIM`. */
export const PVC_ROOT = '/mnt/pvc';

/** Where a server pod keeps downloaded models (an emptyDir). */
export const MODEL_ROOT = '/var/lib/fairlead/models';
