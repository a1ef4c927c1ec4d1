/**
 * `npm test`: type check, lint, and the tests of each kind, all of them whatever fails, and a last line
 * `N passed, N failed`. `npm test -- --context NAME` runs the end-to-end tests on a cluster of the user's. Those wait for
 * the cluster much of the time: what only needs a processor goes on beside them, gives way to them, and is printed when it
 * is over.
 */
import { spawn } from 'node:child_process';
import { glob, mkdtemp, readFile, rm } from 'node:fs/promises';
import { constants, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { repositoryRoot } from './cluster/paths.ts';
import { formatElapsed } from './cluster/progress.ts';
import { addTargetOptions, canRunPods, NEEDS_ROOT, type TargetOptions } from './cluster/target.ts';

interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const PASSED: Count = { passed: 1, failed: 0, skipped: 0 };
const FAILED: Count = { passed: 0, failed: 1, skipped: 0 };

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
): Promise<boolean> {
  const child = spawn(program(name), args, {
    cwd: repositoryRoot,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  if (givesWay && child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
  child.stdout.on('data', print);
  child.stderr.on('data', print);
  return new Promise((resolve) => {
    child.on('error', (error) => {
      print(`${name} cannot be started: ${error.message}\n`);
      resolve(false);
    });
    child.on('close', (code) => resolve(code === 0));
  });
}

const check =
  (...commands: readonly (readonly [string, ...string[]])[]) =>
  async (lane: Lane): Promise<Count> => {
    let allPassed = true;
    for (const [name, ...args] of commands) allPassed = (await runs(lane, name, args)) && allPassed;
    return allPassed ? PASSED : FAILED;
  };

/** One vitest project, counted by vitest itself. */
async function tests(lane: Lane, project: string, environment: Readonly<Record<string, string>> = {}): Promise<Count> {
  const directory = await mkdtemp(join(tmpdir(), 'fairlead-tests-'));
  const report = join(directory, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const succeeded = await runs(lane, 'vitest', ['run', '--project', project, ...reporters], environment);
    const count = await readCount(report);
    // Not one test failed, and yet vitest did: the global setup, a file that cannot be loaded, an unhandled error.
    return succeeded || count.failed > 0 ? count : { ...count, failed: 1 };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function readCount(report: string): Promise<Count> {
  const text = await readFile(report, 'utf8').catch(() => undefined);
  if (text === undefined) return { passed: 0, failed: 0, skipped: 0 };
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(text) as Record<string, number>;
  const skipped = (numPendingTests ?? 0) + (numTodoTests ?? 0);
  return { passed: numPassedTests ?? 0, failed: numFailedTests ?? 0, skipped };
}

async function endToEnd(lane: Lane, target: TargetOptions): Promise<Count> {
  const { context, kind, image } = target;
  if (!canRunPods(target)) {
    let skipped = 0;
    for await (const file of glob('e2e/**/*.e2e.test.ts', { cwd: repositoryRoot })) {
      lane.print(`skipped ${file}: ${NEEDS_ROOT}\n`);
      skipped += 1;
    }
    return { passed: 0, failed: 0, skipped };
  }
  return tests(lane, 'e2e', {
    ...(context === undefined ? {} : { FAIRLEAD_TEST_CONTEXT: context }),
    ...(kind === true ? { FAIRLEAD_TEST_KIND: 'true' } : {}),
    ...(image === undefined ? {} : { FAIRLEAD_TEST_IMAGE: image }),
  });
}

const options = addTargetOptions(new Command('test')).parse().opts<TargetOptions>();
type Stage = readonly [title: string, run: (lane: Lane) => Promise<Count>];
const beside: readonly Stage[] = [
  ['typecheck', check(['tsc'])],
  ['lint', check(['biome', 'check', '.'], ['depcruise', 'src', '--config', '.dependency-cruiser.cjs'])],
  ['unit tests', (lane) => tests(lane, 'unit')],
];
const e2e: Stage = ['end-to-end tests', (lane) => endToEnd(lane, options)];
const apiServer: Stage = ['tests against a real API server', (lane) => tests(lane, 'apiserver')];

const total = { passed: 0, failed: 0, skipped: 0 };

async function runStage([title, run]: Stage, lane: Lane): Promise<void> {
  lane.print(`\n=== ${title}\n`);
  const startMs = performance.now();
  const count = await run(lane);
  total.passed += count.passed;
  total.failed += count.failed;
  total.skipped += count.skipped;
  const outcome = count.failed === 0 ? 'ok' : `${count.failed} failed`;
  lane.print(`=== ${title}: ${outcome} (${formatElapsed(performance.now() - startMs)})\n`);
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
if (total.skipped > 0) console.log(`\n${total.skipped} skipped, for the reasons given above`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
