import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * A Python with the pinned packages of a `requirements.txt`, made once under the user's cache folder.
 * @returns the interpreter's path.
 * @throws when Python 3 with venv is missing or pip fails, with what it printed.
 */
export function pythonWith(requirementsPath: string): string {
  const digest = createHash('sha256').update(readFileSync(requirementsPath)).digest('hex').slice(0, 12);
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const venv = join(cache, 'fairlead', `venv-${digest}`);
  const ready = join(venv, 'fairlead-ready');
  const python = join(venv, 'bin', 'python');
  if (existsSync(ready)) return python;
  console.error(`Installing the packages of ${requirementsPath} into ${venv} (once, about a minute)`);
  mkdirSync(dirname(venv), { recursive: true });
  rmSync(venv, { recursive: true, force: true });
  // A venv holds its own path, so it is built in place; the marker says that it was finished.
  check('python3', ['-m', 'venv', venv]);
  check(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirementsPath]);
  const freeze = check(python, ['-m', 'pip', 'freeze']);
  mkdirSync(`${ready}.new`);
  renameSync(`${ready}.new`, ready);
  console.error(`Installed ${freeze.trim().split('\n').length} packages`);
  return python;
}

function check(program: string, args: readonly string[]): string {
  const ended = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 64 << 20 });
  if (ended.error) throw new Error(`${program} did not start: ${ended.error.message}`, { cause: ended.error });
  if (ended.status !== 0) throw new Error(`${program} ${args.join(' ')} failed (${ended.status}): ${ended.stderr}`);
  return ended.stdout;
}
