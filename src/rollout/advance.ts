/**
 * Where a rollout goes from where it is: at most one transition a decision, each a fact about what is observed, so that a
 * decision that is repeated after a crash comes to the same.
 */
import { enterKeeping, enterReturning, enterStep } from './action.ts';
import { isStepped, stepName } from './compile.ts';
import { durationText } from './duration-text.ts';
import type { Progress } from './progress.ts';
import {
  currentStep,
  currentVerdict,
  goalOf,
  hasAllTraffic,
  readyPods,
  revisionIn,
  type Situation,
  weightOf,
} from './situation.ts';
import { stepPods } from './step-pods.ts';
import type { Failure, RolloutEvent, RolloutSnapshot, Step } from './types.ts';

export interface Advance {
  readonly progress: Progress;
  readonly events: readonly RolloutEvent[];
}

export function advance(situation: Situation): Advance {
  const { progress } = situation;
  switch (progress.stage) {
    case 'Stepping':
      return currentStep(situation) === undefined ? gather(situation) : step(situation);
    case 'Keeping':
      return keep(situation);
    case 'Returning':
      return isGathered(situation)
        ? {
            progress: { ...progress, stage: 'Returned' },
            events: [normal('RolledBack', `revision ${goalOf(progress)} has all of the traffic again`)],
          }
        : stay(progress);
    case 'Done':
    case 'Returned':
      return stay(progress);
  }
}

const stay = (progress: Progress): Advance => ({ progress, events: [] });
const normal = (reason: string, message: string): RolloutEvent => ({ type: 'Normal', reason, message });

function step(situation: Situation): Advance {
  const { snapshot, isHeldUp } = situation;
  const current = currentStep(situation);
  if (current === undefined) return stay(situation.progress);
  const progress = withIdleTime(situation, current);
  if (situation.wanted === 0) return stay(progress);
  const failure = failureOf(situation, current);
  if (failure !== undefined) return takenBack(progress, failure, snapshot.nowMs);
  const timed = withReadiness({ ...situation, progress });
  if (!isReached(situation, current)) return stay(timed);
  // What is measured is measured while it is paused too.
  const held: Progress = timed.heldSinceMs === undefined ? { ...timed, heldSinceMs: snapshot.nowMs } : timed;
  if (isHeldUp) return stay(held);
  const outcome = judge({ ...situation, progress: held }, current);
  if (outcome === 'wait') return stay(held);
  if (outcome !== 'over') return paused(held, outcome, snapshot.nowMs);
  return next(held, snapshot);
}

function next(progress: Progress, snapshot: RolloutSnapshot): Advance {
  const { steps } = snapshot.rollout;
  const index = progress.step + 1;
  const following = steps[index];
  if (following === undefined) {
    return {
      progress: enterKeeping(progress),
      events: [normal('Promoted', `revision ${progress.target} has all of the traffic`)],
    };
  }
  return {
    progress: enterStep(progress, index),
    events: [normal('StepStarted', `step ${index + 1} of ${steps.length}: ${stepName(following)}`)],
  };
}

function takenBack(progress: Progress, failure: Failure & { isHardLimit?: boolean }, nowMs: number): Advance {
  const message = `revision ${progress.target} is taken back: ${failure.reason}: ${failure.message}`;
  return {
    progress: enterReturning(progress, failure, nowMs),
    events: [{ type: 'Warning', reason: 'TakenBack', message }],
  };
}

function paused(progress: Progress, { reason, message }: PauseCause, nowMs: number): Advance {
  return {
    progress: { ...progress, pause: { reason, message: message.slice(0, 1024), atMs: nowMs } },
    events: [{ type: 'Warning', reason: 'Paused', message: `${reason}: ${message}` }],
  };
}

