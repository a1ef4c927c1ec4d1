import type { ModelDeploymentSpec } from '../../../api/v1alpha1/model-deployment.ts';
import type { AnalysisPolicy, Traffic } from '../../../rollout/analysis/policy.ts';
import { type AnalysisState, beginAnalysis, observe } from '../../../rollout/analysis/state.ts';
import type { AnalysisRequest } from '../../../rollout/types.ts';
import { type ObjectKey, parseKey } from '../../../runtime/types.ts';
import { Counting, type CountsReadings, type RequestSource } from '../counts/counting.ts';
import { FinalCounts } from '../counts/final-counts.ts';
import type { LastCounts } from '../counts/ledger.ts';
import type { CountsReader, CountsSource } from '../counts/reader.ts';
import type { Revision } from '../revision.ts';
import { judgeStep, policyOf } from './judge.ts';
import { Measuring } from './measuring.ts';
import { type Answers, askQueries, hasQueries, observeAnswers, type QueryRunner } from './queries.ts';
import { QueryTurns } from './query-turns.ts';
import { type AnalysisRecord, isSameRequest, recordOn, recordText } from './record.ts';

/** Who counts for one ModelDeployment. */
export interface CountsSources {
  readonly requestsFrom: RequestSource;
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
  /** Aborts when this process stops. */
  readonly signal: AbortSignal;
  /** Is called when something was measured that the next call takes in. */
  readonly whenMeasured: () => void;
}

export interface Advanced {
  readonly record: AnalysisRecord;
  /** Something new was measured: what is decided may change. */
  readonly hasNews: boolean;
  /** To be written on the revision's Deployment now. */
  readonly text: string | undefined;
  /** When to measure again; undefined where that is told by `whenMeasured`. */
  readonly nextAtMs: number | undefined;
}

interface Entry {
  record: AnalysisRecord;
  readonly requestsFrom: RequestSource;
  readonly counting: Counting;
  readonly reading: Measuring<CountsReadings>;
  /** Apart from counts, since a server that does not answer must not keep them from being judged. */
  readonly asking: Measuring<Answers>;
  writtenAtMs: number;
  writtenVerdict: string | undefined;
}

/** A restart of the operator loses at most the counts of this long. */
const WRITE_EVERY_MS = 30_000;

/** The analyses under way, as this process knows them: what each has counted, and what is being measured for it. */
export class AnalysisBook {
  /** Of routers that have stopped, from their Leases. */
  readonly finalCounts = new FinalCounts();
  readonly #entries = new Map<ObjectKey, Entry>();
  readonly #reader: CountsReader;
  readonly #queries: QueryRunner;
  readonly #turns = new QueryTurns();

  constructor(reader: CountsReader, queries: QueryRunner) {
    this.#reader = reader;
    this.#queries = queries;
  }

  /** What is known of the analysis of a ModelDeployment, by this process or by the one that led before. */
  recordOf(key: ObjectKey, revisions: readonly Revision[]): AnalysisRecord | undefined {
    return this.#entries.get(key)?.record ?? recordOn(revisions);
  }

  /** Takes in what has been measured, and begins to measure what is due. Waits for nobody. */
  advance(input: AdvanceInput, known: AnalysisRecord | undefined): Advanced {
    const { spec, request, traffic, sources, nowMs } = input;
    const policy = policyOf(spec, traffic, request);
    const entry = this.#entryOf(input, known, policy);
    entry.counting.hold(sources.last);
    const before = entry.record.state;
    const state = withAnswers(withCounts(before, entry), policy, entry);
    entry.record = { request, state };
    const hasNews = state !== before;
    const nextAtMs = this.#measure(entry, policy, input);
    const isNew = entry.writtenVerdict === undefined;
    const text = hasNews || isNew ? textToWrite(entry, spec, nowMs) : undefined;
    return { record: entry.record, hasNews, text, nextAtMs };
  }

