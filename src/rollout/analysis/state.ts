import Type, { type Static } from 'typebox';
import Value from 'typebox/value';
import { PredictionCounts, type RevisionCounts } from '../../api/counts.ts';
import { own } from '../../api/own.ts';
import { total } from '../../stats/histogram.ts';
import { addOutputs, addPredictions, type Interval } from './interval.ts';
import { allBuckets, LatencyBuckets, latencyBuckets } from './latency-buckets.ts';
import type { Traffic } from './policy.ts';
import { type Grouping, grouped, groupingOf, keyed, rowsOf } from './predictions.ts';

/**
 * What an analysis remembers of a step: what was counted, in blocks of intervals, so that the variance over intervals can
 * be told; and how queries went. JSON of bounded size, kept on the canary's own Deployment, so that an operator that
 * restarts goes on where the one before left off.
 */

const count = Type.Integer({ minimum: 0 });
const strict = { additionalProperties: false };

const Side = Type.Object(
  {
    /** Those that clients gave up among them. */
    requests: count,
    errors: count,
    cancelled: count,
    latency: LatencyBuckets,
    predictions: Type.Record(Type.String(), PredictionCounts),
  },
  strict,
);
export type Side = Static<typeof Side>;

const Block = Type.Object(
  {
    durationMs: Type.Number({ minimum: 0 }),
    canary: Side,
    stable: Side,
    compared: count,
    agreed: count,
    /** The part of it that is of partial intervals: how long they were, and what the canary answered without an error. */
    partial: Type.Optional(Type.Object({ durationMs: Type.Number({ minimum: 0 }), answers: count }, strict)),
  },
  strict,
);
export type Block = Static<typeof Block>;

const QueryTally = Type.Object(
  {
    successful: count,
    failed: count,
    inconclusive: count,
    noData: count,
    consecutiveErrors: count,
    /** The last measurement, or why there was none, for people. */
    last: Type.String({ maxLength: 512 }),
  },
  strict,
);
export type QueryTally = Static<typeof QueryTally>;

const Label = Type.Object({ kind: Type.Literal('Label'), labels: Type.Array(Type.String(), { maxItems: 32 }) }, strict);
const Numbers = Type.Object(
  { kind: Type.Literal('Number'), lastBuckets: Type.Array(Type.Number(), { maxItems: 32 }) },
  strict,
);

const AnalysisState = Type.Object(
  {
    version: Type.Literal(1),
    traffic: Type.Enum(['Split', 'Mirror', 'Whole']),
    /** Intervals that each block but the last is made of, and those in the last. */
    intervalsPerBlock: Type.Integer({ minimum: 1 }),
    inLastBlock: count,
    blocks: Type.Array(Block, { maxItems: 32 }),
    /** Whether there was nothing to judge in the last interval: one revision or both answered nothing. */
    lastIdle: Type.Boolean(),
    /** Readings in a row that failed, and why the last one did. */
    consecutiveFailures: count,
    failure: Type.Optional(Type.String({ maxLength: 512 })),
    groupings: Type.Record(Type.String(), Type.Union([Label, Numbers])),
    queries: Type.Record(Type.String(), QueryTally),
  },
  strict,
);
export type AnalysisState = Static<typeof AnalysisState>;

const MAX_BLOCKS = 32;
const MAX_OUTPUTS = 4;
const MAX_TEXT = 512;

/** The beginning of a step's analysis. */
export function beginAnalysis(traffic: Traffic): AnalysisState {
  return {
    version: 1,
    traffic,
    intervalsPerBlock: 1,
    inLastBlock: 0,
    blocks: [],
    lastIdle: false,
    consecutiveFailures: 0,
    groupings: {},
    queries: {},
  };
}

function addSides(a: Side, b: Side): Side {
  return {
    requests: a.requests + b.requests,
    errors: a.errors + b.errors,
    cancelled: a.cancelled + b.cancelled,
    latency: latencyBuckets(allBuckets([a.latency, b.latency])),
    predictions: addOutputs(a.predictions, b.predictions),
  };
}

