import { access, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { command } from '../cluster/command.ts';
import { withLock } from '../cluster/lock.ts';
import { cacheRoot } from '../cluster/paths.ts';
import { reportToTerminal } from '../cluster/progress.ts';
import { waitFor } from '../cluster/wait.ts';
import { type RunningService, type ServiceOptions, startService } from './service.ts';

export interface PrometheusOptions extends ServiceOptions {
  /** What it scrapes once a second: `HOST:PORT` with `/metrics`. */
  readonly targets?: readonly string[];
  /** The server's own limit for a query, as Prometheus writes it; 2m. */
  readonly queryTimeout?: string;
}

const READY_TIMEOUT_MS = 120_000;

/** A real Prometheus server that knows nothing but what it scrapes. */
export async function startPrometheusServer({
  targets = [],
  queryTimeout = '2m',
  ...options
}: PrometheusOptions = {}): Promise<RunningService> {
  const program = await prometheusProgram();
  const service = await startService('prometheus', program, options, async (directory, address) => {
    const configuration = join(directory, 'prometheus.json');
    // Prometheus reads YAML, and so JSON.
    await writeFile(
      configuration,
      JSON.stringify({
        global: { scrape_interval: '1s', scrape_timeout: '1s' },
        scrape_configs: [{ job_name: 'targets', static_configs: [{ targets }] }],
      }),
    );
    return [
      `--config.file=${configuration}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=${address}`,
      `--query.timeout=${queryTimeout}`,
    ];
  });
  // It answers before it can be asked.
  const isReady = async () => {
    const { ok, status } = await fetch(`${service.url}/-/ready`);
    return ok ? (true as const) : `answers ${status}`;
  };
  try {
    await waitFor('prometheus', isReady, { timeoutMs: READY_TIMEOUT_MS, intervalMs: 20 });
  } catch (error) {
    await service.stop();
    throw error;
  }
  return service;
}

const PACKAGE = 'prometheus';

/**
 * The program of Debian's package, which is only unpacked, into the user's cache: installed it would run as a service. On
 * a machine without apt-get, its own Prometheus.
 */
async function prometheusProgram(): Promise<string> {
  if (!(await succeeds('apt-get', '--version'))) {
    if (await succeeds(PACKAGE, '--version')) return PACKAGE;
    throw new Error('this machine has neither apt-get nor a Prometheus on its PATH: install one of them');
  }
  const directory = join(cacheRoot, 'debian-prometheus');
  const program = join(directory, 'usr/bin/prometheus');
  if (await exists(program)) return program;
  return withLock(
    `${directory}.lock`,
    () => reportToTerminal('another process fetches Prometheus; waiting'),
    async () => {
      if (await exists(program)) return program;
      reportToTerminal(`fetching Debian's package of Prometheus (20 MB, once); it is kept in ${cacheRoot}`);
      const partial = await mkdtemp(`${directory}-`);
      try {
        await unpack(partial, join(partial, 'content'));
        await rename(join(partial, 'content'), directory);
      } finally {
        await rm(partial, { recursive: true, force: true });
      }
      return program;
    },
  );
}

async function unpack(downloads: string, content: string): Promise<void> {
  const download = () => command('apt-get', ['download', '-q', PACKAGE], { cwd: downloads });
  // A machine that has never asked which packages there are asks now, which needs root.
  await download().catch(async () => {
    await command('apt-get', ['update', '-q']);
    await download();
  });
  const archive = (await readdir(downloads)).find((file) => file.endsWith('.deb'));
  if (archive === undefined) throw new Error(`apt-get downloaded no package of ${PACKAGE}`);
  await mkdir(content);
  await command('dpkg', ['-x', join(downloads, archive), content]);
}

const succeeds = (program: string, ...args: readonly string[]) =>
  command(program, args).then(
    () => true,
    () => false,
  );

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
