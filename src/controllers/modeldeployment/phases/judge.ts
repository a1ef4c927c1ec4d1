import type { Traffic } from '../../../rollout/analysis/policy.ts';
import type { AnalysisRequest, RolloutDecision } from '../../../rollout/types.ts';
import { LEASES } from '../../../runtime/kubernetes-resources.ts';
import { DEPLOYMENTS, PODS, type Pod } from '../../resources.ts';
import { BY_ROUTER_NAMESPACE } from '../../router/selector.ts';
import type { CountsSources } from '../analysis/book.ts';
import { ANALYSIS_ANNOTATION } from '../analysis/record.ts';
import type { CountsSource } from '../counts/reader.ts';
import { lookAgain, type Scope } from '../scope.ts';
import type { Phase, PhaseContext } from './phase.ts';

/** Remembers what has been measured of the revision that is judged; what follows is the next reconcile's. */
export const judge: Phase = async (scope, context) => {
  const { decision, object } = scope;
  if (decision?.analyse === undefined) {
    context.analyses.forget(context.key);
    await forgetRecords(scope, context);
    return 'continue';
  }
  const request = decision.analyse;
  const { record, hasNews, text, nextAtMs } = context.analyses.advance(
    {
      key: context.key,
      spec: object.spec,
      request,
      traffic: trafficOf(request, decision),
      sources: sourcesOf(scope, context, request),
      nowMs: scope.nowMs,
      signal: context.signal,
      whenMeasured: context.wake,
    },
    scope.analysis,
  );
  scope.analysis = record;
  if (text !== undefined) await write(scope, context, request, text);
  if (hasNews) lookAgain(scope, scope.nowMs);
  else if (nextAtMs !== undefined) lookAgain(scope, nextAtMs);
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
    requestsFrom: isRouted ? 'Routers' : 'Servers',
    routers: isRouted ? readable(cache.byIndex(PODS, BY_ROUTER_NAMESPACE, namespace)) : [],
    servers: counts ? readable(servers) : [],
    last: context.analyses.finalCounts.of(leases, context.log),
  };
}

/** Pods that may be asked what they count. */
export function readable(pods: readonly Pod[]): readonly CountsSource[] {
  return pods.flatMap(({ metadata: { name, uid = '' }, status }) =>
    status?.phase === 'Running' && status.podIP !== undefined ? [{ uid, name, address: status.podIP }] : [],
  );
}
