/** What the scheduler could preempt for a pod. It decides; this only tells a person what a Pending pod may lead to. */
import type { Ledger } from './ledger.ts';
import type { PodDemand } from './pod-demand.ts';
import type { NodeRoom, PodUse, PriorityClass } from './types.ts';

export interface Preemption {
  readonly node: string;
  readonly pods: readonly PodUse[];
}

/** The node on which the fewest pods of lower priority would have to go for one more; undefined when there is none. */
export function preemptionFor(
  pod: PodDemand,
  suitable: readonly NodeRoom[],
  ledger: Ledger,
  classes: readonly PriorityClass[],
): Preemption | undefined {
  const own = classes.find(({ name, isGlobalDefault }) =>
    pod.priorityClassName === undefined ? isGlobalDefault : name === pod.priorityClassName,
  );
  if (own?.mayPreempt === false) return undefined;
  const priority = own?.value ?? 0;
  let best: Preemption | undefined;
  for (const node of suitable) {
    const trial = ledger.fork(node);
    const lower = (node.pods ?? []).filter((each) => each.priority < priority && each.endsAtMs === undefined);
    const gone: PodUse[] = [];
    for (const each of lower.toSorted((a, b) => a.priority - b.priority)) {
      if (trial.hasRoom(node, pod, 'soon')) break;
      trial.release(node, each);
      gone.push(each);
    }
    if (gone.length > 0 && trial.hasRoom(node, pod, 'soon') && gone.length < (best?.pods.length ?? Infinity)) {
      best = { node: node.name, pods: gone };
    }
  }
  return best;
}
