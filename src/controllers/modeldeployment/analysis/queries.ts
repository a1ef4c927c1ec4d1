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

/** Measures every query of the policy once; what cannot be had is remembered as such. */
export async function measureQueries(
  state: AnalysisState,
  { metrics }: AnalysisPolicy,
  names: QueryNames,
  run: QueryRunner,
  signal: AbortSignal,
): Promise<AnalysisState> {
  const measured = await Promise.all(
    metrics.flatMap(({ name, measure }) => {
      if (measure.kind !== 'Query') return [];
      const { address, query, timeoutMs, conditions } = measure;
      const asked = run({ address, query: substituted(query, names), timeoutMs }, signal);
      const measurement = asked.then(
        (samples): Measurement => {
          try {
            return { outcome: conditions.assess(samples), samples };
          } catch (error) {
            return { failure: describeError(error) };
          }
        },
        (error: unknown): Measurement => ({ failure: describeError(error) }),
      );
      return [measurement.then((each) => [name, each] as const)];
    }),
  );
  return measured.reduce((sum, [name, each]) => observeQuery(sum, name, each), state);
}

/** Names of objects hold nothing that PromQL would take for more than a text. */
export function substituted(query: string, names: QueryNames): string {
  return query.replaceAll(/\$\((canary|stable|name|namespace)\)/g, (_all, name: keyof QueryNames) => names[name] ?? '');
}
