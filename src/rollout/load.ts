/**
 * How many pods the requests that are in flight take, by which the minimum of an autoscaler is raised. Pure. How many there
 * are at one moment jumps about, so that a mean of the last readings counts; and of these means the largest of some
 * minutes, as an autoscaler too holds on to what was needed a while ago.
 */

/** How often requests in flight are read. */
export const LOAD_INTERVAL_MS = 15_000;
/** How long nothing is taken away after it was needed: what autoscalers wait for by default before they scale down. */
export const LOAD_HOLD_MS = 300_000;
/** Readings that one mean is of: 45 s. */
const READINGS_IN_MEAN = 3;
/** A pod may have a tenth more than the target, as with autoscalers: or the number would go to and fro. */
const TOLERANCE = 0.1;

/** Requests in flight and waiting, at all routers together. */
interface Load {
  readonly atMs: number;
  readonly inFlight: number;
}

export interface LoadReading extends Load {
  /** Every router told. Otherwise there are at least so many. */
  readonly isWhole: boolean;
}

export interface LoadHistory {
  /** The last readings, oldest first. */
  readonly readings: readonly Load[];
  /** Means of the readings, oldest first, over the time for which they hold: what was read last holds until more is read. */
  readonly means: readonly Load[];
  /** Pods that there were when this began: what was needed before is not known, and takes nothing away for as long. */
  readonly before: { readonly pods: number; readonly untilMs: number } | undefined;
}

/** @param pods that run now */
export function beginLoad(pods: number, nowMs: number): LoadHistory {
  return { readings: [], means: [], before: { pods, untilMs: nowMs + LOAD_HOLD_MS } };
}

/** Takes a reading in. What not every router told can raise the number, and never lower it. */
export function observeLoad({ readings, means, before }: LoadHistory, reading: LoadReading): LoadHistory {
  const { atMs, isWhole } = reading;
  const inFlight = isWhole ? reading.inFlight : Math.max(reading.inFlight, readings.at(-1)?.inFlight ?? 0);
  const last = [...readings, { atMs, inFlight }].slice(-READINGS_IN_MEAN);
  const mean = last.reduce((sum, each) => sum + each.inFlight, 0) / last.length;
  return {
    readings: last,
    means: [...means.filter((each) => atMs < each.atMs + LOAD_HOLD_MS), { atMs, inFlight: mean }],
    before: before !== undefined && atMs < before.untilMs ? before : undefined,
  };
}

/** Pods at least, 0 or more, so that none has more requests at a time than `perPod` and the tolerance. */
export function podsForLoad({ means, before }: LoadHistory, perPod: number): number {
  const needed = Math.ceil(Math.max(0, ...means.map(({ inFlight }) => inFlight)) / (perPod * (1 + TOLERANCE)));
  return Math.max(before?.pods ?? 0, needed);
}
