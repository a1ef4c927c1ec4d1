import { crossing } from './crossing.ts';

/**
 * Likelihoods of proportions. Their ratios stay right where a normal approximation fails: with few events, with none, and
 * with one side much larger than the other.
 */
export interface Proportion {
  /** Not necessarily whole: a histogram gives shares of buckets. */
  readonly events: number;
  readonly trials: number;
}

export const rate = ({ events, trials }: Proportion): number => (trials > 0 ? events / trials : 0);

export const sum = (proportions: readonly Proportion[]): Proportion => ({
  events: proportions.reduce((total, { events }) => total + events, 0),
  trials: proportions.reduce((total, { trials }) => total + trials, 0),
});

const plogp = (count: number, probability: number) => (count > 0 ? count * Math.log(probability) : 0);

/** Binomial log-likelihood, without the constant. */
function logLikelihood({ events, trials }: Proportion, probability: number): number {
  return plogp(events, probability) + plogp(trials - events, 1 - probability);
}

/** Its first derivative, and the negative of its second. Where a term has no count it is 0, also at the ends. */
function score({ events, trials }: Proportion, probability: number): readonly [number, number] {
  const misses = trials - events;
  const rise = events > 0 ? events / probability : 0;
  const fall = misses > 0 ? misses / (1 - probability) : 0;
  return [rise - fall, (rise > 0 ? rise / probability : 0) + (fall > 0 ? fall / (1 - probability) : 0)];
}

/** Twice the log-likelihood ratio of what was seen against a probability: about the square of a standard score. */
export function deviance(sample: Proportion, probability: number): number {
  const most = logLikelihood(sample, rate(sample));
  return Math.max(0, 2 * (most - logLikelihood(sample, probability)));
}

const MAX_STEPS = 60;

/** What is asked of two probabilities: canary = intercept + slope * stable. */
export interface Line {
  readonly intercept: number;
  /** Above 0. */
  readonly slope: number;
}

/**
 * Twice the log-likelihood ratio of what was seen against the likeliest pair of probabilities on a line (the deviance; with
 * slope 1 the likelihood form of Miettinen and Nurminen's test). Distributed about as chi-square with 1 degree of freedom.
 * Infinity where no pair of probabilities is on the line.
 */
export function devianceFromLine(canary: Proportion, stable: Proportion, { intercept, slope }: Line): number {
  const low = Math.max(0, -intercept / slope);
  const high = Math.min(1, (1 - intercept) / slope);
  if (low > high) return Number.POSITIVE_INFINITY;
  const onLine = (probability: number) => Math.min(1, Math.max(0, intercept + slope * probability));
  // Newton's method on a concave function, kept between two ends that close in.
  let [below, above] = [low, high];
  let likeliest = Math.min(
    high,
    Math.max(low, (canary.events / slope + stable.events) / (canary.trials + stable.trials)),
  );
  for (let step = 0; step < MAX_STEPS; step += 1) {
    const [ofCanary, canaryCurve] = score(canary, onLine(likeliest));
    const [ofStable, stableCurve] = score(stable, likeliest);
    const climb = slope * ofCanary + ofStable;
    if (climb > 0) below = likeliest;
    else above = likeliest;
    const newton = likeliest + climb / (slope * slope * canaryCurve + stableCurve);
    const next = newton > below && newton < above ? newton : (below + above) / 2;
    const moved = Math.abs(next - likeliest);
    likeliest = next;
    if (moved <= 1e-13 + 1e-9 * likeliest) break;
  }
  const best = logLikelihood(canary, onLine(likeliest)) + logLikelihood(stable, likeliest);
  const free = logLikelihood(canary, rate(canary)) + logLikelihood(stable, rate(stable));
  return Math.max(0, 2 * (free - best));
}

export interface Bounds {
  readonly lower: number;
  readonly upper: number;
}

/** Thresholds on squared standard scores, for a bound that is to be exceeded and for one that is to be stayed below. */
export interface Thresholds {
  readonly lower: number;
  readonly upper: number;
}

/** Bounds of a probability: those values that the evidence does not exceed the thresholds against. */
export function rateBounds(sample: Proportion, thresholds: Thresholds): Bounds {
  const estimate = rate(sample);
  if (sample.trials <= 0) return { lower: 0, upper: 1 };
  return {
    lower: estimate === 0 ? 0 : crossing(0, estimate, (at) => thresholds.lower - deviance(sample, at)),
    upper: estimate === 1 ? 1 : crossing(estimate, 1, (at) => deviance(sample, at) - thresholds.upper),
  };
}

/** Bounds of canary - slope * stable. */
export function differenceBounds(canary: Proportion, stable: Proportion, thresholds: Thresholds, slope = 1): Bounds {
  if (canary.trials <= 0 || stable.trials <= 0) return { lower: -slope, upper: 1 };
  const estimate = rate(canary) - slope * rate(stable);
  const against = (intercept: number) => devianceFromLine(canary, stable, { intercept, slope });
  return {
    lower: crossing(-slope, estimate, (at) => thresholds.lower - against(at)),
    upper: crossing(estimate, 1, (at) => against(at) - thresholds.upper),
  };
}

/** What was counted in a time that was watched. */
export interface Occurrences {
  readonly events: number;
  readonly seconds: number;
}

/** Bounds of occurrences a second, by Poisson's likelihood. */
export function occurrenceBounds({ events, seconds }: Occurrences, thresholds: Thresholds): Bounds {
  if (!(seconds > 0)) return { lower: 0, upper: Number.POSITIVE_INFINITY };
  const estimate = events / seconds;
  const against = (perSecond: number) => 2 * (plogp(events, estimate / perSecond) + perSecond * seconds - events);
  // At this rate and above, the evidence exceeds the threshold whatever was counted: x - n ln x grows past it.
  const far = (2 * (events + thresholds.upper + 1)) / seconds;
  return {
    lower: events === 0 ? 0 : crossing(0, estimate, (at) => thresholds.lower - against(at)),
    upper: crossing(estimate, far, (at) => against(at) - thresholds.upper),
  };
}
