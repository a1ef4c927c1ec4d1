import Type, { type Static } from 'typebox';

/**
 * What routers and servers count: cumulative from the start of the process, so that a reading that is lost loses nothing,
 * and mergeable over pods by addition. `GET /counts` on the metrics port answers a `CountsSnapshot` as JSON. A process
 * that stops in good order leaves its last one where the operator finds it. Fields that a reader does not know are let
 * pass: while versions change, either side may be the newer one.
 */

/** Upper bounds of latency buckets in seconds, as few as time series of metrics should have. */
export const COARSE_LATENCY_BOUNDS_SECONDS: readonly number[] = [
  0.0001, 0.0002, 0.0003, 0.0005, 0.0007, 0.001, 0.0014, 0.002, 0.0028, 0.004, 0.0056, 0.008, 0.011, 0.016, 0.022,
  0.032, 0.045, 0.064, 0.09, 0.13, 0.18, 0.25, 0.36, 0.5, 0.72, 1, 1.4, 2, 2.9, 4, 5.8, 8, 11, 16, 23, 32, 45, 60,
];

/** Latencies are judged by buckets that they are wholly above or below: a bucket is to be narrow beside an increase that is allowed. */
const PARTS_OF_A_COARSE_BUCKET = 8;

/**
 * Upper bounds of the latency buckets that are counted, in seconds; one more bucket counts what is above. The coarse ones are
 * among them. The same in every process of a version.
 */
export const LATENCY_BOUNDS_SECONDS: readonly number[] = COARSE_LATENCY_BOUNDS_SECONDS.flatMap((bound, bucket) => {
  const former = COARSE_LATENCY_BOUNDS_SECONDS[bucket - 1];
  if (former === undefined) return [bound];
  return Array.from({ length: PARTS_OF_A_COARSE_BUCKET }, (_, part) =>
    Number((former * (bound / former) ** ((part + 1) / PARTS_OF_A_COARSE_BUCKET)).toPrecision(4)),
  );
});

export const LATENCY_BUCKETS = LATENCY_BOUNDS_SECONDS.length + 1;

const count = Type.Integer({ minimum: 0 });

export const LatencyCounts = Type.Object({
  /** `LATENCY_BUCKETS`, but of processes of other versions: pods of a revision keep theirs. */
  buckets: Type.Array(count, { maxItems: 1024 }),
  sumSeconds: Type.Number({ minimum: 0 }),
});
export type LatencyCounts = Static<typeof LatencyCounts>;

/** Counts of one output of the model, over its rows: by label, or by bucket of a number. */
export const PredictionCounts = Type.Object({
  kind: Type.Enum(['Label', 'Number']),
  /**
   * By label, or by the index of the bucket, which grows with the numbers in it (`src/serving/counts/number-buckets.ts`);
   * what is not a number is `NaN`. Bounded in number, the rest under `other`.
   */
  counts: Type.Record(Type.String(), count),
  other: count,
});
export type PredictionCounts = Static<typeof PredictionCounts>;

/** Copies of users' requests that one revision answered beside the one that served. */
export const MirrorCounts = Type.Object({
  /** Copies that were sent. */
  requests: count,
  /** Copies that no answer, or an error (5xx), came back for. */
  errors: count,
  /** Copies that were not sent: too many were under way, no memory was left, or no pod had room. */
  dropped: count,
  /** Pairs of answers that could be compared, and those of them that agree. */
  compared: count,
  agreed: count,
  latency: LatencyCounts,
});
export type MirrorCounts = Static<typeof MirrorCounts>;

export const RevisionCounts = Type.Object({
  /** Requests that were sent to it and ended, but for those that the client gave up. */
  requests: count,
  /** Requests that came whole and that the client gave up before an answer began; absent where a process does not count them. */
  cancelled: Type.Optional(count),
  /** Of those: 5xx, 429, UNAVAILABLE, INTERNAL, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, DATA_LOSS, or no answer at all. */
  errors: count,
  /** Of all that were answered without an error; and of `cancelled` the time until then, which their latency exceeds. */
  latency: LatencyCounts,
  mirror: Type.Optional(MirrorCounts),
  /** By output's name; servers only. */
  predictions: Type.Optional(Type.Record(Type.String(), PredictionCounts)),
});
export type RevisionCounts = Static<typeof RevisionCounts>;

export const CountsSnapshot = Type.Object({
  /** Another one after each start of the process: counts of one instance only grow. */
  instance: Type.String({ minLength: 1, maxLength: 128 }),
  /** Requests in flight, and waiting, now. */
  inFlight: count,
  /** Of those, by `modelDeployment`, then by revision; routers only. */
  load: Type.Optional(Type.Record(Type.String(), Type.Record(Type.String(), count))),
  /** By `modelDeployment`, then by revision. */
  revisions: Type.Record(Type.String(), Type.Record(Type.String(), RevisionCounts)),
});
export type CountsSnapshot = Static<typeof CountsSnapshot>;
