import { isRouted, type ModelDeploymentSpec } from '../../../api/v1alpha1/model-deployment.ts';

/** Who splits the requests of a ModelDeployment: nobody, where its Service leads to all ready pods alike. */
export type Splitter = 'None' | 'Router' | 'GatewayAPI';

export function splitterOf(spec: Pick<ModelDeploymentSpec, 'rollout' | 'traffic'>): Splitter {
  if (isRouted(spec)) return 'Router';
  return spec.traffic === undefined ? 'None' : 'GatewayAPI';
}
