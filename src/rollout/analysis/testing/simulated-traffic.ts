import { LATENCY_BOUNDS_SECONDS, type RevisionCounts } from '../../../api/counts.ts';
import type { Interval } from '../interval.ts';

/** Traffic of a rollout, made up from a fixed seed: what routers would have counted. */

/** Uniform numbers in [0, 1): mulberry32, the same for a seed on every machine. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export type Random = () => number;

export const normal = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** How many of n come true with a probability: by waiting times where few do, one by one otherwise. */
export function binomial(random: Random, n: number, probability: number): number {
  if (probability <= 0) return 0;
  if (probability >= 1) return n;
  if (probability > 0.5) return n - binomial(random, n, 1 - probability);
  const logMiss = Math.log1p(-probability);
  let [events, trial] = [0, 0];
  while (true) {
    trial += 1 + Math.floor(Math.log(1 - random()) / logMiss);
    if (trial > n) return events;
    events += 1;
  }
}

export function poisson(random: Random, mean: number): number {
  if (mean > 50) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)));
  const floor = Math.exp(-mean);
  let [events, product] = [0, random()];
  while (product > floor) {
    events += 1;
    product *= random();
  }
  return events;
}

/** One draw from shares that add up to 1. */
export function category(random: Random, shares: readonly number[]): number {
  let left = random();
  for (const [index, share] of shares.entries()) {
    left -= share;
    if (left < 0) return index;
  }
  return shares.length - 1;
}

/** What one revision does with a request, in one interval. */
export interface Behaviour {
  readonly errorRate: number;
  /** Draws a latency in seconds; without it latencies are all in one bucket. */
  readonly latency?: (random: Random) => number;
  /** Shares of the labels that it predicts. */
  readonly labels?: readonly number[];
}

export function answered(random: Random, requests: number, { errorRate, latency, labels }: Behaviour): RevisionCounts {
  const errors = binomial(random, requests, errorRate);
  const buckets = new Array<number>(LATENCY_BOUNDS_SECONDS.length + 1).fill(0);
  const well = requests - errors;
  if (latency === undefined) buckets[10] = well;
  else {
    for (let request = 0; request < well; request += 1) {
      const seconds = latency(random);
      const found = LATENCY_BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
      const bucket = found === -1 ? LATENCY_BOUNDS_SECONDS.length : found;
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
  }
  const counts: Record<string, number> = {};
  for (let request = 0; labels !== undefined && request < well; request += 1) {
    const label = String(category(random, labels));
    counts[label] = (counts[label] ?? 0) + 1;
  }
  return {
    requests,
    errors,
    latency: { buckets, sumSeconds: 0 },
    ...(labels && { predictions: { y: { kind: 'Label' as const, counts, other: 0 } } }),
  };
}

export interface Simulation {
  readonly seed: number;
  readonly intervals: number;
  /** Requests in one interval, on average, of both revisions together. */
  readonly requests: number;
  /** Share of them that the canary gets. */
  readonly weight: number;
  /** What both do in one interval; called once for each, in order, so that it may remember. */
  readonly behaviour: (random: Random, interval: number) => { readonly canary: Behaviour; readonly stable: Behaviour };
  /** Multiplies the requests of an interval; 1 without it. */
  readonly load?: (random: Random, interval: number) => number;
}

const INTERVAL_MS = 10_000;

export function* simulate({ seed, intervals, requests, weight, behaviour, load }: Simulation): Generator<Interval> {
  const random = randomFrom(seed);
  for (let interval = 0; interval < intervals; interval += 1) {
    const arrived = poisson(random, requests * (load?.(random, interval) ?? 1));
    const toCanary = binomial(random, arrived, weight);
    const { canary, stable } = behaviour(random, interval);
    yield {
      endMs: (interval + 1) * INTERVAL_MS,
      durationMs: INTERVAL_MS,
      unread: 0,
      canary: answered(random, toCanary, canary),
      stable: answered(random, arrived - toCanary, stable),
    };
  }
}
