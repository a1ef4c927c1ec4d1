/**
 * Which revision answers which share of the requests next, where rollouts go by steps. A share only grows as far as ready
 * pods carry it; it moves at once where it is nowhere answered any more.
 */

import {
  baseOf,
  carries,
  currentStep,
  goalOf,
  isByStep,
  readyPods,
  revisionIn,
  type Situation,
  weightOf,
} from './situation.ts';
import { carriedWeight, podsFor } from './sizing.ts';
import { stepPods } from './step-pods.ts';
import type { DecidedRoute, RouteMirror } from './types.ts';

export function splitRequests(situation: Situation): DecidedRoute {
  const { progress, snapshot } = situation;
  const stable = progress.from;
  const weights =
    isByStep(situation) && stable !== undefined ? byStep(situation, stable) : gathering(situation, goalOf(progress));
  const holder = isByStep(situation) || progress.stage === 'Returning' ? (stable ?? progress.target) : goalOf(progress);
  const hasCanary = holder !== progress.target && progress.stage === 'Stepping';
  const isServing = hasCanary && readyPods(revisionIn(snapshot, progress.target)) > 0;
  return {
    weights: ordered(weights, progress.target),
    mirror: mirrorOf(situation),
    stable: holder,
    canary: isServing ? progress.target : undefined,
  };
}

/** The first one takes the lowest hashes: users of a sticky route only move into it as it grows. */
function ordered(weights: ReadonlyMap<string, number>, first: string): ReadonlyMap<string, number> {
  const given = [...weights].filter(([, weight]) => weight > 0);
  return new Map([...given.filter(([name]) => name === first), ...given.filter(([name]) => name !== first)]);
}

/** Revisions other than those two that still answer, as many of them as have a ready pod. */
function strays(situation: Situation, ...known: readonly string[]): readonly [string, number][] {
  return [...situation.weights].filter(
    ([name, weight]) => !known.includes(name) && weight > 0 && readyPods(revisionIn(situation.snapshot, name)) > 0,
  );
}

function byStep(situation: Situation, from: string): ReadonlyMap<string, number> {
  const { snapshot, progress } = situation;
  const stable = revisionIn(snapshot, from);
  const others = strays(situation, from, progress.target);
  const own = weightOf(situation, progress.target);
  // What a replaced canary answered goes back first, as far as the stable revision carries it.
  const back = Math.max(weightOf(situation, from), carries(situation, stable));
  const kept = take(others, Math.max(0, 100 - own - back));
  const left = sum(kept);
  const weight = Math.min(100 - left, canaryWeight(situation, own, left > 0));
  return new Map([[progress.target, weight], ...kept, [from, 100 - left - weight]]);
}

function canaryWeight(situation: Situation, own: number, mustWait: boolean): number {
  const { snapshot, progress, isSwapping, isHeldUp, wanted } = situation;
  const canary = revisionIn(snapshot, progress.target);
  const ready = readyPods(canary);
  if (ready === 0) return 0;
  const stable = revisionIn(snapshot, progress.from ?? '');
  const asked = askedWeight(situation, readyPods(stable) === 0 && stable.replicas === 0);
  const aim = isHeldUp ? Math.min(asked, own) : asked;
  const isEnough = ready >= podsFor(aim, wanted);
  const carried = carriedWeight(ready, baseOf(situation));
  const possible = isEnough ? aim : Math.min(aim, isSwapping ? carried : Math.min(own, carried));
  if (possible > own) return mustWait ? own : possible;
  // What it loses somebody must be able to take.
  return Math.max(possible, Math.min(own, 100 - carries(situation, stable)));
}

/** Where the stable revision gave its last pod away there is nobody else to answer. */
function askedWeight(situation: Situation, isAlone: boolean): number {
  const step = currentStep(situation);
  if (isAlone) return 100;
  return step?.kind === 'weight' ? step.percent : 0;
}

/** Everything to one revision, as far as its pods carry it or nobody else answers. */
function gathering(situation: Situation, goal: string): ReadonlyMap<string, number> {
  const { snapshot, progress } = situation;
  const others = strays(situation, goal);
  const own = revisionIn(snapshot, goal);
  const isForced = progress.failure?.isHardLimit === true && readyPods(own) > 0;
  const reached = isForced ? 100 : Math.max(weightOf(situation, goal), carries(situation, own));
  const kept = take(others, 100 - Math.min(100, reached));
  return new Map([...kept, [goal, 100 - sum(kept)]]);
}

/** Of these weights as much as `total`, the first ones first. */
function take(weights: readonly [string, number][], total: number): [string, number][] {
  let left = total;
  return weights.map(([name, weight]) => {
    const taken = Math.min(weight, left);
    left -= taken;
    return [name, taken];
  });
}

function sum(weights: readonly [string, number][]): number {
  return weights.reduce((total, [, weight]) => total + weight, 0);
}

function mirrorOf(situation: Situation): RouteMirror | undefined {
  const { snapshot, progress } = situation;
  const step = currentStep(situation);
  if (step?.kind !== 'mirror') return undefined;
  const ready = readyPods(revisionIn(snapshot, progress.target));
  const isUnderWay = snapshot.route?.mirror?.revision === progress.target && ready > 0;
  const mayBegin = !situation.isHeldUp && ready >= stepPods(situation, step);
  return isUnderWay || mayBegin ? { revision: progress.target, percent: step.percent } : undefined;
}
