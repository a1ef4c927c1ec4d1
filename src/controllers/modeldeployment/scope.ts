/**
 * What one reconcile knows. Every field says which phase sets it; until then it has the value given here. What could not
 * be read is never in here: it is thrown, and the reconcile is tried again. What does not exist is `undefined`.
 */
import type { Route } from '../../api/route.ts';
import type { Progress } from '../../rollout/progress.ts';
import type { RolloutDecision } from '../../rollout/types.ts';
import type { ModelDeployment } from '../kinds.ts';
import type { Pod } from '../resources.ts';
import type { Refusal } from './acceptance.ts';
import type { JudgedStep } from './analysis/judge.ts';
import type { AnalysisRecord } from './analysis/record.ts';
import type { Owner } from './children.ts';
import type { Diagnosis } from './diagnose.ts';
import { type Exposure, NOT_EXPOSED } from './exposure/exposure.ts';
import type { Attempt } from './resolve-job.ts';
import type { Revision } from './revision.ts';
import type { Acknowledgement, LiveRouter } from './routing/acknowledgement.ts';
import type { Splitter } from './routing/splitter.ts';
import type { ServiceLead } from './services.ts';
import type { ResolvedModel } from './types.ts';

/** What the model of the spec is known to be. */
export type ModelState =
  | { readonly kind: 'unknown' }
  /** A Job finds out; `why` where its pod does not get on. */
  | { readonly kind: 'resolving'; readonly uri: string; readonly why?: Diagnosis | undefined }
  /**
   * `gone`: the registry no longer has it, and its pinned bytes serve on. `unfollowed`: the registry does not answer, and
   * what it answered last holds.
   */
  | { readonly kind: 'resolved'; readonly model: ResolvedModel; readonly gone?: string; readonly unfollowed?: string }
  | { readonly kind: 'failed'; readonly reason: string; readonly message: string };

/** The revision that is to have all of the traffic. */
export interface Target {
  readonly name: string;
  /** Undefined until its Deployment exists. */
  readonly existing: Revision | undefined;
  /**
   * Undefined when the model of the spec is not known: then the revision that serves is kept as it is, and only its
   * number of replicas follows the spec.
   */
  readonly model: ResolvedModel | undefined;
}

/** How requests come to the pods now. */
export interface Routing {
  readonly splitter: Splitter;
  /** Where the Service leads; undefined where it does not exist. */
  readonly lead: ServiceLead | undefined;
  /** The route that stands, for routers or for a Gateway, and what they say of it. */
  readonly route: Route | undefined;
  /** By revision, as decided for that route. */
  readonly weights: ReadonlyMap<string, number>;
  readonly acknowledgement: Acknowledgement | undefined;
  /** Routers of the namespace that run. */
  readonly routers: readonly LiveRouter[];
  /** Why the fallback, or a member of the ensemble, that the spec names never answers. */
  readonly unanswered?: string | undefined;
}

export interface Scope {
  /** Given: the object as it was read; hold: without the metrics that nothing can be judged by. */
  object: ModelDeployment;
  /** Given. */
  readonly owner: Owner;
  /** Given: milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** observe: newest first; those being deleted are left out. */
  revisions: readonly Revision[];
  /** observe: pods that serve, of all revisions, by the name of the revision. */
  pods: ReadonlyMap<string, readonly Pod[]>;
  /** observe: Jobs that resolve a digest, by the question they answer; those being deleted are left out. */
  attempts: ReadonlyMap<string, readonly Attempt[]>;
  /** observe: what the rollouts so far have left behind. */
  progress: Progress | undefined;
  /** observe; hold: by whoever splits now; route: as it is after what it wrote. */
  routing: Routing;
  /** observe; route: how it is reached from outside. */
  exposure: Exposure;
  /** hold: the spec cannot be acted on, and what runs goes on without it. */
  isHeld: boolean;
  /** accept, resolve, choose, route, and the controller for what the API server refuses: why the spec cannot be acted on. */
  refusal: Refusal | undefined;
  /** resolve. */
  model: ModelState;
  /** resolve: the names of the Jobs that are still needed. */
  neededJobs: readonly string[];
  /** choose: pods that the requests in flight take at least. */
  podsForLoad: number;
  /** choose: undefined when nothing is known and nothing serves. */
  target: Target | undefined;
  /** choose: the other revisions, newest first. */
  old: readonly Revision[];
  /** choose, judge: what has been counted of the step under way. */
  analysis: AnalysisRecord | undefined;
  /** choose: the planner holds a claim of the rollout, made by this reconcile. */
  claimsRoom: boolean;
  /** choose: what it says. */
  judged: JudgedStep | undefined;
  /** choose. */
  decision: RolloutDecision | undefined;
  /** grow: what was decided is on its way, and must not be decided again from what was observed before. */
  isUnderWay: boolean;
  /** accept and choose: why the target's pods are not all ready, the worst first. */
  diagnoses: readonly Diagnosis[];
  /** choose: that the target's autoscaler does not scale it, where that has lasted. */
  autoscalerFailure: string | undefined;
  /** route: another route was written, which routers have not acknowledged yet. */
  hasNewRoute: boolean;
  /** the controller: what cut this reconcile short and is tried again. The phases after it have set nothing. */
  problem: Diagnosis | undefined;
  /** resolve, choose, judge and the controller: when to look again though nothing may have changed. */
  lookAgainAtMs: number | undefined;
}

export function newScope(object: ModelDeployment, owner: Owner, nowMs: number): Scope {
  return {
    object,
    owner,
    nowMs,
    revisions: [],
    pods: new Map(),
    attempts: new Map(),
    progress: undefined,
    routing: {
      splitter: 'None',
      lead: undefined,
      route: undefined,
      weights: new Map(),
      acknowledgement: undefined,
      routers: [],
    },
    exposure: NOT_EXPOSED,
    isHeld: false,
    refusal: undefined,
    model: { kind: 'unknown' },
    neededJobs: [],
    podsForLoad: 0,
    target: undefined,
    old: [],
    analysis: undefined,
    claimsRoom: false,
    judged: undefined,
    decision: undefined,
    isUnderWay: false,
    diagnoses: [],
    autoscalerFailure: undefined,
    hasNewRoute: false,
    problem: undefined,
    lookAgainAtMs: undefined,
  };
}

/** The earlier of two times to look again. */
export function lookAgain(scope: Scope, atMs: number): void {
  scope.lookAgainAtMs = Math.min(scope.lookAgainAtMs ?? Number.POSITIVE_INFINITY, atMs);
}
