import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

/** How the program starts, and what it says where it was not meant so. */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

interface Ended {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

const run = (program: string, args: readonly string[], path = process.env.PATH) =>
  new Promise<Ended>((resolve) => {
    execFile(program, args, { env: { ...process.env, PATH: path } }, (error, output, errors) =>
      resolve({ code: error === null ? 0 : Number(error.code), output, errors }),
    );
  });

const fairlead = (...args: readonly string[]) => run(process.execPath, [join(ROOT, 'src/main.ts'), ...args]);

test('each name that it is installed by starts it, also where the Node of the machine is too old', async () => {
  const { bin } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { bin: Record<string, string> };
  const directory = await mkdtemp(join(tmpdir(), 'fairlead-bin-'));
  onTestFinished(async () => await rm(directory, { recursive: true }));
  await writeFile(join(directory, 'node'), '#!/bin/sh\nexit 9\n');
  await chmod(join(directory, 'node'), 0o755);
  expect(Object.keys(bin)).toEqual(['fairlead', 'kubectl-fairlead']);
  for (const [name, file] of Object.entries(bin)) {
    await symlink(join(ROOT, file), join(directory, name));
    const path = `${directory}:${process.env.PATH}`;
    const { code, output } = await run(join(directory, name), ['get', '--help'], path);
    expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining('Usage: fairlead get') });
    expect(await run(join(directory, name), ['get', 'rollout'], path)).toMatchObject({ code: 1 });
  }
});

test.each([
  [['promot', 'churn'], "error: unknown command 'promot'\n(Did you mean promote?)"],
  [['constructor'], "error: unknown command 'constructor'"],
  [['-n', 'shop', 'get', 'rollout', 'churn'], 'flags go behind the verb'],
])('%j is no command, and what was meant is said', async (args, problem) => {
  const { code, errors } = await fairlead(...args);
  expect(errors).toContain(problem);
  expect(code).toBe(1);
});

test('without a command it shows all of them', async () => {
  const { errors } = await fairlead();
  expect(errors).toMatch(/^Usage: fairlead .*promote.*analyse/s);
});
