import type { PredictionCounts } from '../../api/counts.ts';
import { total } from '../../stats/histogram.ts';

/** Predictions are kept by groups of labels or of buckets, which stable's own predictions decide: bounded, and as fine as can be told apart. */

/** Rows that stable must have answered before its predictions decide the groups; after so many intervals fewer will do. */
const REFERENCE_ROWS = 200;
const REFERENCE_INTERVALS = 8;
const MAX_LABELS = 32;
const NUMBER_GROUPS = 16;
const NOT_A_NUMBER = 'NaN';

/** Labels (by their keys) that are counted apart, or the last buckets of the groups that numbers are counted in. */
export type Grouping =
  | { readonly kind: 'Label'; readonly labels: readonly string[] }
  | { readonly kind: 'Number'; readonly lastBuckets: readonly number[] };

/** FNV-1a over the label's UTF-16 units, 32 bits: labels may be long, and what is remembered is bounded. */
function labelKey(label: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < label.length; index += 1) hash = Math.imul(hash ^ label.charCodeAt(index), 0x01000193);
  return (hash >>> 0).toString(16);
}

export const rowsOf = ({ counts, other }: PredictionCounts): number => total(Object.values(counts)) + other;

/** Predictions as they are remembered until there are groups: labels by their keys. */
export function keyed(predictions: PredictionCounts): PredictionCounts {
  if (predictions.kind !== 'Label') return predictions;
  const counts: Record<string, number> = {};
  for (const [label, count] of Object.entries(predictions.counts)) {
    const key = labelKey(label);
    counts[key] = (counts[key] ?? 0) + count;
  }
  return { ...predictions, counts };
}

const byCount = (a: readonly [string, number], b: readonly [string, number]) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1);

/**
 * Groups by what stable predicted, of keyed predictions; undefined as long as that is too little.
 * @param blocks intervals that stable predicted it in
 */
export function groupingOf(predictions: PredictionCounts, blocks: number): Grouping | undefined {
  const { kind, counts } = predictions;
  // Labels of before the interval are still told, with nothing counted.
  const entries = Object.entries(counts).filter(([, count]) => count > 0);
  if (rowsOf(predictions) < REFERENCE_ROWS && blocks < REFERENCE_INTERVALS) return undefined;
  if (kind === 'Label') {
    return {
      kind,
      labels: entries
        .sort(byCount)
        .slice(0, MAX_LABELS)
        .map(([label]) => label),
    };
  }
  const buckets = entries
    .filter(([bucket]) => bucket !== NOT_A_NUMBER)
    .map(([bucket, count]) => [Number(bucket), count] as const)
    .sort(([a], [b]) => a - b);
  const [first] = buckets;
  if (first === undefined) return { kind, lastBuckets: [] };
  // What stable never predicts, below and above, are groups of their own.
  const lastBuckets = [first[0] - 1];
  const size = total(buckets.map(([, count]) => count)) / NUMBER_GROUPS;
  let filled = 0;
  for (const [index, [bucket, count]] of buckets.entries()) {
    filled += count;
    if (filled < size && index + 1 < buckets.length) continue;
    lastBuckets.push(bucket);
    filled = 0;
  }
  return { kind, lastBuckets };
}

/** Whether nothing is told apart: stable's predictions were too many labels to count, or no numbers. */
export const isEmpty = (grouping: Grouping): boolean =>
  (grouping.kind === 'Label' ? grouping.labels : grouping.lastBuckets).length === 0;

/** The names of the groups, in order. What belongs to none is counted as other. */
export function groupNames(grouping: Grouping): readonly string[] {
  const numbered = (groups: number) => Array.from({ length: groups }, (_, group) => String(group));
  return grouping.kind === 'Label'
    ? numbered(grouping.labels.length)
    : [...numbered(grouping.lastBuckets.length + 1), NOT_A_NUMBER];
}

function groupOf(grouping: Grouping, key: string): string | undefined {
  if (grouping.kind === 'Label') {
    const group = grouping.labels.indexOf(key);
    return group === -1 ? undefined : String(group);
  }
  if (key === NOT_A_NUMBER) return key;
  const group = grouping.lastBuckets.findIndex((last) => Number(key) <= last);
  return String(group === -1 ? grouping.lastBuckets.length : group);
}

/** Keyed predictions, counted by group. Those of another kind than stable's are all other ones. */
export function grouped(grouping: Grouping, predictions: PredictionCounts): PredictionCounts {
  const { kind } = grouping;
  if (predictions.kind !== kind) {
    return { kind, counts: {}, other: rowsOf(predictions) };
  }
  const counts: Record<string, number> = {};
  let { other } = predictions;
  for (const [key, count] of Object.entries(predictions.counts)) {
    const group = groupOf(grouping, key);
    if (group === undefined) other += count;
    else counts[group] = (counts[group] ?? 0) + count;
  }
  return { kind, counts, other };
}
