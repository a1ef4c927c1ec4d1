import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { arch, cpus, platform } from 'node:os';
import { join } from 'node:path';
import { command } from './command.ts';
import { withLock } from './lock.ts';
import { cacheRoot } from './paths.ts';
import { formatElapsed, type Progress } from './progress.ts';

/** Go programs of one module that tests and the cluster run: built once a machine and kept in the user's cache. */
export interface GoPrograms {
  /** For people: `Kubernetes 1.36.3`. */
  readonly title: string;
  readonly moduleDirectory: string;
  /** Files, relative to the module, that decide what is built. */
  readonly sources: readonly string[];
  /** What `go build` is to build: packages, or `tool` for the module's tools. */
  readonly packages: readonly string[];
  readonly ldflags: string;
  /** Build tags. */
  readonly tags?: readonly string[];
  /** Another go.mod (with its go.sum beside it) than the module's own, which is read-only. Counts as a source. */
  readonly modfile?: string;
  /** How long a first build takes on two cores, in words. */
  readonly firstBuild: string;
}

const PROGRESS_INTERVAL_MS = 15_000;

/** Where the programs are, whether built yet or not: the name changes with everything that decides what is built. */
async function programDirectory(programs: GoPrograms): Promise<string> {
  const hash = createHash('sha256').update(
    JSON.stringify([programs.packages, programs.ldflags, platform(), arch(), ...(programs.tags ?? [])]),
  );
  for (const source of programs.sources) hash.update(await readFile(join(programs.moduleDirectory, source)));
  if (programs.modfile !== undefined) hash.update(await readFile(programs.modfile));
  return join(cacheRoot, hash.digest('hex').slice(0, 16), 'bin');
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/**
 * The folder with the built programs; builds them first if this machine has not yet. Two callers at once build once, and
 * an interrupted build leaves nothing that is taken for a whole one.
 * @throws CommandFailed with the compiler's words.
 */
export async function ensureGoPrograms(programs: GoPrograms, progress: Progress): Promise<string> {
  const directory = await programDirectory(programs);
  if (await exists(directory)) return directory;
  const root = join(directory, '..');
  return withLock(
    `${root}.lock`,
    () => progress(`${programs.title}: another process builds it; waiting`),
    async () => {
      if (await exists(directory)) return directory;
      const partial = `${root}.partial`;
      await rm(partial, { recursive: true, force: true });
      await mkdir(partial, { recursive: true });
      await build(programs, join(partial, 'bin'), progress);
      await rename(partial, root);
      return directory;
    },
  );
}

async function build(programs: GoPrograms, output: string, progress: Progress): Promise<void> {
  const version = await command('go', ['version']).catch(() => undefined);
  if (version === undefined) {
    throw new Error(
      `${programs.title} is built from source and needs Go 1.21 or newer on the PATH (it fetches the release that go.mod names)`,
    );
  }
  progress(
    `${programs.title}: Go builds it once for this machine (${programs.firstBuild} on two cores when nothing is cached, here ${cpus().length} cores); it is kept in ${cacheRoot}`,
  );
  const startMs = performance.now();
  let downloaded = 0;
  let compiled = 0;
  let latest = '';
  const report = setInterval(() => {
    const elapsed = formatElapsed(performance.now() - startMs);
    progress(
      `${programs.title}: ${elapsed}, ${downloaded} modules downloaded, ${compiled} packages compiled, now ${latest}`,
    );
  }, PROGRESS_INTERVAL_MS);
  try {
    const { ldflags, modfile, packages, tags = [] } = programs;
    const flags = [
      '-v',
      '-trimpath',
      `-ldflags=${ldflags}`,
      `-tags=${tags}`,
      ...(modfile === undefined ? [] : [`-modfile=${modfile}`]),
    ];
    const args = ['build', ...flags, '-o', `${output}/`, ...packages];
    await command('go', args, {
      cwd: programs.moduleDirectory,
      onErrorLine: (line) => {
        if (line.startsWith('go: downloading ')) downloaded += 1;
        else compiled += 1;
        latest = line.replace('go: downloading ', '');
      },
    });
  } finally {
    clearInterval(report);
  }
  progress(`${programs.title}: built in ${formatElapsed(performance.now() - startMs)}`);
}
