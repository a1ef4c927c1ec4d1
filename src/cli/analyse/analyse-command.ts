import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Command, Option } from 'commander';
import type { Traffic } from '../../rollout/analysis/policy.ts';
import { parseReading, type RecordedReading } from '../../rollout/analysis/record.ts';
import type { VerdictWord } from '../../rollout/analysis/verdict.ts';
import { type PolicyFlags, policyInFile } from './policy-file.ts';
import { replay } from './replay.ts';

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

async function* readingsOf(file: string): AsyncGenerator<RecordedReading> {
  let lineNumber = 0;
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    lineNumber += 1;
    if (line.trim() !== '') yield parseReading(line, lineNumber);
  }
}

const COLUMNS = { time: 24, requests: 10, verdict: 18 } as const;

const row = (time: string, requests: string, verdict: string, message: string) =>
  `${time.padEnd(COLUMNS.time)}  ${requests.padStart(COLUMNS.requests)}  ${verdict.padEnd(COLUMNS.verdict)}${message}\n`;

async function analyse(flags: AnalyseFlags, self: Command): Promise<void> {
  try {
    const policy = await policyInFile(flags, flags.traffic, flags.analyse);
    if (policy === undefined) throw new Error('one of --policy and --deployment must be given');
    let last: VerdictWord = 'InsufficientData';
    process.stdout.write(row('TIME', 'REQUESTS', 'VERDICT', 'MESSAGE'));
    for await (const { atMs, verdict } of replay(readingsOf(flags.record), policy, flags)) {
      process.stdout.write(
        row(new Date(atMs).toISOString(), String(verdict.requests), verdict.verdict, verdict.message),
      );
      last = verdict.verdict;
      // A rollout would have been taken back here: what came after is that of another one.
      if (last === 'Unhealthy') break;
    }
    process.exitCode = EXIT_CODES[last];
  } catch (error) {
    self.error(`error: ${error instanceof Error ? error.message : String(error)}`, { exitCode: 1 });
  }
}
