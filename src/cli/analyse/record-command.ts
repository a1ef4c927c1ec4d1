import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { durationMs } from '../../api/v1alpha1/duration.ts';
import { httpCounts, parseCounts } from '../../controllers/modeldeployment/counts/reader.ts';
import { recordCounts } from './record-counts.ts';

interface RecordFlags {
  readonly router: readonly string[];
  readonly server: readonly string[];
  readonly interval: number;
  readonly for: number;
}

const toMs = (text: string): number => {
  try {
    return durationMs(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
};

export const command = new Command('record')
  .description('Write what routers and servers count, a line a reading, to standard output')
  .option('--router <urls...>', 'where routers tell their counts: http://HOST:9090/counts', [])
  .option('--server <urls...>', 'where servers tell theirs; they know what is predicted', [])
  .option('--interval <duration>', 'time between readings', toMs, 10_000)
  .option('--for <duration>', 'how long to record', toMs, 600_000)
  .action(writeRecord);

async function writeRecord({ router, server, interval, for: durationMs }: RecordFlags, self: Command): Promise<void> {
  if (router.length + server.length === 0) self.error('error: one of --router and --server must be given');
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const http = httpCounts();
  const options = {
    routers: router,
    servers: server,
    intervalMs: interval,
    durationMs,
    now: Date.now,
    delay: async (ms: number, signal: AbortSignal) => await sleep(ms, undefined, { signal }),
    read: async (url: string, signal: AbortSignal) => parseCounts(await http.fetch(url, signal)),
  };
  for await (const reading of recordCounts(options, stop.signal)) process.stdout.write(`${JSON.stringify(reading)}\n`);
  await http.close();
}
