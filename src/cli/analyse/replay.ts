import { intervalOf } from '../../controllers/modeldeployment/analysis/book.ts';
import { CountsLedger } from '../../controllers/modeldeployment/counts/ledger.ts';
import type { CountsReading } from '../../controllers/modeldeployment/counts/reader.ts';
import { judge } from '../../rollout/analysis/judge.ts';
import type { AnalysisPolicy } from '../../rollout/analysis/policy.ts';
import { type RecordedReading, sampleOf, type Told } from '../../rollout/analysis/record.ts';
import {
  type AnalysisState,
  beginAnalysis,
  type Measurement,
  observe,
  observeQuery,
} from '../../rollout/analysis/state.ts';
import type { Verdict } from '../../rollout/analysis/verdict.ts';

/** Whose traffic is replayed. */
export interface Subject {
  /** The ModelDeployment. */
  readonly name: string;
  readonly canary: string;
  readonly stable: string;
}

export interface Judged {
  readonly atMs: number;
  readonly verdict: Verdict;
}

/**
 * What an analysis would have said after each reading of a record: by the ledger, the state and the rules that the operator
 * judges with. The first reading is what the second is compared with.
 */
export async function* replay(
  readings: AsyncIterable<RecordedReading>,
  policy: AnalysisPolicy,
  subject: Subject,
): AsyncGenerator<Judged> {
  const ledgers = { routers: new CountsLedger(subject.name), servers: new CountsLedger(subject.name) };
  let state: AnalysisState | undefined;
  let beforeMs = 0;
  for await (const reading of readings) {
    const [routers, servers] = [reading.routers.map(readingOf), reading.servers.map(readingOf)];
    const counted = { routers: ledgers.routers.take(routers), servers: ledgers.servers.take(servers) };
    if (state === undefined) {
      state = beginAnalysis(policy.traffic, reading.atMs);
    } else {
      const durationMs = reading.atMs - beforeMs;
      state = observe(state, intervalOf(subject, [...routers, ...servers], counted, reading.atMs, durationMs));
      state = measure(state, policy, reading);
    }
    beforeMs = reading.atMs;
    yield { atMs: reading.atMs, verdict: judge(state, policy) };
  }
}

function readingOf(told: Told): CountsReading {
  const source = { uid: told.source, name: told.source, address: told.source };
  return 'counts' in told ? { source, snapshot: told.counts } : { source, failure: told.failure };
}

function measure(state: AnalysisState, { metrics }: AnalysisPolicy, { queries = {} }: RecordedReading): AnalysisState {
  return metrics.reduce((sum, { name, measure: { ...query } }) => {
    const recorded = queries[name];
    if (query.kind !== 'Query' || recorded === undefined) return sum;
    if ('failure' in recorded) return observeQuery(sum, name, recorded);
    const samples = recorded.samples.map(sampleOf);
    return observeQuery(
      sum,
      name,
      measurementOf(samples, (all) => query.conditions.assess(all)),
    );
  }, state);
}

type Assess = (samples: readonly number[]) => Extract<Measurement, { outcome: string }>['outcome'];

function measurementOf(samples: readonly number[], assess: Assess): Measurement {
  try {
    return { outcome: assess(samples), samples };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}
