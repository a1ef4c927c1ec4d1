/**
 * What people ask for by the annotation `fairlead.dev/action`: `<verb>@<revision>#<step>`. The revision is the one that the
 * spec wants; the step is the number of the one under way, or 0 where none is. Both say what the person was looking at:
 * what would push on something else than that is refused. The same text is handled once: to ask for the same again (a
 * second resume of one step, say) a count goes behind it, `resume@churn-9c1d#3.2`.
 */
import type { Progress } from './progress.ts';
import { currentStep, currentVerdict, hasAllTraffic, isByStep, type Situation } from './situation.ts';
import type { RolloutEvent } from './types.ts';

export const ACTION_VERBS = ['promote', 'promote-full', 'pause', 'resume', 'abort', 'retry', 'undo'] as const;
export type ActionVerb = (typeof ACTION_VERBS)[number];

export interface Action {
  readonly verb: ActionVerb;
  readonly revision: string;
  readonly step: number;
}

const FORM = /^([a-z-]+)@([a-z0-9](?:[-a-z0-9.]*[a-z0-9])?)#([0-9]{1,4})(?:[.][0-9]{1,4})?$/;
const MAX_KEPT = 512;

/** @returns undefined for a text that asks for nothing that there is */
export function parseAction(text: string): Action | undefined {
  const [, word, revision, step] = FORM.exec(text) ?? [];
  const verb = ACTION_VERBS.find((known) => known === word);
  return verb === undefined || revision === undefined ? undefined : { verb, revision, step: Number(step) };
}

export function actionText({ verb, revision, step }: Action): string {
  return `${verb}@${revision}#${step}`;
}

/** The number of the step that an action has to name. */
export function stepNumber(situation: Pick<Situation, 'progress' | 'snapshot'>): number {
  return isByStep(situation) ? situation.progress.step + 1 : 0;
}

/** What an action changes, or why it is refused. */
type Meaning = { readonly progress: Progress; readonly did: string } | { readonly refused: string };

export function handleAction(situation: Situation): { progress: Progress; events: readonly RolloutEvent[] } {
  const { snapshot, progress } = situation;
  const asked = snapshot.action;
  const action = asked?.text.slice(0, MAX_KEPT);
  if (asked === undefined || action === undefined || progress.lastAction?.action === action) {
    return { progress, events: [] };
  }
  const meaning = meaningOf(situation, action);
  const isDone = 'did' in meaning;
  const message = isDone ? meaning.did : meaning.refused;
  const who = asked.by === undefined ? '' : ` by ${asked.by}`;
  return {
    progress: {
      ...(isDone ? meaning.progress : progress),
      lastAction: {
        action,
        ...(asked.by !== undefined && { by: asked.by.slice(0, MAX_KEPT) }),
        atMs: snapshot.nowMs,
        result: isDone ? 'Done' : 'Refused',
        message,
      },
    },
    events: [
      {
        type: isDone ? 'Normal' : 'Warning',
        reason: isDone ? 'ActionDone' : 'ActionRefused',
        message: `${action}${who}: ${message}`,
      },
    ],
  };
}

function meaningOf(situation: Situation, text: string): Meaning {
  const action = parseAction(text);
  if (action === undefined) {
    return { refused: `not VERB@REVISION#STEP with one of the verbs ${ACTION_VERBS.join(', ')}` };
  }
  const { progress, snapshot } = situation;
  if (action.revision !== progress.target) {
    return { refused: `it is about revision ${action.revision}, and the wanted one is ${progress.target}` };
  }
  const step = stepNumber(situation);
  // Whoever holds or takes back a revision means it wherever it has got to meanwhile.
  const isSafe = action.verb === 'pause' || action.verb === 'abort' || action.verb === 'undo';
  if (!isSafe && action.step !== step) {
    const { length } = snapshot.rollout.steps;
    return { refused: step === 0 ? 'no step is under way' : `the rollout is at step ${step} of ${length}` };
  }
  return MEANINGS[action.verb](situation);
}

