/**
 * The engine of all strategies: what is to be done next, from what is observed and what is remembered. Pure, and absolute:
 * deciding twice on the same snapshot, or on one that is a little old, asks for the same things.
 */
import { handleAction } from './action.ts';
import { advance, deadlineMsOf, holdEndsMs } from './advance.ts';
import { begin } from './begin.ts';
import { steppedBounds } from './bounds.ts';
import { isStepped } from './compile.ts';
import { planPods } from './pods.ts';
import type { Progress } from './progress.ts';
import { planReplacing } from './replacing.ts';
import { reportOf } from './report.ts';
import { currentStep, goalOf, isByStep, type Situation, situationOf } from './situation.ts';
import { splitRequests } from './split.ts';
import type { AnalysisRequest, RolloutDecision, RolloutSnapshot } from './types.ts';

export function decide(snapshot: RolloutSnapshot): RolloutDecision {
  const begun = begin(snapshot);
  const handled = handleAction(situationOf(snapshot, begun.progress));
  const advanced = advance(situationOf(forTrial(snapshot, handled.progress), handled.progress));
  const progress = remembering(advanced.progress, snapshot);
  const situation = situationOf(snapshot, progress);
  const plan = isStepped(snapshot.rollout.strategy) ? stepped(situation) : replacing(situation);
  return {
    progress,
    replicas: plan.pods.replicas,
    autoscalers: plan.autoscalers,
    route: snapshot.route === undefined ? undefined : plan.route,
    claim: plan.pods.claim,
    victims: plan.pods.victims,
    analyse: analysisOf(situation),
    report: reportOf(situation, plan.pods),
    events: [...begun.events, ...handled.events, ...advanced.events],
    lookAgainAtMs: lookAgainAtMs(situation, plan.pods.claim !== undefined),
  };
}

/** Pods that are there when a trial begins are of an earlier one: what befell them is no failure of it. */
function forTrial(snapshot: RolloutSnapshot, { target, startedAtMs }: Progress): RolloutSnapshot {
  if (snapshot.progress?.target === target && snapshot.progress.startedAtMs === startedAtMs) return snapshot;
  const revisions = snapshot.revisions.map((each) =>
    each.name === target ? { ...each, lastingFailure: undefined } : each,
  );
  return { ...snapshot, revisions };
}

/** A swap is remembered, so that nothing waits for a cluster autoscaler twice; it is over with the rollout. */
function remembering(progress: Progress, { advice }: RolloutSnapshot): Progress {
  if (progress.stage === 'Done' || progress.stage === 'Returned') {
    const { isSwapping: _swapping, unreadySinceMs: _unready, ...rest } = progress;
    return rest;
  }
  return advice?.kind === 'Swap' && progress.isSwapping !== true ? { ...progress, isSwapping: true } : progress;
}

function stepped(situation: Situation) {
  const route = splitRequests(situation);
  const pods = planPods(situation, route.weights);
  return { route, pods, autoscalers: steppedBounds(situation, pods.replicas, route.weights) };
}

function replacing(situation: Situation) {
  const { progress } = situation;
  const { weights, autoscalers, ...pods } = planReplacing(situation);
  const goal = goalOf(progress);
  const stable = progress.stage === 'Stepping' ? (progress.from ?? goal) : goal;
  const canary = stable !== goal && weights.has(goal) ? goal : undefined;
  return { route: { weights, mirror: undefined, stable, canary }, pods, autoscalers };
}

function analysisOf(situation: Situation): AnalysisRequest | undefined {
  const { progress } = situation;
  const step = currentStep(situation);
  const { heldSinceMs, from } = progress;
  if (step === undefined || heldSinceMs === undefined || from === undefined || step.analyse.length === 0)
    return undefined;
  return {
    canary: progress.target,
    stable: from,
    metrics: step.analyse,
    sinceMs: heldSinceMs,
    isMirrored: step.kind === 'mirror',
    limitsOnly: step.kind === 'weight' && step.percent === 100,
  };
}

/** The next moment at which time alone changes the decision. */
function lookAgainAtMs(situation: Situation, claims: boolean): number | undefined {
  const { snapshot, progress } = situation;
  const { rollout, advice } = snapshot;
  const moments: number[] = [];
  const step = currentStep(situation);
  if (isByStep(situation) && progress.unreadySinceMs !== undefined) {
    moments.push(progress.unreadySinceMs + rollout.progressDeadlineMs);
  }
  if (step !== undefined && progress.heldSinceMs !== undefined && progress.pause === undefined) {
    const endsMs = holdEndsMs(progress, step.hold);
    if (endsMs !== undefined) moments.push(endsMs);
    if (step.analyse.length > 0) moments.push(deadlineMsOf(situation));
  }
  if (progress.stage === 'Keeping' && progress.keptSinceMs !== undefined) {
    moments.push(progress.keptSinceMs + rollout.keepPreviousMs);
  }
  if (claims && advice !== undefined) {
    if (advice.askAgainAtMs !== undefined) moments.push(advice.askAgainAtMs);
    if (advice.kind === 'PendingSurge' && advice.untilMs !== undefined) moments.push(advice.untilMs);
  }
  const ahead = moments.filter((at) => at > snapshot.nowMs);
  return ahead.length === 0 ? undefined : Math.min(...ahead);
}
