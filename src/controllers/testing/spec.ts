import { withDefaults } from '../../api/defaults.ts';
import { ModelDeployment, type ModelDeploymentSpec } from '../../api/v1alpha1/model-deployment.ts';
import type { Owner } from '../modeldeployment/children.ts';
import type { Revision } from '../modeldeployment/revision.ts';
import type { Deployment } from '../resources.ts';

/** A spec as the API server returns it: what is left out has its default. */
export function specOf(spec: object): ModelDeploymentSpec {
  return withDefaults(ModelDeployment, { metadata: { name: 'churn', namespace: 'shop' }, spec }).spec;
}

export const OWNER: Owner = {
  name: 'churn',
  namespace: 'shop',
  reference: {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'ModelDeployment',
    name: 'churn',
    uid: 'u-1',
    controller: true,
  },
};

/** A revision that runs; `change` says how it differs from one of three ready pods. */
export function revisionOf(name: string, change: Partial<Revision> = {}): Revision {
  const deployment: Deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace: 'shop' } };
  return {
    name,
    deployment,
    autoscaler: undefined,
    model: undefined,
    source: undefined,
    runtimeImage: undefined,
    templateHash: undefined,
    ports: { http: 8080, grpc: 9000 },
    serviceAccount: 'churn',
    progress: undefined,
    analysis: undefined,
    replicas: 3,
    ready: 3,
    current: change.replicas ?? 3,
    ...change,
  };
}
