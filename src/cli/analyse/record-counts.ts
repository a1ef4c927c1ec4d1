import type { CountsSnapshot } from '../../api/counts.ts';
import type { Answers } from '../../controllers/modeldeployment/analysis/queries.ts';
import { type RecordedReading, recordedSample, type Told } from '../../rollout/analysis/record.ts';

export interface RecordOptions {
  /** URLs of `/counts`. */
  readonly routers: readonly string[];
  readonly servers: readonly string[];
  readonly intervalMs: number;
  readonly durationMs: number;
  readonly now: () => number;
  /** Resolves after a time, or rejects when the signal says stop. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly read: (url: string, signal: AbortSignal) => Promise<CountsSnapshot>;
  /** Asks the queries of a policy; absent where it has none. */
  readonly ask?: (signal: AbortSignal) => Promise<Answers>;
}

/** One reading now and one after each interval, until the time is over or the signal says stop. What cannot be read is recorded as such. */
export async function* recordCounts(options: RecordOptions, signal: AbortSignal): AsyncGenerator<RecordedReading> {
  const { routers, servers, intervalMs, durationMs, now, delay, read, ask } = options;
  const tell = async (source: string): Promise<Told> => {
    try {
      return { source, counts: await read(source, signal) };
    } catch (error) {
      return { source, failure: error instanceof Error ? error.message : String(error) };
    }
  };
  const all = async (sources: readonly string[]) => await Promise.all(sources.map(tell));
  const beganMs = now();
  for (let reading = 0; reading * intervalMs <= durationMs; reading += 1) {
    await delay(Math.max(0, beganMs + reading * intervalMs - now()), signal).catch(() => undefined);
    if (signal.aborted) return;
    const atMs = now();
    const [ofRouters, ofServers, answers] = await Promise.all([all(routers), all(servers), ask?.(signal)]);
    yield { atMs, routers: ofRouters, servers: ofServers, ...(answers && { queries: recorded(answers) }) };
  }
}

function recorded(answers: Answers): NonNullable<RecordedReading['queries']> {
  const queries = [...answers].map(([name, answer]) => [
    name,
    'failure' in answer ? answer : { samples: answer.samples.map(recordedSample) },
  ]);
  return Object.fromEntries(queries);
}
