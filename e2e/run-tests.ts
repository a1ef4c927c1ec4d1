/**
 * `npm test`: type check, lint, and the tests of each kind, all of them whatever fails, and a last line
 * `N passed, N failed`. `npm test -- --context NAME` runs the end-to-end tests on a cluster of the user's. Those wait for
 * the cluster much of the time: what only needs a processor goes on beside them, gives way to them, and is printed when it
 * is over.
 */
import { spawn } from 'node:child_process';
import { glob, mkdtemp, readFile, rm } from 'node:fs/promises';
import { constants, setPriority, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Command } from 'commander';
import { repositoryRoot } from './cluster/paths.ts';
import { formatElapsed } from './cluster/progress.ts';
import { addTargetOptions, canRunPods, NEEDS_ROOT, type TargetOptions } from './cluster/target.ts';

interface Outcome {
  readonly passed: number;
  readonly skipped: number;
  /** One for each that failed: what it is, and what it said. */
  readonly failures: readonly string[];
}

interface Ended {
  readonly succeeded: boolean;
  readonly lastOutput: string;
}

/** Who reads a log of thousands of lines from its end is to find there what failed, and why. */
const LAST_OUTPUT_CHARACTERS = 2_000;
const FAILURE_CHARACTERS = 1_000;

const program = (name: string): string => join(repositoryRoot, 'node_modules', '.bin', name);

/** Where the output of programs goes, and whether they give way to all others. */
interface Lane {
  print(output: Buffer | string): void;
  readonly givesWay: boolean;
}

const main: Lane = { print: (output) => void process.stdout.write(output), givesWay: false };

function runs(
  { print, givesWay }: Lane,
  name: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const child = spawn(program(name), args, {
    cwd: repositoryRoot,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  if (givesWay && child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
  let lastOutput = '';
  const onOutput = (output: Buffer | string): void => {
    print(output);
    lastOutput = (lastOutput + output).slice(-LAST_OUTPUT_CHARACTERS);
  };
  child.stdout.on('data', onOutput);
  child.stderr.on('data', onOutput);
  return new Promise((resolve) => {
    child.on('error', (error) => {
      onOutput(`${name} cannot be started: ${error.message}\n`);
      resolve({ succeeded: false, lastOutput });
    });
    child.on('close', (code) => resolve({ succeeded: code === 0, lastOutput }));
  });
}

const check =
  (...commands: readonly (readonly [string, ...string[]])[]) =>
  async (lane: Lane): Promise<Outcome> => {
    const failures: string[] = [];
    for (const [name, ...args] of commands) {
      const { succeeded, lastOutput } = await runs(lane, name, args);
      if (!succeeded) failures.push(`${name}\n${lastOutput}`);
    }
    return { passed: commands.length - failures.length, skipped: 0, failures };
  };

/** One vitest project, counted by vitest itself. */
async function tests(
  lane: Lane,
  project: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const directory = await mkdtemp(join(tmpdir(), 'fairlead-tests-'));
  const report = join(directory, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const args = ['run', '--project', project, ...reporters];
    const { succeeded, lastOutput } = await runs(lane, 'vitest', args, environment);
    const outcome = await readReport(report);
    // Not one test failed, and yet vitest did: the global setup, a file that cannot be loaded, an unhandled error.
    if (succeeded || outcome.failures.length > 0) return outcome;
    return { ...outcome, failures: [`vitest, outside of any test of ${project}\n${lastOutput}`] };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What is read of vitest's report. */
interface Report {
  readonly numPassedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

async function readReport(file: string): Promise<Outcome> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return { passed: 0, skipped: 0, failures: [] };
  const { numPassedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(text) as Report;
  const failures = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages = [] }) => {
        const why = failureMessages.join('\n').slice(0, FAILURE_CHARACTERS);
        return `${relative(repositoryRoot, name)}: ${fullName}\n${why}`;
      }),
  );
  return { passed: numPassedTests, skipped: numPendingTests + numTodoTests, failures };
}

async function endToEnd(lane: Lane, target: TargetOptions): Promise<Outcome> {
  const { context, kind, image } = target;
  if (!canRunPods(target)) {
    let skipped = 0;
    for await (const file of glob('e2e/**/*.e2e.test.ts', { cwd: repositoryRoot })) {
      lane.print(`skipped ${file}: ${NEEDS_ROOT}\n`);
      skipped += 1;
    }
    return { passed: 0, skipped, failures: [] };
  }
  return tests(lane, 'e2e', {
    ...(context === undefined ? {} : { FAIRLEAD_TEST_CONTEXT: context }),
    ...(kind === true ? { FAIRLEAD_TEST_KIND: 'true' } : {}),
    ...(image === undefined ? {} : { FAIRLEAD_TEST_IMAGE: image }),
  });
}

const options = addTargetOptions(new Command('test')).parse().opts<TargetOptions>();
type Stage = readonly [title: string, run: (lane: Lane) => Promise<Outcome>];
const beside: readonly Stage[] = [
  ['typecheck', check(['tsc'])],
  ['lint', check(['biome', 'check', '.'], ['depcruise', 'src', '--config', '.dependency-cruiser.cjs'])],
  ['unit tests', (lane) => tests(lane, 'unit')],
];
const e2e: Stage = ['end-to-end tests', (lane) => endToEnd(lane, options)];
const apiServer: Stage = ['tests against a real API server', (lane) => tests(lane, 'apiserver')];

const outcomes: Outcome[] = [];

async function runStage([title, run]: Stage, lane: Lane): Promise<void> {
  lane.print(`\n=== ${title}\n`);
  const startMs = performance.now();
  const outcome = await run(lane);
  outcomes.push(outcome);
  const failed = outcome.failures.length;
  const verdict = failed === 0 ? 'ok' : `${failed} failed`;
  lane.print(`=== ${title}: ${verdict} (${formatElapsed(performance.now() - startMs)})\n`);
}

async function runBeside(): Promise<void> {
  for (const stage of beside) {
    const output: (Buffer | string)[] = [];
    await runStage(stage, { print: (part) => output.push(part), givesWay: true });
    for (const part of output) main.print(part);
  }
}

await Promise.all([runStage(e2e, main), runBeside()]);
await runStage(apiServer, main);
const failures = outcomes.flatMap((outcome) => outcome.failures);
for (const failure of failures) console.log(`\n=== failed: ${failure.trimEnd()}`);
let passed = 0;
let skipped = 0;
for (const outcome of outcomes) {
  passed += outcome.passed;
  skipped += outcome.skipped;
}
if (skipped > 0) console.log(`\n${skipped} skipped, for the reasons given above`);
console.log(`\n${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;
