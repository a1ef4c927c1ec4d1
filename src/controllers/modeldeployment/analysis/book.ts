import type { RevisionCounts } from '../../../api/counts.ts';
import type { ModelDeploymentSpec } from '../../../api/v1alpha1/model-deployment.ts';
import { combine, type Interval } from '../../../rollout/analysis/interval.ts';
import type { Traffic } from '../../../rollout/analysis/policy.ts';
import { beginAnalysis, observe } from '../../../rollout/analysis/state.ts';
import type { AnalysisRequest } from '../../../rollout/types.ts';
import { type ObjectKey, parseKey } from '../../../runtime/types.ts';
import { CountsLedger, type InstanceInterval, type LastCounts } from '../counts/ledger.ts';
import type { CountsReader, CountsReading, CountsSource } from '../counts/reader.ts';
import type { Revision } from '../revision.ts';
import { judgeStep, policyOf } from './judge.ts';
import { measureQueries, type QueryRunner } from './queries.ts';
import { type AnalysisRecord, isSameRequest, recordOn, recordText } from './record.ts';

/** Who counts for one ModelDeployment. */
export interface CountsSources {
  readonly routers: readonly CountsSource[];
  readonly servers: readonly CountsSource[];
  /** Of routers that have stopped. */
  readonly last: readonly LastCounts[];
}

export interface AdvanceInput {
  readonly key: ObjectKey;
  readonly spec: ModelDeploymentSpec;
  readonly request: AnalysisRequest;
  readonly traffic: Traffic;
  readonly sources: CountsSources;
  readonly nowMs: number;
  readonly signal: AbortSignal;
}

export interface Advanced {
  readonly record: AnalysisRecord;
  /** Something new was counted: what is decided may change. */
  readonly hasNewCounts: boolean;
  /** To be written on the revision's Deployment now. */
  readonly text: string | undefined;
  readonly nextReadingAtMs: number;
}

interface Entry {
  record: AnalysisRecord;
  /** Undefined where this process has read nothing yet. */
  readAtMs: number | undefined;
  readonly routers: CountsLedger;
  readonly servers: CountsLedger;
  writtenAtMs: number;
  writtenVerdict: string | undefined;
}

/** A restart of the operator loses at most the counts of this long. */
const WRITE_EVERY_MS = 30_000;

/** The analyses under way, as this process knows them: what each has counted, and when it is next to be read. */
export class AnalysisBook {
  readonly #entries = new Map<ObjectKey, Entry>();
  readonly #reader: CountsReader;
  readonly #queries: QueryRunner;

  constructor(reader: CountsReader, queries: QueryRunner) {
    this.#reader = reader;
    this.#queries = queries;
  }

  /** What is known of the analysis of a ModelDeployment, by this process or by the one that led before. */
  recordOf(key: ObjectKey, revisions: readonly Revision[]): AnalysisRecord | undefined {
    return this.#entries.get(key)?.record ?? recordOn(revisions);
  }

  /** Reads what has been counted, where that is due. */
  async advance(input: AdvanceInput, known: AnalysisRecord | undefined): Promise<Advanced> {
    const { key, spec, request, nowMs, sources } = input;
    const policy = policyOf(spec, input.traffic, request.metrics);
    const entry = this.#entryOf(input, known);
    entry.routers.hold(sources.last);
    const dueAtMs = entry.readAtMs === undefined ? nowMs : entry.readAtMs + policy.intervalMs;
    if (nowMs < dueAtMs) {
      return { record: entry.record, hasNewCounts: false, text: undefined, nextReadingAtMs: dueAtMs };
    }
    const countsPredictions = policy.metrics.some(({ measure }) => measure.kind === 'PredictionDistribution');
    const read = async (all: readonly CountsSource[]) => await this.#reader.read(all, input.signal);
    const [routers, servers] = await Promise.all([
      read(sources.routers),
      read(countsPredictions || sources.routers.length === 0 ? sources.servers : []),
    ]);
    const counted = { routers: entry.routers.take(routers), servers: entry.servers.take(servers) };
    const isBaseline = entry.readAtMs === undefined;
    const durationMs = nowMs - (entry.readAtMs ?? nowMs);
    entry.readAtMs = nowMs;
    let { state } = entry.record;
    if (!isBaseline) {
      state = observe(state, intervalOf(request, [...routers, ...servers], counted, nowMs, durationMs));
      state = await measureQueries(state, policy, { ...request, ...parseKey(key) }, this.#queries, input.signal);
    }
    entry.record = { request, state };
    return {
      record: entry.record,
      hasNewCounts: !isBaseline,
      text: this.#textToWrite(entry, spec, nowMs),
      nextReadingAtMs: nowMs + policy.intervalMs,
    };
  }

  #entryOf({ key, request, traffic, nowMs }: AdvanceInput, known: AnalysisRecord | undefined): Entry {
    const entry = this.#entries.get(key);
    if (entry !== undefined && isSameRequest(entry.record.request, request)) return entry;
    const isKnown = known !== undefined && isSameRequest(known.request, request) && known.state.traffic === traffic;
    const { name } = parseKey(key);
    const begun: Entry = {
      record: isKnown ? known : { request, state: beginAnalysis(traffic, nowMs) },
      readAtMs: undefined,
      routers: new CountsLedger(name),
      servers: new CountsLedger(name),
      writtenAtMs: isKnown ? nowMs : Number.NEGATIVE_INFINITY,
      writtenVerdict: undefined,
    };
    this.#entries.set(key, begun);
    return begun;
  }

  /** A verdict that decides is written before anything follows from it; counts alone only now and then. */
  #textToWrite(entry: Entry, spec: ModelDeploymentSpec, nowMs: number): string | undefined {
    const { kind } = judgeStep(entry.record, spec).verdict;
    if (kind === entry.writtenVerdict && nowMs < entry.writtenAtMs + WRITE_EVERY_MS) return undefined;
    entry.writtenVerdict = kind;
    entry.writtenAtMs = nowMs;
    return recordText(entry.record);
  }

  forget(key: ObjectKey): void {
    this.#entries.delete(key);
  }
}

export function intervalOf(
  { canary, stable }: Pick<AnalysisRequest, 'canary' | 'stable'>,
  readings: readonly CountsReading[],
  counted: { readonly routers: readonly InstanceInterval[]; readonly servers: readonly InstanceInterval[] },
  endMs: number,
  durationMs: number,
): Interval {
  const failures = readings.flatMap((reading) => ('failure' in reading ? [reading.failure] : []));
  const hasCounted = counted.routers.length > 0 || counted.servers.length > 0;
  if (!hasCounted && failures.length === readings.length) {
    return { endMs, failure: failures[0] ?? 'there is no router and no server to read counts from' };
  }
  const of = (revision: string): RevisionCounts | undefined => {
    const counts = (intervals: readonly InstanceInterval[]) =>
      intervals.map(({ revisions }) => revisions[revision]).filter((each) => each !== undefined);
    return combine(counts(counted.routers), counts(counted.servers));
  };
  const [ofCanary, ofStable] = [of(canary), of(stable)];
  return {
    endMs,
    durationMs,
    ...(ofCanary && { canary: ofCanary }),
    ...(ofStable && { stable: ofStable }),
    unread: failures.length,
  };
}
