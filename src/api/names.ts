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
} as const;

export const ANNOTATIONS = {
  /** On a revision's Deployment: the hash of what the user wrote in `spec.model`, so that a resolved digest is found again. */
  modelSource: `${API_GROUP}/model-source`,
  modelUri: `${API_GROUP}/model-uri`,
  modelVersion: `${API_GROUP}/model-version`,
  modelSha256: `${API_GROUP}/model-sha256`,
} as const;

/** Ports of a server pod and of the Service in front of it. */
export const PORTS = {
  http: { name: 'http', container: 8080, service: 80 },
  grpc: { name: 'grpc', container: 9000, service: 9000 },
  metrics: { name: 'metrics', container: 9090 },
} as const;

/** The container that runs the inference server. */
export const SERVER_CONTAINER = 'server';

/** Where the pods of a ModelDeployment see the volumes that `pvc://CLAIM/PATH` names: `<PVC_ROOT>/CLAIM`. */
export const PVC_ROOT = '/mnt/pvc';

/** Where a server pod keeps downloaded models (an emptyDir). */
export const MODEL_ROOT = '/var/lib/fairlead/models';
