import { tmpdir } from 'node:os';
import { command } from '../cluster/command.ts';

/** A release of a Go module, with the checksum of its content as a go.sum would have it. */
export interface GoModule {
  readonly path: string;
  readonly version: string;
  readonly sum: string;
}

/**
 * The folder with the module's files, read-only; fetched when this machine does not have it yet.
 * @throws Error when the content is not what it was when the checksum was written down.
 */
export async function goModuleDirectory({ path, version, sum }: GoModule): Promise<string> {
  // Outside of any module: nothing but this release is looked at.
  const answer = await command('go', ['mod', 'download', '-json', `${path}@${version}`], { cwd: tmpdir() });
  const { Dir: directory, Sum: actual } = JSON.parse(answer) as { readonly Dir: string; readonly Sum: string };
  if (actual !== sum) throw new Error(`${path}@${version} has the checksum ${actual}, not ${sum}`);
  return directory;
}
