import { type Answer, observeAnswers } from '../../controllers/modeldeployment/analysis/queries.ts';
import { Counting } from '../../controllers/modeldeployment/counts/counting.ts';
import type { CountsReading } from '../../controllers/modeldeployment/counts/reader.ts';
import { judge } from '../../rollout/analysis/judge.ts';
import type { AnalysisPolicy } from '../../rollout/analysis/policy.ts';
import { type RecordedReading, sampleOf, type Told } from '../../rollout/analysis/record.ts';
import { type AnalysisState, beginAnalysis, observe } from '../../rollout/analysis/state.ts';
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
 * What an analysis would have said after each reading of a record: by the counting, the state and the rules that the operator
 * judges with. The first reading is what the second is compared with, and says whether there are routers.
 */
export async function* replay(
  readings: AsyncIterable<RecordedReading>,
  policy: AnalysisPolicy,
  subject: Subject,
): AsyncGenerator<Judged> {
  let counting: Counting | undefined;
  let state: AnalysisState | undefined;
  for await (const reading of readings) {
    const { atMs } = reading;
    const [routers, servers] = [reading.routers.map(readingOf), reading.servers.map(readingOf)];
    counting ??= new Counting(subject.name, routers.length > 0 ? 'Routers' : 'Servers');
    const interval = counting.take({ atMs, routers, servers }, subject);
    const before: AnalysisState = state ?? beginAnalysis(policy.traffic);
    const counted: AnalysisState = interval === undefined ? before : observe(before, interval);
    state = state === undefined ? counted : observeAnswers(counted, policy, answersOf(reading));
    yield { atMs, verdict: judge(state, policy) };
  }
}

function readingOf(told: Told): CountsReading {
  const source = { uid: told.source, name: told.source, address: told.source };
  return 'counts' in told ? { source, snapshot: told.counts } : { source, failure: told.failure };
}

function answersOf({ queries = {} }: RecordedReading): ReadonlyMap<string, Answer> {
  const answers = Object.entries(queries).map(([name, recorded]): [string, Answer] => [
    name,
    'failure' in recorded ? recorded : { samples: recorded.samples.map(sampleOf) },
  ]);
  return new Map(answers);
}
