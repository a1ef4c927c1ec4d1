/**
 * `npm test`: type check, lint, and the tests of each kind, all of them whatever fails, and a last line
 * `N passed, N failed`. `npm test -- --context NAME` runs the end-to-end tests on a cluster of the user's.
 */
import { spawn } from 'node:child_process';
import { glob, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
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

/** Runs a program with its output going straight to the terminal. */
function runs(
  name: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<boolean> {
  const child = spawn(program(name), args, {
    cwd: repositoryRoot,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...environment },
  });
  return new Promise((resolve) => {
    child.on('error', (error) => {
      console.error(`${name} cannot be started: ${error.message}`);
      resolve(false);
    });
    child.on('close', (code) => resolve(code === 0));
  });
}

const check = async (...commands: readonly (readonly [string, ...string[]])[]): Promise<Count> => {
  let allPassed = true;
  for (const [name, ...args] of commands) allPassed = (await runs(name, args)) && allPassed;
  return allPassed ? PASSED : FAILED;
};

/** One vitest project, counted by vitest itself. */
async function tests(project: string, environment: Readonly<Record<string, string>> = {}): Promise<Count> {
  const directory = await mkdtemp(join(tmpdir(), 'fairlead-tests-'));
  const report = join(directory, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const succeeded = await runs('vitest', ['run', '--project', project, ...reporters], environment);
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

async function endToEnd(target: TargetOptions): Promise<Count> {
  const { context, kind, image } = target;
  if (!canRunPods(target)) {
    let skipped = 0;
    for await (const file of glob('e2e/**/*.e2e.test.ts', { cwd: repositoryRoot })) {
      console.log(`skipped ${file}: ${NEEDS_ROOT}`);
      skipped += 1;
    }
    return { passed: 0, failed: 0, skipped };
  }
  return tests('e2e', {
    ...(context === undefined ? {} : { FAIRLEAD_TEST_CONTEXT: context }),
    ...(kind === true ? { FAIRLEAD_TEST_KIND: 'true' } : {}),
    ...(image === undefined ? {} : { FAIRLEAD_TEST_IMAGE: image }),
  });
}

const options = addTargetOptions(new Command('test')).parse().opts<TargetOptions>();
const stages: readonly (readonly [string, () => Promise<Count>])[] = [
  ['typecheck', () => check(['tsc'])],
  ['lint', () => check(['biome', 'check', '.'], ['depcruise', 'src', '--config', '.dependency-cruiser.cjs'])],
  ['unit tests', () => tests('unit')],
  ['tests against a real API server', () => tests('apiserver')],
  ['end-to-end tests', () => endToEnd(options)],
];

const total = { passed: 0, failed: 0, skipped: 0 };
for (const [title, run] of stages) {
  console.log(`\n=== ${title}`);
  const startMs = performance.now();
  const count = await run();
  total.passed += count.passed;
  total.failed += count.failed;
  total.skipped += count.skipped;
  console.log(
    `=== ${title}: ${count.failed === 0 ? 'ok' : `${count.failed} failed`} (${formatElapsed(performance.now() - startMs)})`,
  );
}
if (total.skipped > 0) console.log(`\n${total.skipped} skipped, for the reasons given above`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
