import { PODS } from '../../resources.ts';
import { BY_ROUTER_NAMESPACE } from '../../router/selector.ts';
import { lookAgain, type Scope } from '../scope.ts';
import { readable } from './judge.ts';
import type { Phase, PhaseContext } from './phase.ts';

/** Has requests in flight counted, where an autoscaler goes by them; what follows is the next reconcile's. */
export const weigh: Phase = async (scope, context) => {
  const { object, owner, routing, nowMs } = scope;
  const { key, signal } = context;
  if (object.spec.autoscaling?.inFlight === undefined) {
    context.loads.forget(key);
    return 'continue';
  }
  const routers = readable(context.cache.byIndex(PODS, BY_ROUTER_NAMESPACE, owner.namespace));
  // Whoever answers copies of a mirror alone has no requests of users.
  const copied = routing.route?.mirror?.revision;
  const counts = (revision: string) => revision !== copied || (routing.weights.get(revision) ?? 0) > 0;
  lookAgain(scope, context.loads.advance({ key, routers, counts, nowMs, signal }));
  return 'continue';
};

/** Pods that the requests in flight take at least; 0 where nobody asked for that. */
export function podsForLoad({ object, revisions, nowMs }: Scope, { loads, key }: PhaseContext): number {
  const perPod = object.spec.autoscaling?.inFlight;
  if (perPod === undefined) return 0;
  const running = Math.max(0, ...revisions.map(({ replicas }) => replicas));
  return loads.podsFor(key, perPod, running, nowMs);
}
