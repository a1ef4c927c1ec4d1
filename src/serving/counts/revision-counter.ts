import {
  LATENCY_BOUNDS_SECONDS,
  type LatencyCounts,
  type MirrorCounts,
  type PredictionCounts,
  type RevisionCounts,
} from '../../api/counts.ts';
import { HistogramSeries } from '../../telemetry/fast-histogram.ts';

/** Counts of one revision from the start of this process; plain additions, cheap enough for every request. */
export class RevisionCounter {
  /** Ended, but for those that the client gave up. */
  requests = 0;
  errors = 0;
  /** Given up by the client; not among `requests`. */
  cancelled = 0;
  readonly latency = new HistogramSeries(LATENCY_BOUNDS_SECONDS);
  #mirror: MirrorCounter | undefined;

  /** The revision answered, and its answer says nothing bad about it. */
  answered(seconds: number): void {
    this.requests++;
    this.latency.observe(seconds);
  }

  /** The revision answered with an error of its own, or not at all. */
  failed(): void {
    this.requests++;
    this.errors++;
  }

  /** What it answers to copies of users' requests. */
  get mirror(): MirrorCounter {
    this.#mirror ??= new MirrorCounter();
    return this.#mirror;
  }

  snapshot(predictions?: Readonly<Record<string, PredictionCounts>>): RevisionCounts {
    return {
      requests: this.requests,
      errors: this.errors,
      latency: latencyCounts(this.latency),
      ...(this.#mirror && { mirror: this.#mirror.snapshot() }),
      ...(predictions && Object.keys(predictions).length > 0 && { predictions }),
    };
  }
}

/** As `MirrorCounts` says. */
export class MirrorCounter {
  requests = 0;
  errors = 0;
  dropped = 0;
  compared = 0;
  agreed = 0;
  readonly latency = new HistogramSeries(LATENCY_BOUNDS_SECONDS);

  snapshot(): MirrorCounts {
    const { requests, errors, dropped, compared, agreed } = this;
    return { requests, errors, dropped, compared, agreed, latency: latencyCounts(this.latency) };
  }
}

function latencyCounts({ counts, sum }: HistogramSeries): LatencyCounts {
  return { buckets: [...counts], sumSeconds: sum };
}

/** Whether an HTTP answer counts as an error of the revision: what it sheds, it did not answer. */
export function isServerError(status: number): boolean {
  return status >= 500 || status === 429;
}
