import type { RolloutDecision } from '../../../rollout/types.ts';
import { ApiError } from '../../../runtime/api-error.ts';
import { identityOf } from '../../../runtime/prune.ts';
import { AUTOSCALERS, PODS } from '../../resources.ts';
import type { Scope } from '../scope.ts';
import { applyAutoscaler, scaleWhere } from './grow.ts';
import type { Phase, PhaseContext } from './phase.ts';

/** By which a ReplicaSet chooses the pods that go first: the lowest. */
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';
const FIRST_TO_GO = '-100';

/**
 * Takes pods away. Not in the reconcile that wrote another route: what was decided knew only that the one before is
 * applied, and routers may still send to where the new one does not. They tell when they do not.
 */
export const shrink: Phase = async (scope, context) => {
  const { decision } = scope;
  if (decision === undefined) return 'stop';
  if (scope.hasNewRoute) return 'continue';
  for (const { name } of scope.revisions) {
    const bounds = decision.autoscalers?.get(name);
    if (bounds !== undefined) await applyAutoscaler(scope, context, name, bounds);
  }
  // An autoscaler must be gone before its Deployment is taken to 0, or it could raise it again.
  await context.prune(scope.object, [AUTOSCALERS], neededAutoscalers(scope, decision));
  await markVictims(scope, context, decision.victims);
  for (const revision of scope.revisions) {
    await scaleWhere(context, decision, revision, (planned) => planned < revision.replicas);
  }
  return 'continue';
};

function neededAutoscalers({ owner }: Scope, { autoscalers }: RolloutDecision): ReadonlySet<string> {
  const { namespace } = owner;
  return new Set(
    [...(autoscalers?.keys() ?? [])].map((name) => identityOf(AUTOSCALERS, { metadata: { name, namespace } })),
  );
}

async function markVictims(
  { pods, owner: { namespace } }: Scope,
  { client }: PhaseContext,
  victims: readonly string[],
): Promise<void> {
  const present = new Set([...pods.values()].flat().map(({ metadata }) => metadata.name));
  for (const name of victims.filter((victim) => present.has(victim))) {
    const patch = { metadata: { annotations: { [DELETION_COST]: FIRST_TO_GO } } };
    await client.mergePatch(PODS, { namespace, name }, patch).catch((error: unknown) => {
      // It went by itself.
      if (!(error instanceof ApiError && error.isNotFound)) throw error;
    });
  }
}
