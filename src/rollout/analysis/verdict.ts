/** What an analysis says of a canary. */

/**
 * Healthy: enough requests, and it is not worse than allowed. Unhealthy: it is worse than allowed. InsufficientData: neither
 * can be said yet. Inconclusive: measurements contradict each other more often than they may, which a person must look at.
 * Error: what is to be judged could not be read more often than it may.
 */
export type VerdictWord = 'Healthy' | 'Unhealthy' | 'InsufficientData' | 'Inconclusive' | 'Error';

/** Share: 0 to 1. */
export type Unit = 'Share' | 'Seconds' | 'PerSecond' | 'None';

export interface MetricVerdict {
  readonly name: string;
  readonly verdict: VerdictWord;
  /** Judged and shown, but it decides nothing. */
  readonly dryRun: boolean;
  readonly unit: Unit;
  /** Unhealthy by a limit on the canary alone: it loses its traffic at once. */
  readonly isHardLimit: boolean;
  /** What was measured; absent while there is nothing to measure, or where the metric has no such side. */
  readonly stable?: number;
  readonly canary?: number;
  /** What is judged, with bounds that hold at every look: a difference to stable, or the value itself. */
  readonly estimate?: number;
  readonly lower?: number;
  readonly upper?: number;
  /** What the bounds are held against, in the same unit: a largest difference or distance, or a least value. */
  readonly limit?: number;
  /** The arithmetic, without a full stop. */
  readonly message: string;
}

export interface Verdict {
  readonly verdict: VerdictWord;
  /** Answers of the canary that were counted while stable answered too. */
  readonly requests: number;
  readonly metrics: readonly MetricVerdict[];
  /** For status: `312 of 500 requests; errors 0.3% against 0.4%, p99 21 ms against 20 ms`. */
  readonly message: string;
}

/** What the whole is when these are its parts: the first of these words that is among them. */
const SEVERITY: readonly VerdictWord[] = ['Unhealthy', 'Error', 'Inconclusive', 'InsufficientData', 'Healthy'];

/** @returns undefined for none at all: of what nobody looked at there is nothing to say */
export function worst(verdicts: readonly VerdictWord[]): VerdictWord | undefined {
  return SEVERITY.find((word) => verdicts.includes(word));
}
