/**
 * What the engine of rollouts is told and what it decides: one snapshot in, one decision out, both plain data. All that
 * it remembers is `Progress`, so that whoever leads next goes on from there. Times are milliseconds since the Unix epoch;
 * weights are whole percent.
 */
import type { RolloutStrategy } from '../api/v1alpha1/rollout.ts';
import type { CapacityAdvice, CapacityMode, PendingPods } from '../capacity/types.ts';
import type { Progress } from './progress.ts';

/** One step, with what the user left out. */
export interface Step {
  readonly kind: 'smoke' | 'mirror' | 'weight';
  /** Of the requests: mirrored or answered; 0 for smoke. Only of a mirror it may have fractions. */
  readonly percent: number;
  /** At least this long once every router applies it. */
  readonly hold: number | 'UntilPromoted';
  /** Metrics that must say Healthy before it ends. */
  readonly analyse: readonly string[];
}

/** `spec.rollout` with its presets and defaults: see `compileRollout`. */
export interface CompiledRollout {
  readonly strategy: RolloutStrategy;
  /** The last one is weight 100. None for Rolling and Recreate. */
  readonly steps: readonly Step[];
  readonly capacityMode: CapacityMode;
  readonly provisionTimeoutMs: number;
  readonly keepPreviousMs: number;
  readonly progressDeadlineMs: number;
  readonly analysisDeadlineMs: number;
  /** As in the spec: counts or percentages. */
  readonly maxSurge: number | string | undefined;
  readonly maxUnavailable: number | string | undefined;
}

/** How many pods are wanted once the rollout is over. */
export type Scale =
  | { readonly kind: 'Fixed'; readonly replicas: number }
  | { readonly kind: 'Autoscaled'; readonly min: number; readonly max: number };

/** A revision whose Deployment exists, as its objects tell of it. */
export interface RevisionState {
  readonly name: string;
  /** Replicas asked for now (`spec.replicas` of its Deployment). */
  readonly replicas: number;
  /** Pods that are ready and not ending: each has answered the model's examples. */
  readonly ready: number;
  /** Pods that exist and are not ending. */
  readonly current: number;
  /** Of those: the ones on a node. */
  readonly onNode: number;
  readonly pending?: PendingPods | undefined;
  /** What keeps its pods from ever serving (a crash loop, a wrong answer to an example), where that has lasted. */
  readonly lastingFailure?: Failure | undefined;
}

export interface Failure {
  /** One CamelCase word. */
  readonly reason: string;
  readonly message: string;
}

/** Where requests go now, as written for the routers (or a Gateway). */
export interface RouteState {
  /** By revision; empty while no route has been written. */
  readonly weights: ReadonlyMap<string, number>;
  readonly mirror?: RouteMirror | undefined;
  /** Every router that runs applies it. */
  readonly isAcknowledged: boolean;
  /** What keeps it from that, for a person: `1 of 2 routers have not applied route generation 7 yet: router-a`. */
  readonly waitingFor?: string | undefined;
}

export interface RouteMirror {
  readonly revision: string;
  readonly percent: number;
}

/** What the analysis says of the step under way. */
export interface Verdict {
  readonly kind: 'Healthy' | 'Unhealthy' | 'InsufficientData' | 'Inconclusive' | 'Error';
  /** With the arithmetic. */
  readonly message: string;
  /** `Decision.analyse.sinceMs` of what was analysed: a verdict on an earlier step says nothing of this one. */
  readonly sinceMs: number;
  /** A `min` or `max` is broken: its traffic goes at once, also onto pods that are too few. */
  readonly breaksHardLimit: boolean;
}

export interface RequestedAction {
  /** The annotation as it stands. */
  readonly text: string;
  readonly by?: string | undefined;
}

