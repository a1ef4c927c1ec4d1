/**
 * What one reconcile knows. Every field says which phase sets it; until then it has the value given here. What could not
 * be read is never in here: it is thrown, and the reconcile is tried again. What does not exist is `undefined`.
 */
import type { ModelDeployment } from '../kinds.ts';
import type { Pod } from '../resources.ts';
import type { Refusal } from './acceptance.ts';
import type { Owner } from './children.ts';
import type { Diagnosis } from './diagnose.ts';
import { type Exposure, NOT_EXPOSED } from './exposure/exposure.ts';
import type { Plan } from './plan.ts';
import type { Attempt } from './resolve-job.ts';
import type { Revision } from './revision.ts';
import type { ResolvedModel } from './types.ts';

/** What the model of the spec is known to be. */
export type ModelState =
  | { readonly kind: 'unknown' }
  /** A Job finds out; `why` where its pod does not get on. */
  | { readonly kind: 'resolving'; readonly uri: string; readonly why?: Diagnosis | undefined }
  /** `gone`: the registry no longer has it, and its pinned bytes serve on. */
  | { readonly kind: 'resolved'; readonly model: ResolvedModel; readonly gone?: string }
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

export interface Scope {
  /** Given: the object as it was read. */
  readonly object: ModelDeployment;
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
  /** accept, resolve, choose, and the controller for what the API server refuses: why the spec cannot be acted on. */
  refusal: Refusal | undefined;
  /** resolve. */
  model: ModelState;
  /** resolve: the names of the Jobs that are still needed. */
  neededJobs: readonly string[];
  /** choose: undefined when nothing is known and nothing serves. */
  target: Target | undefined;
  /** choose: the other revisions, newest first. */
  old: readonly Revision[];
  /** choose. */
  plan: Plan | undefined;
  /** accept and choose: why the target's pods are not all ready, the worst first. */
  diagnoses: readonly Diagnosis[];
  /** choose: that the target's autoscaler does not scale it, where that has lasted. */
  autoscalerFailure: string | undefined;
  /** expose. */
  exposure: Exposure;
  /** the controller: what cut this reconcile short and is tried again. The phases after it have set nothing. */
  problem: Diagnosis | undefined;
  /** resolve, choose and the controller: when to look again though nothing may have changed. */
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
    refusal: undefined,
    model: { kind: 'unknown' },
    neededJobs: [],
    target: undefined,
    old: [],
    plan: undefined,
    diagnoses: [],
    autoscalerFailure: undefined,
    exposure: NOT_EXPOSED,
    problem: undefined,
    lookAgainAtMs: undefined,
  };
}

/** The earlier of two times to look again. */
export function lookAgain(scope: Scope, atMs: number): void {
  scope.lookAgainAtMs = Math.min(scope.lookAgainAtMs ?? Number.POSITIVE_INFINITY, atMs);
}
