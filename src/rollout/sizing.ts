/**
 * How many pods a share of the requests needs, and which share pods can carry. `base` is the number of pods that carry
 * all of the requests: the wanted number, or the availability floor while pods give way one for one.
 */
import { availabilityFloor } from '../capacity/floor.ts';
import { podCount } from './rolling.ts';
import type { CompiledRollout } from './types.ts';

/** Pods of a revision that is to answer (or be sent copies of) `percent` of the requests. */
export function podsFor(percent: number, wanted: number): number {
  return Math.ceil((percent * wanted) / 100);
}

/** The largest whole percentage that `ready` pods can carry, at most 100. */
export function carriedWeight(ready: number, base: number): number {
  return Math.min(100, Math.floor((100 * ready) / Math.max(1, base)));
}

/**
 * Pods below which a revision that answers `weight` percent is not shrunk. A percent less than the exact share, since
 * weights are whole: where 33% have moved to 1 of 3 pods, 2 pods may carry the other 67%.
 */
export function leastPods(weight: number, base: number): number {
  if (weight <= 0 || base <= 0) return 0;
  return Math.max(1, Math.ceil(((weight - 1) * base) / 100));
}

/** Ready pods below which pods that give way one for one do not take a rollout. */
export function floorOf({ maxUnavailable }: Pick<CompiledRollout, 'maxUnavailable'>, wanted: number): number {
  const missing = maxUnavailable === undefined ? undefined : podCount(maxUnavailable, wanted, 'down');
  return availabilityFloor(wanted, missing);
}
