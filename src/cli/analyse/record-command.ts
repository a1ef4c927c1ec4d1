import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { durationMs } from '../../api/v1alpha1/duration.ts';
import {
  askQueries,
  hasQueries,
  type QueryNames,
  type QueryRunner,
} from '../../controllers/modeldeployment/analysis/queries.ts';
import { httpCounts, parseCounts } from '../../controllers/modeldeployment/counts/reader.ts';
import { prometheusClient } from '../../integrations/prometheus.ts';
import { whenReaderStops } from '../closed-output.ts';
import { type PolicyFlags, policyInFile } from './policy-file.ts';
import { type RecordOptions, recordCounts } from './record-counts.ts';

interface RecordFlags extends PolicyFlags, Partial<QueryNames> {
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
  .description('Write what routers and servers count and what queries give, a line a reading, to standard output')
  .option('--router <urls...>', 'where routers tell their counts: http://HOST:9090/counts', [])
  .option('--server <urls...>', 'where servers tell theirs; they know what is predicted', [])
  .option('--interval <duration>', 'time between readings', toMs, 10_000)
  .option('--for <duration>', 'how long to record', toMs, 600_000)
  .addOption(
    new Option('--policy <file>', 'YAML of spec.rollout.analysis, whose queries are asked').conflicts('deployment'),
  )
  .option('--deployment <file>', 'YAML of a ModelDeployment, whose queries are asked')
  .option('--name <name>', 'what stands for $(name) in queries')
  .option('--namespace <namespace>', 'what stands for $(namespace)')
  .option('--canary <revision>', 'what stands for $(canary)')
  .option('--stable <revision>', 'what stands for $(stable)')
  .action(writeRecord);

async function writeRecord(flags: RecordFlags, self: Command): Promise<void> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  whenReaderStops(process.stdout, () => stop.abort());
  const [http, prometheus] = [httpCounts(), prometheusClient()];
  try {
    const ask = await questionsOf(flags, prometheus.query);
    if (flags.router.length + flags.server.length === 0 && ask === undefined) {
      throw new Error('one of --router and --server, or a policy with queries, must be given');
    }
    const options = {
      routers: flags.router,
      servers: flags.server,
      intervalMs: flags.interval,
      durationMs: flags.for,
      now: Date.now,
      delay: async (ms: number, signal: AbortSignal) => await sleep(ms, undefined, { signal }),
      read: async (url: string, signal: AbortSignal) => parseCounts(await http.fetch(url, signal)),
      ...(ask && { ask }),
    };
    for await (const reading of recordCounts(options, stop.signal)) {
      process.stdout.write(`${JSON.stringify(reading)}\n`);
    }
  } catch (error) {
    self.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await Promise.all([http.close(), prometheus.close()]);
  }
}

/** @throws Error where queries have names in them that are not given */
async function questionsOf(flags: RecordFlags, run: QueryRunner): Promise<RecordOptions['ask']> {
  const policy = await policyInFile(flags, 'Split');
  if (policy === undefined || !hasQueries(policy)) return undefined;
  const { name, canary, stable, namespace } = flags;
  if (name === undefined || canary === undefined || stable === undefined) {
    throw new Error('--name, --canary and --stable must be given: they stand in queries');
  }
  return (signal) => askQueries(policy, { name, canary, stable, namespace }, run, signal);
}
