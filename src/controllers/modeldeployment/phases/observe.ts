import { LABELS } from '../../../api/names.ts';
import { keyOf } from '../../../runtime/types.ts';
import { AUTOSCALERS, DEPLOYMENTS, JOBS, PODS, type Pod } from '../../resources.ts';
import { COMPONENT_LABEL, RESOLVE_LABELS } from '../children.ts';
import type { Attempt } from '../resolve-job.ts';
import { byAge, readRevision } from '../revision.ts';
import type { Phase } from './phase.ts';

/** The index of pods by the key of their ModelDeployment; pods belong to ReplicaSets and Jobs, not to it. */
export const BY_MODEL_DEPLOYMENT = 'modelDeployment';

const isStaying = ({ metadata }: { readonly metadata: { readonly deletionTimestamp?: string } }) =>
  metadata.deletionTimestamp === undefined;

/** Reads what exists, from caches alone. */
export const observe: Phase = async (scope, { cache }) => {
  const { uid = '' } = scope.object.metadata;
  const autoscalers = new Map(cache.ownedBy(AUTOSCALERS, uid).map((each) => [each.metadata.name, each]));
  const deployments = cache.ownedBy(DEPLOYMENTS, uid).filter(isStaying);
  scope.revisions = byAge(deployments.map((each) => readRevision(each, autoscalers.get(each.metadata.name))));

  const pods = cache.byIndex(PODS, BY_MODEL_DEPLOYMENT, keyOf(scope.object));
  const component = (name: string) => pods.filter((pod) => pod.metadata.labels?.[COMPONENT_LABEL] === name);
  scope.pods = Map.groupBy(component('server'), (pod) => pod.metadata.labels?.[LABELS.revision] ?? '');
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

function isOf(pod: Pod, jobUid: string | undefined): boolean {
  return pod.metadata.ownerReferences?.some(({ uid }) => uid === jobUid) === true;
}
