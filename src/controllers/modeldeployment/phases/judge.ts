import { ANNOTATIONS } from '../../../api/names.ts';
import type { Traffic } from '../../../rollout/analysis/policy.ts';
import type { AnalysisRequest, RolloutDecision } from '../../../rollout/types.ts';
import { LEASES, type Lease } from '../../../runtime/kubernetes-resources.ts';
import { describeError } from '../../../runtime/outcome.ts';
import { DEPLOYMENTS, PODS, type Pod } from '../../resources.ts';
import { BY_ROUTER_NAMESPACE } from '../../router/selector.ts';
import type { CountsSources } from '../analysis/book.ts';
import { ANALYSIS_ANNOTATION } from '../analysis/record.ts';
import type { LastCounts } from '../counts/ledger.ts';
import { type CountsSource, parseCounts } from '../counts/reader.ts';
import { lookAgain, type Scope } from '../scope.ts';
import type { Phase, PhaseContext } from './phase.ts';

/** Reads what has been counted of the revision that is judged, and remembers it; what follows is the next reconcile's. */
export const judge: Phase = async (scope, context) => {
  const { decision, object } = scope;
  if (decision?.analyse === undefined) {
    context.analyses.forget(context.key);
    await forgetRecords(scope, context);
    return 'continue';
  }
  const request = decision.analyse;
  const { record, hasNewCounts, text, nextReadingAtMs } = await context.analyses.advance(
    {
      key: context.key,
      spec: object.spec,
      request,
      traffic: trafficOf(request, decision),
      sources: sourcesOf(scope, context, request),
      nowMs: scope.nowMs,
      signal: context.signal,
    },
    scope.analysis,
  );
  scope.analysis = record;
  if (text !== undefined) await write(scope, context, request, text);
  lookAgain(scope, hasNewCounts ? scope.nowMs : nextReadingAtMs);
  return 'continue';
};

function trafficOf({ canary, isMirrored }: AnalysisRequest, { route }: RolloutDecision): Traffic {
  if (isMirrored) return 'Mirror';
  return route?.weights.get(canary) === 100 ? 'Whole' : 'Split';
}

async function write(scope: Scope, context: PhaseContext, { canary }: AnalysisRequest, text: string): Promise<void> {
  const revision = scope.revisions.find(({ name }) => name === canary);
  if (revision === undefined) return;
  await context.annotate(DEPLOYMENTS, revision.deployment, { [ANALYSIS_ANNOTATION]: text });
}

/** Nothing is judged: what was counted of an earlier step has served. */
async function forgetRecords({ revisions }: Scope, context: PhaseContext): Promise<void> {
  for (const { deployment, analysis } of revisions) {
    if (analysis !== undefined) await context.annotate(DEPLOYMENTS, deployment, { [ANALYSIS_ANNOTATION]: undefined });
  }
}

function sourcesOf(scope: Scope, context: PhaseContext, { canary, stable }: AnalysisRequest): CountsSources {
  const { namespace } = scope.owner;
  const { cache } = context;
  const isRouted = scope.routing.splitter === 'Router';
  // A container of the user's own counts nothing.
  const counts = scope.object.spec.runtime?.container === undefined;
  const servers = [canary, stable].flatMap((revision) => scope.pods.get(revision) ?? []);
  const leases = isRouted ? cache.list(LEASES, namespace) : [];
  return {
    routers: isRouted ? readable(cache.byIndex(PODS, BY_ROUTER_NAMESPACE, namespace)) : [],
    servers: counts ? readable(servers) : [],
    last: leases.flatMap((lease) => lastCounts(lease, context)),
  };
}

/** Pods that may be asked what they count. */
export function readable(pods: readonly Pod[]): readonly CountsSource[] {
  return pods.flatMap(({ metadata: { name, uid = '' }, status }) =>
    status?.phase === 'Running' && status.podIP !== undefined ? [{ uid, name, address: status.podIP }] : [],
  );
}

function lastCounts({ metadata }: Lease, { log }: PhaseContext): readonly LastCounts[] {
  const text = metadata.annotations?.[ANNOTATIONS.finalCounts];
  if (text === undefined) return [];
  try {
    return [{ uid: metadata.ownerReferences?.[0]?.uid ?? metadata.name, snapshot: parseCounts(text) }];
  } catch (error) {
    log.warn(`the last counts of router ${metadata.name} cannot be read: ${describeError(error)}`);
    return [];
  }
}
