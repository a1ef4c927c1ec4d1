import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { repositoryRoot } from './cluster/paths.ts';

export interface Bundle {
  /** What Node runs, with everything that the image holds beside it. */
  readonly program: string;
  remove(): Promise<void>;
}

/** The program as its image has it. */
export async function bundle(): Promise<Bundle> {
  const directory = await mkdtemp(join(tmpdir(), 'fairlead-bundle-'));
  await promisify(execFile)(process.execPath, ['scripts/build.ts', '--out', directory], { cwd: repositoryRoot });
  return { program: join(directory, 'main.js'), remove: () => rm(directory, { recursive: true, force: true }) };
}