const MEANINGS: Readonly<Record<ActionVerb, (situation: Situation) => Meaning>> = {
  promote: (situation) => promote(situation, situation.progress.step + 1),
  'promote-full': (situation) => {
    const last = situation.snapshot.rollout.steps.length - 1;
    return promote(situation, situation.progress.step < last ? last : last + 1);
  },
  pause: ({ progress, snapshot }) => {
    if (progress.pause !== undefined) return { progress, did: 'it is paused already' };
    if (progress.stage !== 'Stepping' && progress.stage !== 'Keeping') return { refused: nothingGoesOn(progress) };
    const pause = { reason: 'Requested' as const, message: 'paused on request', atMs: snapshot.nowMs };
    return { progress: { ...progress, pause }, did: 'paused' };
  },
  resume: (situation) => {
    const { progress, snapshot } = situation;
    if (progress.pause === undefined) return { refused: 'it is not paused' };
    const { pause: _pause, ...rest } = progress;
    const verdict = currentVerdict(situation)?.kind;
    // More of the same would pause it again at once.
    if (verdict === 'Inconclusive' || verdict === 'Error') {
      return {
        progress: enterStep(rest, rest.step),
        did: `goes on: what was measured is ${verdict}, so that the step is held and measured from the start`,
      };
    }
    return { progress: { ...rest, deadlineSinceMs: snapshot.nowMs }, did: 'goes on' };
  },
  abort: ({ progress, snapshot }) => {
    if (progress.stage === 'Returning' || progress.stage === 'Returned') {
      return { progress, did: 'it has been taken back already' };
    }
    if (progress.stage === 'Done') return { refused: 'the rollout is complete: undo takes it back' };
    return takeBack(progress, snapshot.nowMs, 'Aborted');
  },
  retry: ({ progress, snapshot }) => {
    if (progress.stage !== 'Returning' && progress.stage !== 'Returned') {
      return { refused: `revision ${progress.target} has not been taken back` };
    }
    return { progress: fromTheStart(progress, snapshot.nowMs), did: 'starts again at the first step' };
  },
  undo: ({ progress, snapshot }) => {
    if (progress.stage === 'Returning' || progress.stage === 'Returned') {
      return { progress, did: 'it has been taken back already' };
    }
    if (progress.from !== undefined && !snapshot.revisions.some(({ name }) => name === progress.from)) {
      return { refused: `revision ${progress.from}, which was there before, is not kept any more` };
    }
    return takeBack(progress, snapshot.nowMs, 'Undone');
  },
};

function promote(situation: Situation, step: number): Meaning {
  const { progress, snapshot } = situation;
  const { pause: _pause, ...rest } = progress;
  if (progress.stage === 'Keeping') {
    const isOver = hasAllTraffic(situation, progress.target);
    return {
      progress: isOver ? { ...rest, stage: 'Done' } : { ...rest, isReleased: true },
      did: 'the revision before is not kept any longer',
    };
  }
  if (currentStep(situation) === undefined) return { refused: nothingGoesOn(progress) };
  const { steps } = snapshot.rollout;
  if (step >= steps.length) return { progress: enterKeeping(rest), did: 'the last step is over' };
  return { progress: enterStep(rest, step), did: `goes on to step ${step + 1} of ${steps.length}` };
}

function takeBack(progress: Progress, nowMs: number, reason: 'Aborted' | 'Undone'): Meaning {
  if (progress.from === undefined) return { refused: 'there is no revision to go back to' };
  const message = reason === 'Aborted' ? 'aborted on request' : 'undone on request';
  return { progress: enterReturning(progress, { reason, message }, nowMs), did: `goes back to ${progress.from}` };
}

function nothingGoesOn({ stage, target, from }: Progress): string {
  if (stage === 'Done') return `revision ${target} has all of the traffic: no rollout is under way`;
  if (stage === 'Returning' || stage === 'Returned') return `revision ${target} was taken back: retry starts it again`;
  return from === undefined ? 'no other revision has traffic: nothing goes by steps' : 'the strategy has no steps';
}

/** Forgets what belonged to the step before. */
export function enterStep(progress: Progress, step: number): Progress {
  const {
    heldSinceMs: _held,
    idleSinceMs: _idleSince,
    idleMs: _idle,
    deadlineSinceMs: _deadline,
    unreadySinceMs: _unready,
    ...rest
  } = progress;
  return { ...rest, step };
}

export function enterKeeping(progress: Progress): Progress {
  return { ...enterStep(progress, progress.step), stage: 'Keeping' };
}

export function enterReturning(
  progress: Progress,
  failure: { readonly reason: string; readonly message: string; readonly isHardLimit?: boolean },
  nowMs: number,
): Progress {
  const { pause: _pause, keptSinceMs: _kept, isReleased: _released, ...rest } = enterStep(progress, progress.step);
  const { reason, message, isHardLimit } = failure;
  return {
    ...rest,
    stage: 'Returning',
    failure: { reason, message: message.slice(0, 1024), atMs: nowMs, ...(isHardLimit === true && { isHardLimit }) },
  };
}

/** Tries a revision again that was taken back. */
export function fromTheStart(progress: Progress, nowMs: number): Progress {
  const { failure: _failure, isSwapping: _swapping, ...rest } = enterStep(progress, 0);
  return { ...rest, stage: 'Stepping', startedAtMs: nowMs };
}
