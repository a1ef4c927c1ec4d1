/** Which rollout is under way: the one that is remembered, or a new one because the spec wants another revision. */
import { enterStep, fromTheStart } from './action.ts';
import { stepAfterChange } from './changed-steps.ts';
import { stepsText } from './compile.ts';
import type { Progress } from './progress.ts';
import { readyPods, revisionIn } from './situation.ts';
import type { CompiledRollout, RevisionState, RolloutEvent, RolloutSnapshot } from './types.ts';

export interface Beginning {
  readonly progress: Progress;
  readonly events: readonly RolloutEvent[];
}

export function begin(snapshot: RolloutSnapshot): Beginning {
  const { progress, target } = snapshot;
  if (progress !== undefined && progress.target === target) return goOn(snapshot, progress);
  const from = holder(snapshot);
  const fresh: Progress = {
    sequence: (progress?.sequence ?? 0) + 1,
    target,
    // Nobody is protected by steps where nothing is wanted, nothing serves, or the target does already.
    ...(from !== undefined && from !== target && !isNothingWanted(snapshot) && { from }),
    stage: 'Stepping',
    startedAtMs: snapshot.nowMs,
    step: 0,
    steps: stepsText(snapshot.rollout.steps),
    rolloutHash: snapshot.rolloutHash,
    ...frozen(snapshot, from),
    // Room that was short a moment ago is not waited for again.
    ...(isUnderWay(progress) && progress?.isSwapping === true && { isSwapping: true }),
    ...(progress?.lastAction && { lastAction: progress.lastAction }),
  };
  const events = fresh.from === undefined ? [] : [started(fresh.from, target, progress)];
  return { progress: fresh, events };
}

/** The same revision is wanted still: it goes on with the spec as it is now, or is tried again for the sake of it. */
function goOn(snapshot: RolloutSnapshot, progress: Progress): Beginning {
  const { rollout, nowMs } = snapshot;
  const { stage, target, from } = progress;
  const { rolloutHash = snapshot.rolloutHash } = progress;
  if (stage === 'Returned' && rolloutHash !== snapshot.rolloutHash && snapshot.isTargetKnown) {
    const again = { ...progress, steps: stepsText(rollout.steps), rolloutHash: snapshot.rolloutHash };
    const message = `revision ${target} is to take over from ${from}, once more: spec.rollout has changed`;
    return {
      progress: fromTheStart(again, nowMs),
      events: [{ type: 'Normal', reason: 'RolloutStarted', message }],
    };
  }
  const isTakenBack = stage === 'Returning' || stage === 'Returned';
  return {
    progress: { ...withSteps(rollout, progress), rolloutHash: isTakenBack ? rolloutHash : snapshot.rolloutHash },
    events: [],
  };
}

function started(from: string, target: string, before: Progress | undefined): RolloutEvent {
  const replaced = before?.stage === 'Stepping' && before.from === from ? `, instead of ${before.target}` : '';
  return {
    type: 'Normal',
    reason: 'RolloutStarted',
    message: `revision ${target} is to take over from ${from}${replaced}`,
  };
}

function isNothingWanted({ scale }: RolloutSnapshot): boolean {
  return scale.kind === 'Fixed' && scale.replicas === 0;
}

/** The revision that has the requests when another one is wanted: the one before a rollout until that is over. */
function holder(snapshot: RolloutSnapshot): string | undefined {
  const { progress, revisions, route, target } = snapshot;
  const known = progress && remembered(snapshot, progress);
  if (known !== undefined) return known;
  const weight = ({ name }: RevisionState) => route?.weights.get(name) ?? 0;
  // As many pods as the one before has a green one that nobody has promoted.
  const [serving] = revisions
    .filter((each) => readyPods(each) > 0)
    .sort(
      (a, b) =>
        weight(b) - weight(a) || readyPods(b) - readyPods(a) || Number(a.name === target) - Number(b.name === target),
    );
  return serving?.name;
}

/** A record whose revisions have no pods is one of long ago: the one after it is lost, with its Deployment or without. */
function remembered(snapshot: RolloutSnapshot, { stage, target, from }: Progress): string | undefined {
  const hasPods = (name: string) => revisionIn(snapshot, name).replicas > 0;
  if (stage === 'Keeping' || stage === 'Done') return hasPods(target) ? target : undefined;
  // A first revision that never served protects nobody.
  if (from === undefined) return readyPods(revisionIn(snapshot, target)) > 0 ? target : undefined;
  // Where there is no room for both it may have given all of its pods away.
  const isThere = snapshot.revisions.some(({ name }) => name === from);
  return isThere && (hasPods(from) || hasPods(target)) ? from : undefined;
}

function isUnderWay(progress: Progress | undefined): boolean {
  return progress !== undefined && progress.stage !== 'Done' && progress.stage !== 'Returned';
}

/** What an autoscaler had when the first of several rollouts in a row began. */
function frozen({ scale, progress, revisions }: RolloutSnapshot, from: string | undefined): Pick<Progress, 'frozen'> {
  if (scale.kind === 'Fixed') return {};
  const running =
    from === undefined
      ? revisions.reduce((sum, { replicas }) => sum + replicas, 0)
      : (revisions.find(({ name }) => name === from)?.replicas ?? 0);
  const count = (isUnderWay(progress) ? progress?.frozen : undefined) ?? running;
  return { frozen: Math.min(scale.max, Math.max(scale.min, count)) };
}

/** A user may change the steps in the middle of a rollout: a step that is not the one under way is held anew. */
function withSteps({ steps: wanted }: CompiledRollout, progress: Progress): Progress {
  const steps = stepsText(wanted);
  if (progress.steps === steps) return progress;
  if (progress.stage !== 'Stepping') return { ...progress, steps };
  const { step, isSame } = stepAfterChange(progress, steps);
  return isSame ? { ...progress, step, steps } : { ...enterStep(progress, step), steps };
}
