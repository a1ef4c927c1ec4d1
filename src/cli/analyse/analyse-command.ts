import { Command, Option } from 'commander';
import type { Traffic } from '../../rollout/analysis/policy.ts';
import type { RecordedReading } from '../../rollout/analysis/record.ts';
import type { VerdictWord } from '../../rollout/analysis/verdict.ts';
import { whenReaderStops } from '../closed-output.ts';
import { type PolicyFlags, policyInFile } from './policy-file.ts';
import { readingsIn } from './readings.ts';
import { replay } from './replay.ts';
import { row } from './row.ts';
import { Told } from './told.ts';

/** 1 is commander's and Node's, for what could not be run at all. */
const EXIT_CODES: Readonly<Record<VerdictWord, number>> = {
  Healthy: 0,
  Unhealthy: 2,
  InsufficientData: 3,
  Inconclusive: 4,
  Error: 5,
};

interface AnalyseFlags extends PolicyFlags {
  readonly record: string;
  readonly name: string;
  readonly canary: string;
  readonly stable: string;
  readonly traffic: Traffic;
  readonly analyse?: readonly string[];
}

export const command = new Command('analyse')
  .description(
    'Say what an analysis would have said of recorded counts, reading by reading; the exit code is the verdict',
  )
  .requiredOption('--record <file>', 'lines of JSON, as `fairlead record` writes them')
  .addOption(new Option('--policy <file>', 'YAML of spec.rollout.analysis').conflicts('deployment'))
  .option('--deployment <file>', 'YAML of a ModelDeployment, whose analysis and number of steps count')
  .requiredOption('--name <name>', 'name of the ModelDeployment in the record')
  .requiredOption('--canary <revision>', 'the revision that is judged')
  .requiredOption('--stable <revision>', 'the revision that it is compared with')
  .addOption(
    new Option('--traffic <kind>', 'what the canary answers: a share, copies, or all of the requests')
      .choices(['Split', 'Mirror', 'Whole'])
      .default('Split'),
  )
  .option('--analyse <metrics...>', 'only these metrics; otherwise all that such traffic can measure')
  .addHelpText(
    'after',
    '\nExit codes: 0 Healthy, 2 Unhealthy, 3 InsufficientData, 4 Inconclusive, 5 Error, 1 anything else',
  )
  .action(analyse);

async function* noting(told: Told, readings: AsyncIterable<RecordedReading>): AsyncGenerator<RecordedReading> {
  for await (const reading of readings) {
    told.add(reading);
    yield reading;
  }
}

async function analyse(flags: AnalyseFlags, self: Command): Promise<void> {
  whenReaderStops(process.stdout, () => process.exit(1));
  const told = new Told();
  try {
    const policy = await policyInFile(flags, flags.traffic, flags.analyse);
    if (policy === undefined) throw new Error('one of --policy and --deployment must be given');
    let last: VerdictWord = 'InsufficientData';
    process.stdout.write(row('TIME', 'REQUESTS', 'VERDICT', 'MESSAGE'));
    for await (const { atMs, verdict } of replay(noting(told, readingsIn(flags.record)), policy, flags)) {
      process.stdout.write(
        row(new Date(atMs).toISOString(), String(verdict.requests), verdict.verdict, verdict.message),
      );
      last = verdict.verdict;
      // A rollout would have been taken back here: what came after is that of another one.
      if (last === 'Unhealthy') break;
    }
    const missing = last === 'InsufficientData' ? told.missing(flags) : undefined;
    if (missing !== undefined) process.stderr.write(`note: ${missing}\n`);
    process.exitCode = EXIT_CODES[last];
  } catch (error) {
    self.error(`error: ${error instanceof Error ? error.message : String(error)}`, { exitCode: 1 });
  }
}