  /** An analysis goes on where the request, the traffic and who counts are the same; else it begins anew. */
  #entryOf(
    { key, request, traffic, sources, nowMs }: AdvanceInput,
    known: AnalysisRecord | undefined,
    { intervalMs }: AnalysisPolicy,
  ): Entry {
    const isOf = (record: AnalysisRecord) => isSameRequest(record.request, request) && record.state.traffic === traffic;
    const { requestsFrom } = sources;
    const entry = this.#entries.get(key);
    if (entry !== undefined && isOf(entry.record) && entry.requestsFrom === requestsFrom) return entry;
    this.forget(key);
    const isKnown = known !== undefined && isOf(known);
    const begun: Entry = {
      record: isKnown ? known : { request, state: beginAnalysis(traffic) },
      requestsFrom,
      counting: new Counting(parseKey(key).name, requestsFrom),
      reading: new Measuring(nowMs),
      asking: new Measuring(nowMs + intervalMs),
      writtenAtMs: isKnown ? nowMs : Number.NEGATIVE_INFINITY,
      writtenVerdict: undefined,
    };
    this.#entries.set(key, begun);
    return begun;
  }

  /** @returns when to measure again; undefined where everything that is due is under way */
  #measure({ reading, asking }: Entry, policy: AnalysisPolicy, input: AdvanceInput): number | undefined {
    const { nowMs, signal: stop, whenMeasured: whenDone } = input;
    const when = { nowMs, intervalMs: policy.intervalMs, stop, whenDone };
    const readAtMs = reading.advance({ ...when, measure: () => this.#read(policy, input) });
    const askAtMs = hasQueries(policy)
      ? asking.advance({ ...when, measure: (signal) => this.#ask(policy, input, signal) })
      : undefined;
    const times = [readAtMs, askAtMs].filter((time) => time !== undefined);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  async #read(policy: AnalysisPolicy, { sources, nowMs, signal }: AdvanceInput): Promise<CountsReadings> {
    const isByRouters = sources.requestsFrom === 'Routers';
    const seesPredictions = policy.metrics.some(({ measure }) => measure.kind === 'PredictionDistribution');
    // What a pod tells may serve other ModelDeployments too, so that it is cut short by a stop alone.
    const [routers, servers] = await Promise.all([
      this.#reader.read(isByRouters ? sources.routers : [], signal),
      this.#reader.read(isByRouters && !seesPredictions ? [] : sources.servers, signal),
    ]);
    return { atMs: nowMs, routers, servers };
  }

  async #ask(policy: AnalysisPolicy, { key, request }: AdvanceInput, signal: AbortSignal): Promise<Answers> {
    const { name, namespace = '' } = parseKey(key);
    const inTurn: QueryRunner = (query, cut) =>
      this.#turns.run({ namespace, address: query.address }, () => this.#queries(query, cut), cut);
    return await askQueries(policy, { ...request, name, namespace }, inTurn, signal);
  }

  forget(key: ObjectKey): void {
    const entry = this.#entries.get(key);
    entry?.reading.cancel();
    entry?.asking.cancel();
    this.#entries.delete(key);
  }
}

function withCounts(state: AnalysisState, { reading, counting, record }: Entry): AnalysisState {
  const readings = reading.take();
  const interval = readings && counting.take(readings, record.request);
  return interval === undefined ? state : observe(state, interval);
}

function withAnswers(state: AnalysisState, policy: AnalysisPolicy, { asking }: Entry): AnalysisState {
  const answers = asking.take();
  return answers === undefined ? state : observeAnswers(state, policy, answers);
}

/** A verdict that decides is written before anything follows from it; counts alone only now and then. */
function textToWrite(entry: Entry, spec: ModelDeploymentSpec, nowMs: number): string | undefined {
  const { kind } = judgeStep(entry.record, spec).verdict;
  const ageMs = nowMs - entry.writtenAtMs;
  // Below 0 where the clock was set back.
  if (kind === entry.writtenVerdict && ageMs >= 0 && ageMs < WRITE_EVERY_MS) return undefined;
  entry.writtenVerdict = kind;
  entry.writtenAtMs = nowMs;
  return recordText(entry.record);
}