export interface RolloutSnapshot {
  readonly nowMs: number;
  readonly rollout: CompiledRollout;
  /** Of all of `spec.rollout`, also of what the engine does not look at: what was taken back is tried again with another one. */
  readonly rolloutHash: string;
  readonly scale: Scale;
  /** The revision that the spec wants; its Deployment may not exist yet. */
  readonly target: string;
  /**
   * Whether the spec's model is known. While it is not (a registry or a Job is asked), `target` is the one of `progress`
   * or the one that serves, and no step begins.
   */
  readonly isTargetKnown: boolean;
  /** All whose Deployments exist and are not being deleted, newest first. */
  readonly revisions: readonly RevisionState[];
  /** Pods that Recreate waits for: of the other revisions, and ending ones of an earlier turn of the target. */
  readonly leftPods: number;
  /** Undefined where nothing splits requests: the Service selects the pods. */
  readonly route: RouteState | undefined;
  /** See `latestProgress`. */
  readonly progress: Progress | undefined;
  readonly verdict?: Verdict | undefined;
  readonly action?: RequestedAction | undefined;
  /** Answer to the `claim` of a decision on this snapshot without advice. Without it no revision grows that claims room. */
  readonly advice?: CapacityAdvice | undefined;
}

export interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** Room that a revision needs now: what a `CapacityClaim` is made of. */
export interface RoomClaim {
  readonly revision: string;
  readonly startedAtMs: number;
  /** Its pods that are on no node yet, of those that this step needs. */
  readonly wanted: number;
  /** Pods of `donors` that may be taken away for it now. */
  readonly removable: number;
  /** Revisions that give way to it. */
  readonly donors: readonly string[];
  /** Pods by which all revisions, as they are asked for and on nodes, are below the wanted number. May be negative. */
  readonly vacant: number;
  /** Its pods that are on a node and not ready. */
  readonly starting: number;
  /** They serve nobody before all of them are there. */
  readonly isAllOrNothing: boolean;
  readonly isSwapping: boolean;
}

export interface RolloutEvent {
  readonly type: 'Normal' | 'Warning';
  /** One CamelCase word. */
  readonly reason: string;
  readonly message: string;
}

export interface RolloutDecision {
  /** To be written on the Deployment of `progress.target`, with its creation where it does not exist yet. */
  readonly progress: Progress;
  /** Of every revision of the snapshot, and of the target. */
  readonly replicas: ReadonlyMap<string, number>;
  /** Of revisions that keep replicas or rest before their first; with an autoscaled `scale` only. */
  readonly autoscalers: ReadonlyMap<string, Bounds> | undefined;
  /** Where requests are to go; undefined where nothing splits them. The first revision is the one taking over. */
  readonly route: DecidedRoute | undefined;
  /** Ask the planner, then decide again on the same snapshot with its advice. */
  readonly claim: RoomClaim | undefined;
  /** Pods to be taken away first (`controller.kubernetes.io/pod-deletion-cost`), by name. */
  readonly victims: readonly string[];
  readonly analyse: AnalysisRequest | undefined;
  readonly report: RolloutReport;
  /** Things that happened with this decision: to be told once, after its progress is written. */
  readonly events: readonly RolloutEvent[];
  /** When to decide again though nothing may have changed. */
  readonly lookAgainAtMs: number | undefined;
}

export interface DecidedRoute {
  /** Of revisions that get requests, or may by `traffic.match`; adds up to 100. */
  readonly weights: ReadonlyMap<string, number>;
  readonly mirror: RouteMirror | undefined;
  /** Whom `traffic.match` and `fallback` mean by Stable and by Canary (absent where it has no ready pod, or none is). */
  readonly stable: string;
  readonly canary: string | undefined;
}

export interface AnalysisRequest {
  readonly canary: string;
  readonly stable: string;
  readonly metrics: readonly string[];
  /** Counts from here on are what is judged. */
  readonly sinceMs: number;
  /** Whether the canary answers copies only. */
  readonly isMirrored: boolean;
  /** Whether the step is to leave stable nothing: then what compares with it is judged by its limits alone. */
  readonly limitsOnly: boolean;
}

/** What status says of it. */
export interface RolloutReport {
  /** Complete: the wanted revision has all of the traffic. RolledBack: the one before has. */
  readonly outcome: 'Progressing' | 'Paused' | 'Complete' | 'RolledBack';
  /** Ready pods of the wanted revision with which the rollout is complete. */
  readonly wanted: number;
  readonly stable: string | undefined;
  readonly canary: string | undefined;
  /** Such as `3/4`; absent without steps or between rollouts. */
  readonly step: string | undefined;
  /** What an action has to name behind its verb, such as `@churn-9c1d#3`. */
  readonly actionTarget: string;
  /** With the numbers. */
  readonly message: string;
  readonly holdUntilMs: number | undefined;
  /** What it waits for is room: reason and message for the condition CapacityAvailable. */
  readonly shortfall: Failure | undefined;
}