function addPartial(a: Block['partial'], b: Block['partial']): Block['partial'] {
  if (a === undefined || b === undefined) return a ?? b;
  return { durationMs: a.durationMs + b.durationMs, answers: a.answers + b.answers };
}

function addBlocks(a: Block, b: Block): Block {
  const partial = addPartial(a.partial, b.partial);
  return {
    durationMs: a.durationMs + b.durationMs,
    canary: addSides(a.canary, b.canary),
    stable: addSides(a.stable, b.stable),
    compared: a.compared + b.compared,
    agreed: a.agreed + b.agreed,
    ...(partial && { partial }),
  };
}

/** What a revision answered without an error. */
export const answersOf = ({ requests, errors, cancelled }: Side): number => requests - errors - cancelled;

function sideOf(counts: RevisionCounts | undefined, answers: 'Users' | 'Copies'): Side {
  const answered = answers === 'Users' ? counts : counts?.mirror;
  // Nobody gives up a copy.
  const cancelled = answers === 'Users' ? (counts?.cancelled ?? 0) : 0;
  const outputs = Object.entries(counts?.predictions ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, MAX_OUTPUTS)
    .filter(([, predictions]) => rowsOf(predictions) > 0);
  return {
    requests: (answered?.requests ?? 0) + cancelled,
    errors: answered?.errors ?? 0,
    cancelled,
    latency: latencyBuckets(answered?.latency.buckets ?? []),
    predictions: Object.fromEntries(outputs.map(([output, each]) => [output, keyed(each)])),
  };
}

/** The canary's side with those outputs alone of which stable predicted something in the same interval: no others can be compared. */
function besideStable(canary: Side, stable: Side): Side {
  const compared = Object.entries(canary.predictions).filter(([output]) => Object.hasOwn(stable.predictions, output));
  return { ...canary, predictions: Object.fromEntries(compared) };
}

/** Adds a block of one interval; where that makes too many, each two become one, of twice as many intervals. */
function append(state: AnalysisState, block: Block): AnalysisState {
  const last = state.blocks.at(-1);
  if (last !== undefined && state.inLastBlock < state.intervalsPerBlock) {
    return {
      ...state,
      blocks: [...state.blocks.slice(0, -1), addBlocks(last, block)],
      inLastBlock: state.inLastBlock + 1,
    };
  }
  if (state.blocks.length < MAX_BLOCKS) return { ...state, blocks: [...state.blocks, block], inLastBlock: 1 };
  const blocks = state.blocks.flatMap((first, index) => {
    const second = state.blocks[index + 1];
    return index % 2 === 1 || second === undefined ? [] : [addBlocks(first, second)];
  });
  return { ...state, intervalsPerBlock: 2 * state.intervalsPerBlock, blocks: [...blocks, block], inLastBlock: 1 };
}

const groupedSide = (side: Side, output: string, grouping: Grouping): Side => {
  const predictions = own(side.predictions, output);
  if (predictions === undefined) return side;
  return { ...side, predictions: { ...side.predictions, [output]: grouped(grouping, predictions) } };
};

/** Decides the groups of an output's predictions as soon as stable has predicted enough. */
function groupOutputs(state: AnalysisState): AnalysisState {
  let next = state;
  const outputs = new Set(state.blocks.flatMap(({ stable }) => Object.keys(stable.predictions)));
  for (const output of outputs) {
    if (Object.hasOwn(next.groupings, output)) continue;
    const predicted = next.blocks.flatMap(({ stable }) => own(stable.predictions, output) ?? []);
    const grouping = groupingOf(predicted.reduce(addPredictions), predicted.length);
    if (grouping === undefined) continue;
    const blocks = next.blocks.map((block) => ({
      ...block,
      canary: groupedSide(block.canary, output, grouping),
      stable: groupedSide(block.stable, output, grouping),
    }));
    const known: AnalysisState['groupings'][string] =
      grouping.kind === 'Label'
        ? { kind: grouping.kind, labels: [...grouping.labels] }
        : { kind: grouping.kind, lastBuckets: [...grouping.lastBuckets] };
    next = { ...next, blocks, groupings: { ...next.groupings, [output]: known } };
  }
  return next;
}