function failureOf(situation: Situation, current: Step): (Failure & { isHardLimit?: boolean }) | undefined {
  const { snapshot, progress } = situation;
  const canary = revisionIn(snapshot, progress.target);
  if (canary.lastingFailure !== undefined) return canary.lastingFailure;
  const verdict = currentVerdict(situation);
  if (verdict?.kind === 'Unhealthy') {
    return { reason: 'AnalysisFailed', message: verdict.message, isHardLimit: verdict.breaksHardLimit };
  }
  const deadlineMs = snapshot.rollout.progressDeadlineMs;
  if (progress.unreadySinceMs !== undefined && snapshot.nowMs >= progress.unreadySinceMs + deadlineMs) {
    const pods = `${readyPods(canary)} of ${stepPods(situation, current)} pods ready`;
    return {
      reason: 'ProgressDeadlineExceeded',
      message: `${pods} after ${durationText(deadlineMs)} (progressDeadline)`,
    };
  }
  return undefined;
}

/** Pods that have a node and do not get ready are on their deadline; pods that wait for room are not. */
function withReadiness({ snapshot, progress }: Situation): Progress {
  const canary = revisionIn(snapshot, progress.target);
  const isLate = readyPods(canary) < Math.min(canary.onNode, canary.replicas);
  if (isLate === (progress.unreadySinceMs !== undefined)) return progress;
  const { unreadySinceMs: _since, ...rest } = progress;
  return isLate ? { ...rest, unreadySinceMs: snapshot.nowMs } : rest;
}

/** A step is held for as long as something reaches the revision, however little of it that is for a while. */
function withIdleTime(situation: Situation, current: Step): Progress {
  const { snapshot, progress } = situation;
  const { idleSinceMs, ...rest } = progress;
  if (progress.heldSinceMs === undefined) return progress;
  if (!isUsed(situation, current)) return { ...progress, idleSinceMs: idleSinceMs ?? snapshot.nowMs };
  if (idleSinceMs === undefined || snapshot.route?.isAcknowledged === false) return progress;
  // Whoever leads next may have a clock that is behind; of a negative time the record could not be read any more.
  return { ...rest, idleMs: (progress.idleMs ?? 0) + Math.max(0, snapshot.nowMs - idleSinceMs) };
}

/** Whether the revision has anything of what the step gives it. */
function isUsed(situation: Situation, { kind }: Step): boolean {
  const { snapshot, progress } = situation;
  if (readyPods(revisionIn(snapshot, progress.target)) === 0) return false;
  if (kind === 'weight') return weightOf(situation, progress.target) > 0;
  return kind === 'smoke' || snapshot.route?.mirror?.revision === progress.target;
}

/** When the hold is over, as things stand; undefined while nothing reaches the revision, or a person ends it. */
export function holdEndsMs({ heldSinceMs, idleSinceMs, idleMs = 0 }: Progress, hold: Step['hold']): number | undefined {
  if (heldSinceMs === undefined || idleSinceMs !== undefined || hold === 'UntilPromoted') return undefined;
  return heldSinceMs + idleMs + hold;
}

/** Every router applies the step, and the pods that it needs are there. */
export function isReached(situation: Situation, current: Step): boolean {
  const { snapshot, progress } = situation;
  const canary = revisionIn(snapshot, progress.target);
  if (snapshot.route !== undefined && !snapshot.route.isAcknowledged) return false;
  if (!isUsed(situation, current)) return false;
  if (current.kind === 'weight') return weightOf(situation, progress.target) >= current.percent;
  if (readyPods(canary) < stepPods(situation, current)) return false;
  if (current.kind === 'smoke') return true;
  return snapshot.route?.mirror?.percent === current.percent;
}

interface PauseCause {
  readonly reason: 'InsufficientData' | 'Inconclusive' | 'AnalysisError';
  readonly message: string;
}

