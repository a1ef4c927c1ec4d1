import type { Conditions } from '../../../rollout/analysis/conditions.ts';
import type { AnalysisPolicy } from '../../../rollout/analysis/policy.ts';
import { type AnalysisState, type Measurement, observeQuery } from '../../../rollout/analysis/state.ts';
import { describeError } from '../../../runtime/outcome.ts';

export interface Query {
  /** URL of the server that is asked. */
  readonly address: string;
  readonly query: string;
  readonly timeoutMs: number;
}

/** Asks a query. Rejects where there is no answer that can be used. */
export type QueryRunner = (query: Query, signal: AbortSignal) => Promise<readonly number[]>;

/** What stands for `$(...)` in a query. */
export interface QueryNames {
  readonly canary: string;
  readonly stable: string;
  readonly name: string;
  readonly namespace?: string | undefined;
}

/** What a query gave, or why it gave nothing: a sentence for people. */
export type Answer = { readonly samples: readonly number[] } | { readonly failure: string };

/** By the name of the metric. */
export type Answers = ReadonlyMap<string, Answer>;

export const hasQueries = ({ metrics }: AnalysisPolicy): boolean =>
  metrics.some(({ measure }) => measure.kind === 'Query');

/** Asks every query of the policy once. Nothing is thrown. */
export async function askQueries(
  { metrics }: AnalysisPolicy,
  names: QueryNames,
  run: QueryRunner,
  signal: AbortSignal,
): Promise<Answers> {
  const asked = metrics.flatMap(({ name, measure }) => {
    if (measure.kind !== 'Query') return [];
    const { address, query, timeoutMs } = measure;
    const answer = run({ address, query: substituted(query, names), timeoutMs }, signal).then(
      (samples): Answer => ({ samples }),
      (error: unknown): Answer => ({ failure: describeError(error) }),
    );
    return [answer.then((each) => [name, each] as const)];
  });
  return new Map(await Promise.all(asked));
}

/** The state after what queries gave, by the conditions of the policy. One that was not asked changes nothing. */
export function observeAnswers(state: AnalysisState, { metrics }: AnalysisPolicy, answers: Answers): AnalysisState {
  return metrics.reduce((sum, { name, measure }) => {
    const answer = answers.get(name);
    if (measure.kind !== 'Query' || answer === undefined) return sum;
    return observeQuery(sum, name, measured(answer, measure.conditions));
  }, state);
}

function measured(answer: Answer, conditions: Conditions): Measurement {
  if ('failure' in answer) return answer;
  try {
    return { outcome: conditions.assess(answer.samples), samples: answer.samples };
  } catch (error) {
    return { failure: describeError(error) };
  }
}

/** Names of objects hold nothing that PromQL would take for more than a text. */
export function substituted(query: string, names: QueryNames): string {
  return query.replaceAll(/\$\((canary|stable|name|namespace)\)/g, (_all, name: keyof QueryNames) => names[name] ?? '');
}
