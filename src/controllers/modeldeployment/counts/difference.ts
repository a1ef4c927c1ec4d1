/** What was counted between two readings of one process: the later counts less the earlier ones. Pure. */
import {
  LATENCY_BUCKETS,
  type LatencyCounts,
  type MirrorCounts,
  type PredictionCounts,
  type RevisionCounts,
} from '../../../api/counts.ts';
import { own } from '../../../api/own.ts';

/** Counts only grow; where one went back, the reading is none of the same process, and nothing is concluded from it. */
const less = (now: number, before: number) => Math.max(0, now - before);

/** Where another version counts latencies in other buckets, nobody knows where they lie; whatever else it counts is known. */
function knownLatency(counted: LatencyCounts): LatencyCounts {
  if (counted.buckets.length === LATENCY_BUCKETS) return counted;
  return { buckets: new Array<number>(LATENCY_BUCKETS).fill(0), sumSeconds: 0 };
}

function latencyDifference(counted: LatencyCounts, before: LatencyCounts | undefined): LatencyCounts {
  const now = knownLatency(counted);
  if (before === undefined) return now;
  return {
    buckets: now.buckets.map((count, index) => less(count, before.buckets[index] ?? 0)),
    sumSeconds: less(now.sumSeconds, before.sumSeconds),
  };
}

function mirrorDifference(now: MirrorCounts, before: MirrorCounts | undefined): MirrorCounts {
  return {
    requests: less(now.requests, before?.requests ?? 0),
    errors: less(now.errors, before?.errors ?? 0),
    dropped: less(now.dropped, before?.dropped ?? 0),
    compared: less(now.compared, before?.compared ?? 0),
    agreed: less(now.agreed, before?.agreed ?? 0),
    latency: latencyDifference(now.latency, before?.latency),
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
  return {
    requests: less(now.requests, before?.requests ?? 0),
    errors: less(now.errors, before?.errors ?? 0),
    cancelled: less(now.cancelled ?? 0, before?.cancelled ?? 0),
    latency: latencyDifference(now.latency, before?.latency),
    ...(now.mirror && { mirror: mirrorDifference(now.mirror, before?.mirror) }),
    ...(now.predictions && {
      predictions: Object.fromEntries(
        Object.entries(now.predictions).map(([output, counts]) => [
          output,
          predictionDifference(counts, before?.predictions && own(before.predictions, output)),
        ]),
      ),
    }),
  };
}
