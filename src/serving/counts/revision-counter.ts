import {
  LATENCY_BOUNDS_SECONDS,
  type LatencyCounts,
  type MirrorCounts,
  type PredictionCounts,
  type RevisionCounts,
} from '../../api/counts.ts';
import { HistogramSeries } from '../../telemetry/fast-histogram.ts';

/**
 * How a request to a revision ended. `error`: it answered with an error of its own, or not at all. `cancelled`: the client
 * gave up waiting for an answer. `withdrawn`: nobody wanted the answer, and the revision had no part in that: the client
 * left before its request was whole or in the middle of the answer, or an answer had become useless.
 */
export type RevisionOutcome = 'success' | 'error' | 'cancelled' | 'withdrawn';

/** Counts of one revision from the start of this process; plain additions, cheap enough for every request. */
export class RevisionCounter {
  /** Ended in success or error. */
  requests = 0;
  errors = 0;
  cancelled = 0;
  withdrawn = 0;
  /** Requests that were its own by match, unit or weight, and went elsewhere, or nowhere, because it had no endpoint. */
  passedOver = 0;
  readonly latency = new HistogramSeries(LATENCY_BOUNDS_SECONDS);
  readonly mirror = new MirrorCounter();

  /** `seconds` to the head of the answer, or until the client gave up; of no meaning for the others. */
  ended(outcome: RevisionOutcome, seconds: number): void {
    if (outcome === 'withdrawn') {
      this.withdrawn++;
      return;
    }
    if (outcome === 'cancelled') this.cancelled++;
    else this.requests++;
    if (outcome === 'error') this.errors++;
    else this.latency.observe(seconds);
  }

  mirrored(outcome: 'success' | 'error', seconds: number, agreed: boolean | undefined): void {
    this.mirror.ended(outcome, seconds, agreed);
  }

  mirrorDropped(): void {
    this.mirror.dropped++;
  }

  snapshot(predictions: Readonly<Record<string, PredictionCounts>> = {}): RevisionCounts {
    return {
      requests: this.requests,
      errors: this.errors,
      cancelled: this.cancelled,
      latency: latencyCounts(this.latency),
      ...(this.mirror.isUsed && { mirror: this.mirror.snapshot() }),
      ...(Object.keys(predictions).length > 0 && { predictions }),
    };
  }
}

/** Counts of copies, as `MirrorCounts` says. */
export class MirrorCounter {
  requests = 0;
  errors = 0;
  dropped = 0;
  compared = 0;
  agreed = 0;
  readonly latency = new HistogramSeries(LATENCY_BOUNDS_SECONDS);

  get isUsed(): boolean {
    return this.requests > 0 || this.dropped > 0;
  }

  ended(outcome: 'success' | 'error', seconds: number, agreed: boolean | undefined): void {
    this.requests++;
    if (outcome === 'success') this.latency.observe(seconds);
    else this.errors++;
    if (agreed !== undefined) this.compared++;
    if (agreed === true) this.agreed++;
  }

  snapshot(): MirrorCounts {
    const { requests, errors, dropped, compared, agreed } = this;
    return { requests, errors, dropped, compared, agreed, latency: latencyCounts(this.latency) };
  }
}

function latencyCounts({ counts, sum }: HistogramSeries): LatencyCounts {
  return { buckets: [...counts], sumSeconds: sum };
}
