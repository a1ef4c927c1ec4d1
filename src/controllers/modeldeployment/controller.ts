import type { Clock } from '../../runtime/clock.ts';
import { DONE, PartialFailureError, type Result, requeueAfter } from '../../runtime/outcome.ts';
import type { ControllerDefinition } from '../../runtime/reconcile-context.ts';
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
import { AnalysisBook } from './analysis/book.ts';
import type { QueryRunner } from './analysis/queries.ts';
import {
  watchAutoscalers,
  watchConfigMaps,
  watchDeployments,
  watchDisruptionBudgets,
  watchJobs,
  watchPods,
  watchRouterReports,
  watchServiceAccounts,
  watchServices,
} from './caching.ts';
import { Planner } from './capacity/planner.ts';
import { CountsReader, type FetchCounts } from './counts/reader.ts';
import { watchIngresses } from './exposure/resources.ts';
import { meaningOf } from './failure.ts';
import { watchGatewayClasses, watchGateways, watchGrpcRoutes, watchHttpRoutes } from './gateway/resources.ts';
import { LoadBook } from './load/book.ts';
import { accept } from './phases/accept.ts';
import { choose } from './phases/choose.ts';
import { grow } from './phases/grow.ts';
import { hold, mustHold } from './phases/hold.ts';
import { judge } from './phases/judge.ts';
import { observe } from './phases/observe.ts';
import type { Phase, PhaseContext } from './phases/phase.ts';
import { resolve } from './phases/resolve.ts';
import { retire } from './phases/retire.ts';
import { route } from './phases/route.ts';
import { shrink } from './phases/shrink.ts';
import { weigh } from './phases/weigh.ts';
import { PodEvents } from './pod-events.ts';
import { Reporter } from './reporter.ts';
import { PortBook } from './routing/ports.ts';
import { lookAgain, newScope, type Scope } from './scope.ts';
import type { RuntimeImages } from './types.ts';
import { askingFor, concernedByPod, concernedByReference, concernedByReport, exposedBy } from './watches.ts';

export interface ModelDeploymentControllerOptions {
  /** Image of Fairlead that new revisions and Jobs run. */
  readonly serverImage: string;
  /** The same for pods with a GPU. */
  readonly serverImageCuda: string;
  /** ModelDeployments that are reconciled at once. */
  readonly workers: number;
  readonly clock: Pick<Clock, 'monotonic'>;
  /** Reads what routers and servers count. */
  readonly fetchCounts: FetchCounts;
  /** Asks what metrics outside of Fairlead say. */
  readonly runQuery: QueryRunner;
}

/** Pods are added before routes lead to them, and taken away after routes lead away from them. */
const PHASES: readonly Phase[] = [observe, accept, resolve, choose, grow, route, shrink, judge, weigh, retire];

/** What failed for no known time is tried again no sooner than this for the sake of what goes on beside it. */
const FAILURE_RETRY_MS = 10_000;

/** What is still done about what runs where the spec cannot be acted on. */
const STANDING: readonly Phase[] = [hold, choose, grow, route, shrink, judge, weigh];

/** What outlasts one reconcile, in memory alone: nothing of it is missed after a restart. */
type Memory = Pick<PhaseContext, 'images' | 'ports' | 'analyses' | 'planner' | 'loads' | 'podEvents'>;

/** Turns ModelDeployments into Deployments and what stands around them, and tells what came of it. */
export function modelDeploymentController(
  options: ModelDeploymentControllerOptions,
): ControllerDefinition<ModelDeployment> {
  const { serverImage, serverImageCuda, fetchCounts, runQuery, clock } = options;
  const images: RuntimeImages = { cpu: serverImage, cuda: serverImageCuda };
  const reader = new CountsReader({ fetch: fetchCounts, clock });
  const memory: Memory = {
    images,
    ports: new PortBook(),
    analyses: new AnalysisBook(reader, runQuery),
    planner: new Planner(),
    loads: new LoadBook(reader),
    podEvents: new PodEvents(),
  };
  const reporter = new Reporter();
  return {
    name: 'modeldeployment',
    primary: watchModelDeployments,
    owns: [
      watchDeployments,
      watchServices,
      watchServiceAccounts,
      watchAutoscalers,
      watchDisruptionBudgets,
      watchJobs,
      watchConfigMaps,
      watchIngresses,
      watchHttpRoutes,
      watchGrpcRoutes,
    ],
    watches: [
      mapped(watchPods, concernedByPod),
      mapped(watchModelDeployments, concernedByReference),
      mapped(watchRouterReports, concernedByReport),
      mapped(watchGateways, exposedBy),
      mapped(watchConfigMaps, askingFor),
      // What a class can do is asked for again where it matters.
      mapped(watchGatewayClasses, () => []),
      mapped(watchModels, (model, cache) => cache.byIndex(MODEL_DEPLOYMENTS, BY_MODEL, keyOf(model)).map(keyOf)),
      mapped(watchModelVersions, (version, cache) =>
        cache.byIndex(MODEL_DEPLOYMENTS, BY_MODEL, modelKeyOf(version) ?? '').map(keyOf),
      ),
    ],
    workers: options.workers,
    reconcile: (object, context) => reconcile(object, { ...context, ...memory }, reporter),
    forget: (key) => {
      reporter.forget(key);
      memory.ports.forget(key);
      memory.analyses.forget(key);
      memory.planner.forget(key);
      memory.loads.forget(key);
    },
  };
}

/**
 * Status is written on every exit, but where the reconcile is only cut short: by a stop, or by a change of what it was
 * looking at. Then it is repeated, here or by whoever leads next.
 */
async function reconcile(object: ModelDeployment, context: PhaseContext, reporter: Reporter): Promise<Result> {
  // Children go with their owner by its references; nothing of ours has to be waited for.
  if (object.metadata.deletionTimestamp !== undefined) {
    context.planner.forget(context.key);
    return DONE;
  }
  const { name, namespace } = object.metadata;
  const scope = newScope(object, { name, namespace, reference: controllerReference(object) }, context.now());
  const unplanned = await runPhases(PHASES, scope, context);
  const failure = mustHold(scope) ? ((await runPhases(STANDING, scope, context)) ?? unplanned) : unplanned;
  const isCutShort = failure !== undefined && scope.problem === undefined;
  // Others must not wait for room that nobody claims any more.
  if (!scope.claimsRoom && !isCutShort) context.planner.forget(context.key);
  try {
    if (!isCutShort) await reporter.tell(scope, context);
    if (failure !== undefined) throw failure;
  } catch (error) {
    if (scope.lookAgainAtMs === undefined) throw error;
    // A canary under way is judged on, and must not wait as long as a failure beside it backs off.
    throw new PartialFailureError(error, Math.max(FAILURE_RETRY_MS, scope.lookAgainAtMs - context.now()));
  }
  if (scope.lookAgainAtMs === undefined) return DONE;
  return requeueAfter(Math.max(0, scope.lookAgainAtMs - context.now()));
}

/** @returns what has to be thrown, after status is written if there is a problem to tell */
async function runPhases(phases: readonly Phase[], scope: Scope, context: PhaseContext): Promise<unknown> {
  try {
    for (const phase of phases) if ((await phase(scope, context)) === 'stop') break;
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
