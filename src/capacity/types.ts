/**
 * What the planner of capacity is asked, what it knows, and what it answers. It advises; the scheduler decides: where the
 * two disagree, the planner believes the scheduler's word about the pods that wait.
 */
import type { PodDemand } from './pod-demand.ts';
import type { Amounts } from './quantity.ts';

/**
 * How a rollout gets room. Auto: new pods beside the old; where none fits, one is left Pending so that a cluster
 * autoscaler may act; then old pods give way one for one. Surge never takes an old pod away first. Swap asks for no room
 * beyond what the rollout has: one for one from the start.
 */
export type CapacityMode = 'Auto' | 'Surge' | 'Swap';

/** What a rollout wants of the cluster now. Every rollout in progress has one; it is made anew with each reconcile. */
export interface CapacityClaim {
  /** `namespace/name` of the ModelDeployment. */
  readonly rollout: string;
  /** When the rollout began, in milliseconds since the Unix epoch: among those that can go on, the oldest goes first. */
  readonly startedAtMs: number;
  readonly mode: CapacityMode;
  /** How long a pod is left Pending for a cluster autoscaler. */
  readonly provisionTimeoutMs: number;
  /** One of the pods that are to be added: `podDemand` of their spec. */
  readonly pod: PodDemand;
  /**
   * New pods that the present step needs and that are on no node yet, `pending` included. 0 while a step is held, paused
   * or judged: then the rollout is in nobody's way.
   */
  readonly wanted: number;
  /** New pods that exist and are on no node; absent when there is none. */
  readonly pending?: PendingPods | undefined;
  /**
   * Old pods that may be taken away now: those that are ready, by what is asked for and not by what still ends, above
   * the floor of `availabilityFloor`; and what old pods there are that are not ready, since these serve nobody.
   */
  readonly removable: number;
  /**
   * Pods by which the rollout is below the number that it is to have, of all its revisions, by what is asked for but
   * without new ones that are on no node: what mode Swap may add. May be negative.
   */
  readonly vacant: number;
  /** New pods on nodes that are not ready yet: once they are, more old ones may give way. */
  readonly starting: number;
  /** Old pods that have been asked to end and may still do so: see `ENDING_SLACK_MS`. */
  readonly ending: number;
  /** Names of the old pods that are on nodes and not ending: those among which the `removable` are. */
  readonly oldPods: readonly string[];
  /**
   * What old pods that are not ending ask for, each of them: what quotas get back when they go. Absent where that is not
   * known: then each is taken to give back enough.
   */
  readonly oldDemands?: readonly PodDemand[] | undefined;
  /**
   * Its new pods serve nobody until all of them are there (BlueGreen): two such rollouts that each hold a part of what
   * there is would wait for each other for ever.
   */
  readonly isAllOrNothing: boolean;
  /** Set from the first `Swap` of a rollout to its end: a cluster autoscaler had its chance and is not waited for again. */
  readonly isSwapping: boolean;
}

export interface PendingPods {
  readonly count: number;
  /** When the oldest of them was created. */
  readonly sinceMs: number;
  /** Set when the scheduler says of one of them that no node has room (condition PodScheduled, reason Unschedulable). */
  readonly unschedulable?: { readonly sinceMs: number; readonly message: string } | undefined;
}

interface Advice {
  /**
   * How many new pods may exist and be on no node yet, those that do already included. So the new revision is to have its
   * pods on nodes, and as many as this: an absolute count, and acting on it twice changes nothing.
   */
  readonly pods: number;
  /** For a person, with the numbers. */
  readonly message: string;
  /** When to ask again though nothing may have changed; absent when nothing is wanted. */
  readonly askAgainAtMs?: number | undefined;
}

/** `pods` may be asked for: they fit beside everything else or, where that cannot be counted, nothing says that they do not. */
export interface Fits extends Advice {
  readonly kind: 'Fits';
}

/** Nothing fits: `pods` (one; in mode Surge all) are left Pending so that a cluster autoscaler may act. */
export interface PendingSurge extends Advice {
  readonly kind: 'PendingSurge';
  /** When it had its chance. Mode Surge waits on. */
  readonly untilMs: number;
}

/** `remove` old pods make room for `pods` new ones. */
export interface Swap extends Advice {
  readonly kind: 'Swap';
  /** At least 1 and at most `removable` of the claim. */
  readonly remove: number;
  /** Names of the old pods that have to be the ones (by `controller.kubernetes.io/pod-deletion-cost`); empty: any will do. */
  readonly victims: readonly string[];
}

/** Nothing can be done but wait. */
export interface Wait extends Advice {
  readonly kind: 'Wait';
  readonly reason: WaitReason;
  /** The rollout that goes first, with `OtherRolloutFirst`. */
  readonly behind?: string | undefined;
}

/**
 * InsufficientCapacity: no room, and swapping would go below the floor. QuotaExceeded: the API server would refuse the
 * pods. OtherRolloutFirst: another rollout takes what there is. PodsEnding: pods are on their way out and free it.
 * PodsStarting: new pods have to be ready before old ones may give way.
 */
export type WaitReason = 'InsufficientCapacity' | 'QuotaExceeded' | 'OtherRolloutFirst' | 'PodsEnding' | 'PodsStarting';

export type CapacityAdvice = Fits | PendingSurge | Swap | Wait;

/** What was read of the cluster. `unreadable` where RBAC forbids it: then Pending pods alone tell. */
export interface CapacitySnapshot {
  readonly nodes: readonly NodeRoom[] | 'unreadable';
  /** Those of the namespaces that claim something. */
  readonly quotas: readonly Quota[] | 'unreadable';
  readonly priorityClasses: readonly PriorityClass[] | 'unreadable';
}

/** A node and who is on it. */
export interface NodeRoom {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
  /** Whether pods may be put there: not cordoned. */
  readonly isSchedulable: boolean;
  /** Condition Ready. */
  readonly isReady: boolean;
  readonly allocatable: Amounts;
  /** All pods that hold something of it, ending ones included; undefined where they were not read. */
  readonly pods: readonly PodUse[] | undefined;
}

export interface Taint {
  readonly key: string;
  readonly value?: string | undefined;
  readonly effect: string;
}

export interface PodUse {
  readonly namespace: string;
  readonly name: string;
  readonly priority: number;
  /** The same object for pods that request the same, as far as the reader can. */
  readonly requests: Amounts;
  /** Set when it has been asked to end: when its grace is over. It holds what it has until it is gone. */
  readonly endsAtMs?: number | undefined;
}

export interface Quota {
  readonly namespace: string;
  readonly name: string;
  /** By the quota's own keys, such as `requests.nvidia.com/gpu`, `limits.memory` or `pods`. */
  readonly hard: Amounts;
  readonly used: Amounts;
  /** All must hold for a pod to be counted. */
  readonly scopes: readonly QuotaScope[];
}

export interface QuotaScope {
  /** BestEffort, NotBestEffort, Terminating, NotTerminating, PriorityClass, CrossNamespacePodAffinity. */
  readonly name: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

export interface PriorityClass {
  readonly name: string;
  readonly value: number;
  readonly isGlobalDefault: boolean;
  readonly mayPreempt: boolean;
}
