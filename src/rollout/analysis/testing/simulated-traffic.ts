import { LATENCY_BOUNDS_SECONDS, type RevisionCounts } from '../../../api/counts.ts';
import { total } from '../../../stats/histogram.ts';
import type { Interval } from '../interval.ts';

/** Traffic of a rollout, made up from a fixed seed: what routers would have counted of requests that arrive at random. */

/** Uniform numbers in [0, 1): mulberry32, the same for a seed on every machine. */
export type Random = () => number;

export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const normal = (random: Random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** Above this mean a Poisson number is as good as a rounded normal one. */
const LARGE_MEAN = 100;

function poisson(random: Random, mean: number): number {
  if (mean > LARGE_MEAN) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)));
  const floor = Math.exp(-mean);
  let [events, product] = [0, random()];
  while (product > floor) {
    events += 1;
    product *= random();
  }
  return events;
}

/** What one revision does with requests, in one interval. Shares add up to 1. */
export interface Behaviour {
  readonly errorRate: number;
  /** Shares of the buckets of latency. */
  readonly latency?: readonly number[];
  /** Shares of the labels that it predicts. */
  readonly labels?: readonly number[];
}

/** The distribution function of the normal distribution (Abramowitz and Stegun 7.1.26, to 1.5e-7). */
function normalShareBelow(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * x);
  const polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const erf = 1 - polynomial * Math.exp(-x * x);
  return z < 0 ? (1 - erf) / 2 : (1 + erf) / 2;
}

/** Shares of the buckets that log-normal latencies fall into. */
export function logNormalLatency(medianSeconds: number, sigma: number): readonly number[] {
  const below = LATENCY_BOUNDS_SECONDS.map((bound) => normalShareBelow(Math.log(bound / medianSeconds) / sigma));
  return [...below, 1].map((share, bucket) => share - (below[bucket - 1] ?? 0));
}

const QUICK = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/** Of requests that arrive at random, those of each kind arrive at random too: each count is a Poisson number of its own. */
function answered(random: Random, mean: number, { errorRate, latency = QUICK, labels }: Behaviour): RevisionCounts {
  const errors = poisson(random, mean * errorRate);
  const buckets = LATENCY_BOUNDS_SECONDS.map((_, bucket) => latency[bucket] ?? 0)
    .concat(latency[LATENCY_BOUNDS_SECONDS.length] ?? 0)
    .map((share) => (share > 0 ? poisson(random, mean * (1 - errorRate) * share) : 0));
  const counts = Object.fromEntries(
    (labels ?? []).map((share, label) => [String(label), poisson(random, mean * (1 - errorRate) * share)]),
  );
  return {
    requests: errors + total(buckets),
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
  /** Called once for each interval, in order, so that what it returns may remember. */
  readonly behaviour: () => (random: Random) => { readonly canary: Behaviour; readonly stable: Behaviour };
  /** Multiplies the requests of an interval. */
  readonly load?: (random: Random) => number;
}

const INTERVAL_MS = 10_000;

export function* simulate({ seed, intervals, requests, weight, behaviour, load }: Simulation): Generator<Interval> {
  const random = randomFrom(seed);
  const next = behaviour();
  for (let interval = 0; interval < intervals; interval += 1) {
    const mean = requests * (load?.(random) ?? 1);
    const { canary, stable } = next(random);
    yield {
      endMs: (interval + 1) * INTERVAL_MS,
      durationMs: INTERVAL_MS,
      canary: answered(random, mean * weight, canary),
      stable: answered(random, mean * (1 - weight), stable),
    };
  }
}
