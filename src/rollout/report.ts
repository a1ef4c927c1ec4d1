/** What people are told of a rollout. Messages hold numbers, and no times: they change when something does. */
import { stepNumber } from './action.ts';
import { holdEndsMs, isReached, leastPodsOf } from './advance.ts';
import { stepName } from './compile.ts';
import { durationText } from './duration-text.ts';
import type { Pods } from './pods.ts';
import { currentStep, currentVerdict, goalOf, readyPods, revisionIn, type Situation } from './situation.ts';
import { stepPods } from './step-pods.ts';
import type { Failure, RolloutReport, Step } from './types.ts';

/** @param pods what was decided, of which the claim says what is waited for */
export function reportOf(situation: Situation, pods: Pods): RolloutReport {
  const { progress, snapshot } = situation;
  const step = currentStep(situation);
  const { length } = snapshot.rollout.steps;
  const outcome = outcomeOf(situation);
  const isOver = outcome === 'Complete' || outcome === 'RolledBack' || progress.stage === 'Done';
  const stable = stableOf(situation);
  const hold = step?.hold;
  return {
    outcome,
    wanted: leastPodsOf(situation),
    stable,
    canary: isOver || stable === progress.target ? undefined : progress.target,
    step: step === undefined ? undefined : `${progress.step + 1}/${length}`,
    actionTarget: `@${progress.target}#${stepNumber(situation)}`,
    message: messageOf(situation, pods, step),
    holdUntilMs: hold === undefined || hold === 0 ? undefined : holdEndsMs(progress, hold),
    shortfall: shortfallOf(situation, pods),
  };
}

function outcomeOf({ progress, snapshot }: Situation): RolloutReport['outcome'] {
  if (progress.stage === 'Returned') return 'RolledBack';
  if (progress.pause !== undefined) return 'Paused';
  if (progress.stage === 'Keeping') {
    const serves = readyPods(revisionIn(snapshot, progress.target)) > 0;
    return serves && progress.keptSinceMs !== undefined ? 'Complete' : 'Progressing';
  }
  return progress.stage === 'Done' ? 'Complete' : 'Progressing';
}

function stableOf({ progress, snapshot }: Situation): string | undefined {
  const { stage, from, target } = progress;
  if (stage === 'Done' || stage === 'Keeping') return target;
  const name = from ?? target;
  return snapshot.revisions.some((revision) => revision.name === name) ? name : undefined;
}

function shortfallOf({ snapshot }: Situation, { claim }: Pods): Failure | undefined {
  const { advice } = snapshot;
  if (claim === undefined || advice === undefined) return undefined;
  if (advice.kind === 'Wait') return { reason: advice.reason, message: advice.message };
  return advice.kind === 'PendingSurge' ? { reason: 'PendingSurge', message: advice.message } : undefined;
}

function messageOf(situation: Situation, pods: Pods, step: Step | undefined): string {
  const { progress, snapshot } = situation;
  const room = pods.claim === undefined || snapshot.advice === undefined ? '' : `; ${snapshot.advice.message}`;
  switch (progress.stage) {
    case 'Stepping':
      return step === undefined ? `${gathered(situation)}${room}` : stepping(situation, step, room);
    case 'Keeping': {
      const { target, from, keptSinceMs, isReleased } = progress;
      const kept = isReleased === true ? '' : durationText(snapshot.rollout.keepPreviousMs);
      const why = progress.pause === undefined ? '' : `paused: ${progress.pause.message}; `;
      const has =
        keptSinceMs === undefined
          ? `all of the traffic moves to revision ${target}: ${gathered(situation)}`
          : `revision ${target} has all of the traffic`;
      return `${why}${has}; ${from} keeps its pods for ${kept || 'no time'}${room}`;
    }
    case 'Done':
      return `revision ${progress.target} has all of the traffic`;
    case 'Returning':
      return `going back to ${progress.from ?? 'nothing'} (${why(progress.failure)}): ${gathered(situation)}${room}`;
    case 'Returned':
      return (
        `revision ${progress.target} was taken back (${why(progress.failure)}) and ${progress.from ?? 'no other'} has all of ` +
        'the traffic; it is tried again when spec.rollout changes, or by retry'
      );
  }
}

function why(failure: Failure | undefined): string {
  return failure === undefined ? 'no reason is known' : `${failure.reason}: ${failure.message}`;
}

function gathered(situation: Situation): string {
  const { snapshot, progress } = situation;
  const goal = goalOf(progress);
  const own = revisionIn(snapshot, goal);
  const others = snapshot.revisions
    .filter(({ name }) => name !== goal)
    .reduce((sum, { replicas }) => sum + replicas, 0);
  const left = others === 0 ? '' : `; ${others === 1 ? '1 pod' : `${others} pods`} of other revisions remain`;
  return `${readyPods(own)} of ${leastPodsOf(situation)} pods of revision ${goal} ready${left}${waiting(situation)}`;
}

function waiting({ snapshot }: Situation): string {
  const { route } = snapshot;
  if (route === undefined || route.isAcknowledged) return '';
  return `; ${route.waitingFor ?? 'the route is not applied yet'}`;
}

function stepping(situation: Situation, step: Step, room: string): string {
  const { progress, snapshot } = situation;
  const label = `step ${progress.step + 1} of ${snapshot.rollout.steps.length} (${stepName(step)})`;
  const verdict = currentVerdict(situation);
  const judged = verdict === undefined ? '' : `; ${verdict.message}`;
  if (progress.pause !== undefined) {
    const now = verdict?.kind === 'Healthy' ? '; now Healthy' : '';
    return `${label} paused: ${progress.pause.reason}: ${progress.pause.message}${now}; resume, promote or abort`;
  }
  if (!snapshot.isTargetKnown) return `${label}: waits until the model that the spec asks for is known${judged}`;
  if (!isReached(situation, step)) {
    const canary = revisionIn(snapshot, progress.target);
    const ready = `${readyPods(canary)} of ${stepPods(situation, step)} pods of ${progress.target} ready`;
    return `${label}: ${ready}${waiting(situation)}${room}${judged}`;
  }
  if (step.hold === 'UntilPromoted') return `${label}: until a person promotes it${judged}`;
  const held = step.hold === 0 ? '' : ` for ${durationText(step.hold)}`;
  return `${label}: held${held}${judged || (step.analyse.length > 0 ? '; nothing has been measured yet' : '')}`;
}
