/** Which ModelDeployments a change of routers, of what they report, or of routes concerns. */
import { ANNOTATIONS, REGISTRY_NAME } from '../../api/names.ts';
import type { Lease } from '../../runtime/kubernetes-resources.ts';
import type { CacheReader } from '../../runtime/reconcile-context.ts';
import { keyOf, type ObjectKey, objectKey } from '../../runtime/types.ts';
import { BY_REFERENCE, MODEL_DEPLOYMENTS, type ModelDeployment, referencesOf } from '../kinds.ts';
import { asksOutside } from '../registry-asker/asker.ts';
import type { ConfigMap, Pod } from '../resources.ts';
import { isRouterPod } from '../router/selector.ts';
import { ownerKeyOf } from './caching.ts';
import { isReady } from './diagnose.ts';
import type { Gateway } from './gateway/resources.ts';
import { canonicalJson } from './revision.ts';
import { generationsIn, isLive } from './routing/acknowledgement.ts';
import { splitterOf } from './routing/splitter.ts';

/** A server's own, or all that are routed where a router came, went, or became ready. */
export function concernedByPod(pod: Pod, cache: CacheReader, other?: Pod): readonly ObjectKey[] {
  if (!isRouterPod(pod)) return ownerKeyOf(pod);
  const standing = (each: Pod | undefined) =>
    each === undefined ? 'absent' : `${isLive(each, 0)} ${isReady(each)} ${each.metadata.deletionTimestamp ?? ''}`;
  if (other !== undefined && standing(pod) === standing(other)) return [];
  return cache
    .list(MODEL_DEPLOYMENTS, pod.metadata.namespace)
    .filter((object) => splitterOf(object, cache) === 'Router')
    .map(keyOf);
}

/** What is looked at of a ModelDeployment by those that refer to it. */
function asReferred({ spec: { traffic, runtime } }: ModelDeployment): string {
  return canonicalJson([traffic?.provider, traffic?.ensemble === undefined, runtime?.container === undefined]);
}

/** Those that it refers to, which are routed for as long as it does; and where it comes, goes or answers otherwise, those that refer to it. */
export function concernedByReference(
  object: ModelDeployment,
  cache: CacheReader,
  other?: ModelDeployment,
): readonly ObjectKey[] {
  const references = referencesOf(object);
  if (other !== undefined && asReferred(other) === asReferred(object)) {
    const same = new Set(referencesOf(other));
    return references.filter((key) => !same.has(key));
  }
  return [...references, ...cache.byIndex(MODEL_DEPLOYMENTS, BY_REFERENCE, keyOf(object)).map(keyOf)];
}

/** Those whose route the router applies or refuses another way than before, and all that it counted for when it stopped. */
export function concernedByReport({ metadata }: Lease, _cache: CacheReader, other?: Lease): readonly ObjectKey[] {
  const { namespace, annotations = {} } = metadata;
  const before = other?.metadata.annotations ?? {};
  const changed = [ANNOTATIONS.appliedRoutes, ANNOTATIONS.refusedRoutes].flatMap((annotation) => {
    const [now, then] = [annotations[annotation], before[annotation]];
    return now === then ? [] : differing(textsIn(now), textsIn(then));
  });
  const hasStopped = annotations[ANNOTATIONS.finalCounts] !== before[ANNOTATIONS.finalCounts];
  const served = hasStopped ? Object.keys(generationsIn(annotations[ANNOTATIONS.appliedRoutes])) : [];
  return [...new Set([...changed, ...served])].map((name) => objectKey({ namespace, name }));
}

/** Those that are reached by the Gateway. */
export function exposedBy({ metadata }: Gateway, cache: CacheReader): readonly ObjectKey[] {
  return cache
    .list(MODEL_DEPLOYMENTS)
    .filter(({ metadata: own, spec }) => {
      const gateway = spec.traffic?.expose?.gateway;
      return gateway?.name === metadata.name && (gateway.namespace ?? own.namespace) === metadata.namespace;
    })
    .map(keyOf);
}

/** Those whose models an outside registry answers for, where it answered something else. */
export function askingFor({ metadata, data }: ConfigMap, cache: CacheReader, other?: ConfigMap): readonly ObjectKey[] {
  if (metadata.name !== REGISTRY_NAME) return [];
  if (other !== undefined && canonicalJson(other.data) === canonicalJson(data)) return [];
  return cache.list(MODEL_DEPLOYMENTS, metadata.namespace).filter(asksOutside).map(keyOf);
}

function textsIn(text: string | undefined): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function differing(now: Readonly<Record<string, unknown>>, then: Readonly<Record<string, unknown>>): readonly string[] {
  return [...new Set([...Object.keys(now), ...Object.keys(then)])].filter((name) => now[name] !== then[name]);
}
