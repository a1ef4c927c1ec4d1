/** What was counted between two readings of one process: the later counts less the earlier ones. Pure. */
import type { LatencyCounts, MirrorCounts, PredictionCounts, RevisionCounts } from '../../../api/counts.ts';
import { own } from '../../../api/own.ts';

/** Counts only grow; where one went back, the reading is none of the same process, and nothing is concluded from it. */
const less = (now: number, before: number) => Math.max(0, now - before);

function latencyDifference(now: LatencyCounts, before: LatencyCounts): LatencyCounts {
  return {
    buckets: now.buckets.map((count, index) => less(count, before.buckets[index] ?? 0)),
    sumSeconds: less(now.sumSeconds, before.sumSeconds),
  };
}

function mirrorDifference(now: MirrorCounts, before: MirrorCounts): MirrorCounts {
  return {
    requests: less(now.requests, before.requests),
    errors: less(now.errors, before.errors),
    dropped: less(now.dropped, before.dropped),
    compared: less(now.compared, before.compared),
    agreed: less(now.agreed, before.agreed),
    latency: latencyDifference(now.latency, before.latency),
  };
}

function predictionDifference(now: PredictionCounts, before: PredictionCounts | undefined): PredictionCounts {
  if (before === undefined || before.kind !== now.kind) return now;
  return {
    kind: now.kind,
    counts: Object.fromEntries(
      Object.entries(now.counts).map(([label, count]) => [label, less(count, own(before.counts, label) ?? 0)]),
    ),
    other: less(now.other, before.other),
  };
}

/** @param before undefined where the process began since: it began at 0 */
export function countsDifference(now: RevisionCounts, before: RevisionCounts | undefined): RevisionCounts {
  if (before === undefined) return now;
  return {
    requests: less(now.requests, before.requests),
    errors: less(now.errors, before.errors),
    cancelled: less(now.cancelled ?? 0, before.cancelled ?? 0),
    latency: latencyDifference(now.latency, before.latency),
    ...(now.mirror && {
      mirror: before.mirror === undefined ? now.mirror : mirrorDifference(now.mirror, before.mirror),
    }),
    ...(now.predictions && {
      predictions: Object.fromEntries(
        Object.entries(now.predictions).map(([output, counts]) => [
          output,
          predictionDifference(counts, before.predictions && own(before.predictions, output)),
        ]),
      ),
    }),
  };
}
