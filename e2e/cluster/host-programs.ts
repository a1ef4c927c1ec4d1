import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { command } from './command.ts';
import type { Progress } from './progress.ts';

/** Where the CNI plugins are on Debian. */
export const CNI_BIN_DIRECTORY = '/usr/lib/cni';

/** Programs that a real node and image builds need, and the Debian packages they are in. */
const PACKAGES: Readonly<Record<string, string>> = {
  containerd: 'containerd',
  runc: 'runc',
  [join(CNI_BIN_DIRECTORY, 'bridge')]: 'containernetworking-plugins',
  ip: 'iproute2',
  iptables: 'iptables',
  conntrack: 'conntrack',
  socat: 'socat',
  openssl: 'openssl',
  buildah: 'buildah',
  mmdebstrap: 'mmdebstrap',
};

async function installed(program: string): Promise<boolean> {
  const directories = ['', ...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const candidates = program.startsWith('/') ? [program] : directories.map((directory) => join(directory, program));
  const found = await Promise.all(
    candidates.map((path) =>
      access(path, constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.includes(true);
}

/**
 * Installs what is missing by apt-get; changes nothing when all is there.
 * @throws Error naming the missing programs where there is no apt-get.
 */
export async function ensureHostPrograms(progress: Progress): Promise<void> {
  const names = Object.keys(PACKAGES);
  const present = await Promise.all(names.map(installed));
  const missing = names.filter((_, index) => !present[index]);
  if (missing.length === 0) return;
  if (!(await installed('apt-get'))) {
    throw new Error(
      `a real node needs these programs, and this machine has no apt-get to install them: ${missing.join(', ')}`,
    );
  }
  const packages = missing.map((program) => PACKAGES[program] ?? program);
  progress(`installing Debian packages: ${packages.join(' ')}`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await command('apt-get', ['update', '-q'], { env });
  await command('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...packages], { env });
}
