import type { CountsSnapshot } from '../../api/counts.ts';
import type { RecordedReading, Told } from '../../rollout/analysis/record.ts';

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
}

/** One reading now and one after each interval, until the time is over or the signal says stop. What cannot be read is recorded as such. */
export async function* recordCounts(options: RecordOptions, signal: AbortSignal): AsyncGenerator<RecordedReading> {
  const { routers, servers, intervalMs, durationMs, now, delay, read } = options;
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
    const [ofRouters, ofServers] = await Promise.all([all(routers), all(servers)]);
    yield { atMs, routers: ofRouters, servers: ofServers };
  }
}
