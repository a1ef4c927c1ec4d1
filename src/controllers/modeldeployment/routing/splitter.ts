import { isRouted } from '../../../api/v1alpha1/model-deployment.ts';
import type { CacheReader } from '../../../runtime/reconcile-context.ts';
import { keyOf } from '../../../runtime/types.ts';
import { BY_REFERENCE, MODEL_DEPLOYMENTS, type ModelDeployment, referencesOf } from '../../kinds.ts';
import type { ConfigMap } from '../../resources.ts';
import type { ServiceLead } from '../services.ts';
import { gatewayRouteName, routeIn, routeName, UNUSED_SINCE } from './route.ts';

/** Who splits the requests of a ModelDeployment: nobody, where its Service leads to all ready pods alike. */
export type Splitter = 'None' | 'Router' | 'GatewayAPI';

/** Whoever another ModelDeployment refers to is routed too: routers know only the pods that they have a route to. */
export function splitterOf(object: ModelDeployment, cache: CacheReader): Splitter {
  if (isRouted(object.spec)) return 'Router';
  if (object.spec.traffic !== undefined) return 'GatewayAPI';
  return cache.byIndex(MODEL_DEPLOYMENTS, BY_REFERENCE, keyOf(object)).length > 0 ? 'Router' : 'None';
}

/**
 * Who splits them now, whatever the spec would have.
 * @param lead where the Service leads
 * @param recordOf a ConfigMap of the ModelDeployment's namespace
 */
export function standingSplitter(
  name: string,
  lead: ServiceLead | undefined,
  recordOf: (configMap: string) => ConfigMap | undefined,
): Splitter {
  if (lead?.to === 'routers') return 'Router';
  if (routeIn(recordOf(gatewayRouteName(name))) !== undefined) return 'GatewayAPI';
  const record = recordOf(routeName(name));
  const isUsed = record?.metadata.annotations?.[UNUSED_SINCE] === undefined;
  return isUsed && routeIn(record) !== undefined ? 'Router' : 'None';
}

/** Why one that this one refers to never answers for it, as a sentence; undefined where all can. */
export function unansweredReference(object: ModelDeployment, cache: CacheReader): string | undefined {
  const field = object.spec.traffic?.ensemble === undefined ? 'fallback.modelDeploymentRef' : 'ensemble.members';
  for (const key of referencesOf(object)) {
    const name = key.slice(key.indexOf('/') + 1);
    const other = cache.get(MODEL_DEPLOYMENTS, key);
    if (other === undefined) return `traffic.${field}: the namespace has no ModelDeployment ${name}: create it`;
    if (other.spec.traffic?.ensemble !== undefined) {
      return `traffic.${field}: ModelDeployment ${name} is an ensemble itself, and none of its models answers for all: name one of its members, or take its traffic.ensemble away`;
    }
    if (splitterOf(other, cache) === 'GatewayAPI') {
      return `traffic.${field}: a Gateway splits the requests of ModelDeployment ${name}, which routers cannot ask; its traffic.provider has to be Router`;
    }
  }
  return undefined;
}
