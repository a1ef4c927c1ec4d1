import { LABELS } from '../../../api/names.ts';
import { latestProgress } from '../../../rollout/progress.ts';
import { LEASES } from '../../../runtime/kubernetes-resources.ts';
import { keyOf, objectKey } from '../../../runtime/types.ts';
import { AUTOSCALERS, CONFIG_MAPS, DEPLOYMENTS, JOBS, PODS, type Pod, SERVICES } from '../../resources.ts';
import { BY_ROUTER_NAMESPACE } from '../../router/selector.ts';
import { COMPONENT_LABEL, RESOLVE_LABELS } from '../children.ts';
import type { Attempt } from '../resolve-job.ts';
import { byAge, readRevision } from '../revision.ts';
import { acknowledgementOf, gatewayAcknowledgement, liveRouters } from '../routing/acknowledgement.ts';
import { leadOf } from '../routing/lead.ts';
import { gatewayRouteName, routeIn, routeName, weightsIn } from '../routing/route.ts';
import { type Splitter, splitterOf, unansweredReference } from '../routing/splitter.ts';
import type { Routing, Scope } from '../scope.ts';
import { speaksGrpc } from '../services.ts';
import { readyPods } from '../snapshot.ts';
import { exposureOf } from './expose.ts';
import type { Phase, PhaseContext } from './phase.ts';

/** The index of pods by the key of their ModelDeployment; pods belong to ReplicaSets and Jobs, not to it. */
export const BY_MODEL_DEPLOYMENT = 'modelDeployment';

const isStaying = ({ metadata }: { readonly metadata: { readonly deletionTimestamp?: string } }) =>
  metadata.deletionTimestamp === undefined;

/** Reads what exists, from caches alone. */
export const observe: Phase = async (scope, context) => {
  const { cache } = context;
  const { uid = '' } = scope.object.metadata;
  const pods = cache.byIndex(PODS, BY_MODEL_DEPLOYMENT, keyOf(scope.object));
  const component = (name: string) => pods.filter((pod) => pod.metadata.labels?.[COMPONENT_LABEL] === name);
  scope.pods = Map.groupBy(component('server'), (pod) => pod.metadata.labels?.[LABELS.revision] ?? '');

  const autoscalers = new Map(cache.ownedBy(AUTOSCALERS, uid).map((each) => [each.metadata.name, each]));
  const deployments = cache.ownedBy(DEPLOYMENTS, uid).filter(isStaying);
  scope.revisions = byAge(
    deployments.map((each) =>
      readRevision(each, autoscalers.get(each.metadata.name), readyPods(scope.pods.get(each.metadata.name) ?? [])),
    ),
  );
  scope.progress = latestProgress(scope.revisions.map(({ progress }) => progress));
  scope.exposure = exposureOf(scope.object, cache, speaksGrpc(scope.object.spec, scope.revisions));
  scope.routing = routingOf(scope, context, splitterOf(scope.object, cache));

  const resolving = component('resolve');
  scope.attempts = Map.groupBy(
    cache
      .ownedBy(JOBS, uid)
      .filter(isStaying)
      .map((job): Attempt => ({ job, pods: resolving.filter((pod) => isOf(pod, job.metadata.uid)) })),
    ({ job }) => job.metadata.labels?.[RESOLVE_LABELS.question] ?? '',
  );
  return 'continue';
};

/** How requests come to the pods, where `splitter` splits them. */
export function routingOf(
  { object, owner, nowMs, exposure }: Scope,
  { cache }: Pick<PhaseContext, 'cache'>,
  splitter: Splitter,
): Routing {
  const { namespace, name } = owner;
  const inNamespace = (child: string) => objectKey({ namespace, name: child });
  const routers = liveRouters(
    cache.byIndex(PODS, BY_ROUTER_NAMESPACE, namespace),
    (pod) => cache.get(LEASES, inNamespace(pod)),
    nowMs,
  );
  const record = cache.get(
    CONFIG_MAPS,
    inNamespace(splitter === 'GatewayAPI' ? gatewayRouteName(name) : routeName(name)),
  );
  const route = routeIn(record);
  const acknowledged =
    splitter === 'GatewayAPI'
      ? gatewayAcknowledgement(exposure.acknowledgement, route?.generation ?? 0)
      : route && acknowledgementOf(routers, name, route.generation);
  return {
    splitter,
    lead: leadOf(cache.get(SERVICES, inNamespace(name))),
    route,
    weights: weightsIn(record, route),
    acknowledgement: acknowledged,
    routers,
    unanswered: unansweredReference(object, cache),
  };
}

function isOf(pod: Pod, jobUid: string | undefined): boolean {
  return pod.metadata.ownerReferences?.some(({ uid }) => uid === jobUid) === true;
}