/**
 * The state after one more interval. One in which a revision that is compared answered nothing is left out: what the other
 * did in those minutes has nothing to be held against.
 */
export function observe(state: AnalysisState, interval: Interval): AnalysisState {
  if ('failure' in interval) {
    return {
      ...state,
      consecutiveFailures: state.consecutiveFailures + 1,
      failure: interval.failure.slice(0, MAX_TEXT),
    };
  }
  const { failure: _, ...read } = state;
  const next: AnalysisState = { ...read, consecutiveFailures: 0 };
  const stable = sideOf(interval.stable, 'Users');
  const canary = sideOf(interval.canary, state.traffic === 'Mirror' ? 'Copies' : 'Users');
  const sides = { canary: besideStable(canary, stable), stable };
  const isIdle = sides.canary.requests === 0 || (state.traffic !== 'Whole' && sides.stable.requests === 0);
  if (isIdle) return { ...next, lastIdle: true };
  const durationMs = Math.max(0, interval.durationMs);
  let block: Block = {
    durationMs,
    ...sides,
    compared: interval.canary?.mirror?.compared ?? 0,
    agreed: interval.canary?.mirror?.agreed ?? 0,
    ...(interval.isPartial === true && { partial: { durationMs, answers: answersOf(sides.canary) } }),
  };
  for (const [output, grouping] of Object.entries(state.groupings)) {
    block = {
      ...block,
      canary: groupedSide(block.canary, output, grouping),
      stable: groupedSide(block.stable, output, grouping),
    };
  }
  return groupOutputs(append({ ...next, lastIdle: false }, block));
}

/** One answer of a query: how its conditions found it, or why it could not be had. */
export type Measurement =
  | { readonly outcome: 'Successful' | 'Failed' | 'Inconclusive' | 'NoData'; readonly samples: readonly number[] }
  | { readonly failure: string };

const NO_MEASUREMENTS: QueryTally = {
  successful: 0,
  failed: 0,
  inconclusive: 0,
  noData: 0,
  consecutiveErrors: 0,
  last: '',
};

const FIELDS = { Successful: 'successful', Failed: 'failed', Inconclusive: 'inconclusive', NoData: 'noData' } as const;

const written = (samples: readonly number[]) =>
  samples.length === 0 ? 'no data' : samples.map((sample) => Number(sample.toPrecision(4))).join(', ');

/** The state after one more measurement of a query. */
export function observeQuery(state: AnalysisState, name: string, measurement: Measurement): AnalysisState {
  const before = own(state.queries, name) ?? NO_MEASUREMENTS;
  let after: QueryTally;
  if ('failure' in measurement) {
    after = {
      ...before,
      consecutiveErrors: before.consecutiveErrors + 1,
      last: measurement.failure.slice(0, MAX_TEXT),
    };
  } else {
    const field = FIELDS[measurement.outcome];
    const last = written(measurement.samples.slice(0, 16)).slice(0, MAX_TEXT);
    after = { ...before, [field]: before[field] + 1, consecutiveErrors: 0, last };
  }
  return { ...state, queries: { ...state.queries, [name]: after } };
}

/** All requests of one side. */
export const requestsOf = (state: AnalysisState, side: 'canary' | 'stable'): number =>
  total(state.blocks.map((block) => block[side].requests));

export const encodeState = (state: AnalysisState): string => JSON.stringify(state);

/** @returns undefined for what another version of the operator has written: then the step's analysis begins again */
export function decodeState(text: string): AnalysisState | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Value.Check(AnalysisState, value) ? value : undefined;
  } catch {
    return undefined;
  }
}
