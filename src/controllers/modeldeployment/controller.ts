import { DONE, type Result, requeueAfter } from '../../runtime/outcome.ts';
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
import { Reporter } from './reporter.ts';
import { lookAgain, newScope, type Scope } from './scope.ts';
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
  const reporter = new Reporter();
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
    reconcile: (object, context) => reconcile(object, context, images, reporter),
    forget: (key) => reporter.forget(key),
  };
}

/**
 * Status is written on every exit, but where the reconcile is only cut short: by a stop, or by a change of what it was
 * looking at. Then it is repeated, here or by whoever leads next.
 */
async function reconcile(
  object: ModelDeployment,
  context: ReconcileContext,
  images: RuntimeImages,
  reporter: Reporter,
): Promise<Result> {
  // Children go with their owner by its references; nothing of ours has to be waited for.
  if (object.metadata.deletionTimestamp !== undefined) return DONE;
  const { name, namespace } = object.metadata;
  const scope = newScope(object, { name, namespace, reference: controllerReference(object) }, context.now());
  const failure = await runPhases(scope, context, images);
  if (failure === undefined || scope.problem !== undefined) await reporter.tell(scope, context);
  if (failure !== undefined) throw failure;
  if (scope.lookAgainAtMs === undefined) return DONE;
  return requeueAfter(Math.max(0, scope.lookAgainAtMs - context.now()));
}

/** @returns what has to be thrown, after status is written if there is a problem to tell */
async function runPhases(scope: Scope, context: ReconcileContext, images: RuntimeImages): Promise<unknown> {
  try {
    for (const phase of PHASES) if ((await phase(scope, { ...context, images })) === 'stop') break;
    return undefined;
  } catch (error) {
    const meaning = meaningOf(error);
    if (meaning.kind === 'silent') return error;
    if (meaning.kind === 'refused') scope.refusal = meaning.refusal;
    else scope.problem = meaning.problem;
    if (meaning.retryAfterMs === undefined) return error;
    lookAgain(scope, scope.nowMs + meaning.retryAfterMs);
    return undefined;
  }
}
