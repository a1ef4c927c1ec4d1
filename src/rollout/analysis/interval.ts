import type { LatencyCounts, MirrorCounts, PredictionCounts, RevisionCounts } from '../../api/counts.ts';

/** What all processes together counted of both revisions between two readings, or why nothing could be read. */
export type Interval =
  | {
      readonly endMs: number;
      readonly durationMs: number;
      /** Not all that was counted in this time is here, or more is: shares can be told from it, and no rate. */
      readonly isPartial?: boolean;
      /** Absent where nothing was counted of it. */
      readonly canary?: RevisionCounts;
      readonly stable?: RevisionCounts;
    }
  | { readonly endMs: number; readonly failure: string };

const addAll = (a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>) => {
  // No object: a label may be `constructor`, or `__proto__`.
  const sums = new Map(Object.entries(a));
  for (const [key, count] of Object.entries(b)) sums.set(key, (sums.get(key) ?? 0) + count);
  return Object.fromEntries(sums);
};

export function addLatency(a: LatencyCounts, b: LatencyCounts): LatencyCounts {
  return {
    buckets: a.buckets.map((count, bucket) => count + (b.buckets[bucket] ?? 0)),
    sumSeconds: a.sumSeconds + b.sumSeconds,
  };
}

export function addPredictions(a: PredictionCounts, b: PredictionCounts): PredictionCounts {
  // A model that changes the type of an output has one kind only in a revision; across revisions they cannot be added.
  if (a.kind !== b.kind) return a;
  return { kind: a.kind, counts: addAll(a.counts, b.counts), other: a.other + b.other };
}

function addMirror(a: MirrorCounts, b: MirrorCounts): MirrorCounts {
  return {
    requests: a.requests + b.requests,
    errors: a.errors + b.errors,
    dropped: a.dropped + b.dropped,
    compared: a.compared + b.compared,
    agreed: a.agreed + b.agreed,
    latency: addLatency(a.latency, b.latency),
  };
}

function addEither<T>(a: T | undefined, b: T | undefined, add: (a: T, b: T) => T): T | undefined {
  return a === undefined ? b : b === undefined ? a : add(a, b);
}

type Outputs = NonNullable<RevisionCounts['predictions']>;

export function addOutputs(a: Outputs, b: Outputs): Outputs {
  const sums = new Map(Object.entries(a));
  for (const [output, counts] of Object.entries(b)) {
    const former = sums.get(output);
    sums.set(output, former === undefined ? counts : addPredictions(former, counts));
  }
  return Object.fromEntries(sums);
}

/** Counts of one revision by two processes. */
export function addCounts(a: RevisionCounts, b: RevisionCounts): RevisionCounts {
  const mirror = addEither(a.mirror, b.mirror, addMirror);
  const predictions = addEither(a.predictions, b.predictions, addOutputs);
  return {
    requests: a.requests + b.requests,
    errors: a.errors + b.errors,
    cancelled: (a.cancelled ?? 0) + (b.cancelled ?? 0),
    latency: addLatency(a.latency, b.latency),
    ...(mirror && { mirror }),
    ...(predictions && { predictions }),
  };
}

/**
 * One revision's counts, of all processes: requests and predictions may be counted by different ones.
 * @param requests of the processes that count requests
 * @param predictions of those that see predictions
 */
export function combine(
  requests: readonly RevisionCounts[],
  predictions: readonly RevisionCounts[],
): RevisionCounts | undefined {
  const answered = requests.reduce<RevisionCounts | undefined>(
    (sum, counts) => addEither(sum, counts, addCounts),
    undefined,
  );
  const predicted = predictions.reduce<Outputs | undefined>(
    (sum, counts) => addEither(sum, counts.predictions, addOutputs),
    undefined,
  );
  return answered && { ...answered, ...(predicted && { predictions: predicted }) };
}