/** Whether the step is over, waits, or cannot be decided without a person. */
function judge(situation: Situation, { hold, analyse }: Step): 'over' | 'wait' | PauseCause {
  const { snapshot, progress } = situation;
  if (analyse.length > 0) {
    const verdict = currentVerdict(situation);
    const message = verdict?.message ?? 'nothing has been measured yet';
    if (verdict?.kind === 'Error') return { reason: 'AnalysisError', message };
    if (verdict?.kind === 'Inconclusive') return { reason: 'Inconclusive', message };
    if (verdict?.kind !== 'Healthy') {
      const { analysisDeadlineMs } = snapshot.rollout;
      if (snapshot.nowMs < deadlineMsOf(situation)) return 'wait';
      return {
        reason: 'InsufficientData',
        message: `${message}, after ${durationText(analysisDeadlineMs)} (deadline)`,
      };
    }
  }
  const endsMs = holdEndsMs(progress, hold);
  return endsMs !== undefined && snapshot.nowMs >= endsMs ? 'over' : 'wait';
}

/** When the data of the step must be enough; a resume gives it the whole time again. */
export function deadlineMsOf({ snapshot, progress }: Pick<Situation, 'snapshot' | 'progress'>): number {
  const { heldSinceMs = snapshot.nowMs, deadlineSinceMs = 0, idleMs = 0 } = progress;
  return Math.max(heldSinceMs, deadlineSinceMs) + idleMs + snapshot.rollout.analysisDeadlineMs;
}

/** The one revision that is to have everything has it, and its pods; no other has a pod left. */
export function isGathered(situation: Situation): boolean {
  const { snapshot, progress } = situation;
  const goal = goalOf(progress);
  const isAlone = snapshot.revisions.every(
    ({ name, replicas, ready }) => name === goal || (replicas === 0 && ready === 0),
  );
  const own = revisionIn(snapshot, goal);
  const least = leastPodsOf(situation);
  return hasAllTraffic(situation, goal) && isAlone && own.replicas > 0 === least > 0 && readyPods(own) >= least;
}

/** Ready pods with which a rollout is complete: an autoscaler may add more, and that is not waited for. */
export function leastPodsOf({ snapshot, progress, wanted }: Situation): number {
  const { scale } = snapshot;
  if (scale.kind === 'Fixed') return wanted;
  const isOver = progress.stage === 'Done' || progress.stage === 'Returned';
  return Math.min(scale.max, Math.max(scale.min, isOver ? 0 : (progress.frozen ?? 0)));
}

/** Without steps: the first revision, a return to the one that has the traffic, Rolling and Recreate. */
function gather(situation: Situation): Advance {
  const { progress, isHeldUp } = situation;
  if (isHeldUp || !isGathered(situation)) return stay(progress);
  const event = normal('RolloutComplete', `revision ${progress.target} has all of the traffic`);
  return { progress: { ...progress, stage: 'Done' }, events: [event] };
}

function keep(situation: Situation): Advance {
  const { snapshot, progress, isHeldUp } = situation;
  const target = revisionIn(snapshot, progress.target);
  if (target.lastingFailure !== undefined && progress.from !== undefined) {
    return takenBack(progress, target.lastingFailure, snapshot.nowMs);
  }
  const { keepPreviousMs, strategy } = snapshot.rollout;
  const hasAll = hasAllTraffic(situation, progress.target);
  const keptSinceMs = progress.keptSinceMs ?? (hasAll ? snapshot.nowMs : undefined);
  const kept: Progress = { ...progress, ...(keptSinceMs !== undefined && { keptSinceMs }) };
  const isKept = isStepped(strategy) && progress.isReleased !== true;
  const endsMs = (keptSinceMs ?? snapshot.nowMs) + (isKept ? keepPreviousMs : 0);
  const isWhole = hasAll && readyPods(target) >= leastPodsOf(situation);
  if (isHeldUp || !isWhole || snapshot.nowMs < endsMs) return stay(kept);
  const event = normal('RolloutComplete', `revision ${progress.target} has all of the traffic`);
  return { progress: { ...kept, stage: 'Done' }, events: [event] };
}
