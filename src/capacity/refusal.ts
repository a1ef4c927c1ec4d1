/** What the scheduler means when it says that no node has room (`0/9 nodes are available: 9 Insufficient cpu. ...`). */

export interface Refusal {
  /** All that is in the way is counted by the planner too: its own, newer count of it holds. */
  readonly isCounted: boolean;
  /** Something is in the way that is gone when another pod goes. */
  readonly isCurable: boolean;
}

const OF_NODES = /^[0-9]+\/[0-9]+ nodes are available: (.*?)(?:[.] |[.]?$)/s;
const ROOM = /Insufficient |Too many pods/;
const NODE = /untolerated taint|Pod's node affinity|were unschedulable|requested node name/;
const OTHER_PODS = /anti-affinity|free ports|topology spread|cannot allocate/;

/** @param message of the pod's condition PodScheduled */
export function refusalOf(message: string): Refusal {
  const reasons = OF_NODES.exec(message)?.[1]?.split(', ') ?? [];
  return {
    isCounted: reasons.length > 0 && reasons.every((reason) => ROOM.test(reason) || NODE.test(reason)),
    isCurable: reasons.some((reason) => ROOM.test(reason) || OTHER_PODS.test(reason)),
  };
}
