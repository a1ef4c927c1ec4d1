/** Which ModelDeployments of a namespace need its routers. */

import type { CacheReader } from '../../runtime/reconcile-context.ts';
import { objectKey } from '../../runtime/types.ts';
import { MODEL_DEPLOYMENTS, type ModelDeployment } from '../kinds.ts';
import { routeName } from '../modeldeployment/routing/route.ts';
import { splitterOf } from '../modeldeployment/routing/splitter.ts';
import { CONFIG_MAPS } from '../resources.ts';

/** Those that want to be routed, and those whose route still stands because clients may still come by it. By name. */
export function usersOf(cache: CacheReader, namespace: string): readonly ModelDeployment[] {
  const hasRoute = ({ metadata }: ModelDeployment) =>
    cache.get(CONFIG_MAPS, objectKey({ namespace, name: routeName(metadata.name) })) !== undefined;
  return cache
    .list(MODEL_DEPLOYMENTS, namespace)
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .filter((object) => splitterOf(object, cache) === 'Router' || hasRoute(object))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}
