/** Which old pods have to give way so that new ones fit. */
import type { Ledger } from './ledger.ts';
import type { PodDemand } from './pod-demand.ts';
import type { NodeRoom, PodUse } from './types.ts';

export interface SwapPlan {
  /** New pods that then fit. */
  readonly pods: number;
  /** Old pods that go, by name. */
  readonly victims: readonly string[];
  /** Whether others of the old pods would not have done. */
  readonly isChoiceBound: boolean;
}

interface Candidate {
  readonly node: NodeRoom;
  readonly pod: PodUse;
}

/**
 * Takes as few pods away as make room for one more, on the node where the fewest have to go, until `wanted` fit or
 * `removable` are gone. Reserves what it finds.
 */
export function planSwap(
  pod: PodDemand,
  suitable: readonly NodeRoom[],
  ledger: Ledger,
  old: { readonly namespace: string; readonly names: ReadonlySet<string>; readonly removable: number },
  wanted: number,
): SwapPlan {
  const candidates = suitable.flatMap((node) =>
    (node.pods ?? [])
      .filter(({ namespace, name }) => namespace === old.namespace && old.names.has(name))
      .map((each): Candidate => ({ node, pod: each })),
  );
  const victims: string[] = [];
  let pods = 0;
  while (pods < wanted) {
    const left = candidates.filter(({ pod: { name } }) => !victims.includes(name));
    const next = fewestFor(pod, left, ledger, old.removable - victims.length);
    if (next === undefined) break;
    for (const each of next) ledger.release(each.node, each.pod);
    victims.push(...next.map((each) => each.pod.name));
    pods += ledger.reserve([next[0].node], pod, wanted - pods, 'soon');
  }
  const isEachEnough =
    candidates.length === old.names.size &&
    candidates.every(({ pod: { requests } }) =>
      [...pod.requests].every(([resource, amount]) => (requests.get(resource) ?? 0n) >= amount),
    );
  return { pods, victims, isChoiceBound: !isEachEnough };
}

/** Pods of one node whose going makes room for one more there. */
function fewestFor(
  pod: PodDemand,
  candidates: readonly Candidate[],
  ledger: Ledger,
  atMost: number,
): [Candidate, ...Candidate[]] | undefined {
  const byNode = Map.groupBy(candidates, ({ node }) => node);
  let fewest: Candidate[] | undefined;
  for (const [node, group] of byNode) {
    const trial = ledger.fork(node);
    const gone: Candidate[] = [];
    for (const each of group) {
      if (gone.length === Math.min(atMost, (fewest?.length ?? Infinity) - 1)) break;
      trial.release(node, each.pod);
      gone.push(each);
      if (trial.hasRoom(node, pod, 'soon')) {
        fewest = gone;
        break;
      }
    }
    if (fewest?.length === 1) break;
  }
  const [first, ...rest] = fewest ?? [];
  return first && [first, ...rest];
}
