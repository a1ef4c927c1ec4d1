import { setConditions } from '../../runtime/conditions.ts';
import { DONE, type Result, requeueAfter, StoppedError } from '../../runtime/outcome.ts';
import type { ControllerDefinition, ReconcileContext } from '../../runtime/reconcile-context.ts';
import { controllerReference, keyOf } from '../../runtime/types.ts';
import {
  BY_MODEL,
  MODEL_DEPLOYMENTS,
  type ModelDeployment,
  mapped,
  modelKeyOf,
  watchModelDeployments,
  watchModels,
  watchModelVersions,
} from '../kinds.ts';
import {
  ownerKeyOf,
  watchAutoscalers,
  watchDeployments,
  watchDisruptionBudgets,
  watchJobs,
  watchPods,
  watchServiceAccounts,
  watchServices,
} from './caching.ts';
import { meaningOf } from './failure.ts';
import { accept } from './phases/accept.ts';
import { apply } from './phases/apply.ts';
import { choose } from './phases/choose.ts';
import { observe } from './phases/observe.ts';
import type { Phase } from './phases/phase.ts';
import { resolve } from './phases/resolve.ts';
import { retire } from './phases/retire.ts';
import { lookAgain, newScope, type Scope } from './scope.ts';
import { report } from './status.ts';
import type { RuntimeImages } from './types.ts';

export interface ModelDeploymentControllerOptions {
  /** Image of Fairlead that new revisions and Jobs run. */
  readonly serverImage: string;
  /** The same for pods with a GPU. */
  readonly serverImageCuda: string;
  /** ModelDeployments that are reconciled at once. */
  readonly workers: number;
}

const PHASES: readonly Phase[] = [observe, accept, resolve, choose, apply, retire];

/** Turns ModelDeployments into Deployments and what stands around them, and tells what came of it. */
export function modelDeploymentController(
  options: ModelDeploymentControllerOptions,
): ControllerDefinition<ModelDeployment> {
  const images: RuntimeImages = { cpu: options.serverImage, cuda: options.serverImageCuda };
  return {
    name: 'modeldeployment',
    primary: watchModelDeployments,
    owns: [watchDeployments, watchServices, watchServiceAccounts, watchAutoscalers, watchDisruptionBudgets, watchJobs],
    watches: [
      mapped(watchPods, ownerKeyOf),
      mapped(watchModels, (model, cache) => cache.byIndex(MODEL_DEPLOYMENTS, BY_MODEL, keyOf(model)).map(keyOf)),
      mapped(watchModelVersions, (version, cache) =>
        cache.byIndex(MODEL_DEPLOYMENTS, BY_MODEL, modelKeyOf(version) ?? '').map(keyOf),
      ),
    ],
    workers: options.workers,
    reconcile: (object, context) => reconcile(object, context, images),
  };
}

/** Status is written on every exit but one: a process that stops, or no longer leads, has nothing more to say. */
async function reconcile(object: ModelDeployment, context: ReconcileContext, images: RuntimeImages): Promise<Result> {
  // Children go with their owner by its references; nothing of ours has to be waited for.
  if (object.metadata.deletionTimestamp !== undefined) return DONE;
  const { name, namespace } = object.metadata;
  const scope = newScope(object, { name, namespace, reference: controllerReference(object) }, context.now());
  const failure = await runPhases(scope, context, images);
  if (failure instanceof StoppedError) throw failure;
  await tell(scope, context);
  if (failure !== undefined) throw failure;
  if (scope.lookAgainAtMs === undefined) return DONE;
  return requeueAfter(Math.max(0, scope.lookAgainAtMs - context.now()));
}

/** @returns what has to be thrown after status is written */
async function runPhases(scope: Scope, context: ReconcileContext, images: RuntimeImages): Promise<unknown> {
  try {
    for (const phase of PHASES) if ((await phase(scope, { ...context, images })) === 'stop') break;
    return undefined;
  } catch (error) {
    const meaning = meaningOf(error);
    if (meaning.kind === 'silent') return error;
    if (meaning.kind === 'problem') {
      scope.problem = meaning.message;
      return error;
    }
    if (meaning.kind === 'refused') scope.refusal = meaning.refusal;
    else scope.diagnoses = [meaning.diagnosis, ...scope.diagnoses];
    lookAgain(scope, scope.nowMs + meaning.retryAfterMs);
    return undefined;
  }
}

async function tell(scope: Scope, context: ReconcileContext): Promise<void> {
  const { object, nowMs } = scope;
  const { fields, conditions } = report(scope);
  const before = object.status;
  await context.writeStatus(MODEL_DEPLOYMENTS, object, {
    ...fields,
    conditions: [...setConditions(before?.conditions, conditions, { generation: object.metadata.generation, nowMs })],
  });
  if (before?.phase === fields.phase) return;
  const note = conditions.find(({ type }) => type === 'Ready');
  if (fields.phase === 'Ready') {
    context.event(object, { type: 'Normal', reason: 'Ready', action: 'Serve', note: note?.message ?? '' });
  } else if (fields.phase === 'Failed') {
    context.event(object, {
      type: 'Warning',
      reason: note?.reason ?? 'Failed',
      action: 'Serve',
      note: note?.message ?? '',
    });
  }
}
