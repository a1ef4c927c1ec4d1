import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { command } from './command.ts';
import type { Daemon, Daemons } from './daemons.ts';
import { CNI_BIN_DIRECTORY } from './host-programs.ts';
import { PAUSE_IMAGE } from './pause-image.ts';
import { waitFor } from './wait.ts';

const KUBERNETES_NAMESPACE = 'k8s.io';

/** A containerd of the cluster's own: root, state and socket in the cluster's state directory. */
export class Containerd {
  readonly #directory: string;
  readonly socket: string;
  /** Where CNI configuration is expected. */
  readonly cniDirectory: string;

  constructor(stateDirectory: string) {
    this.#directory = join(stateDirectory, 'containerd');
    this.socket = join(this.#directory, 'containerd.sock');
    this.cniDirectory = join(this.#directory, 'cni');
  }

  async configure(): Promise<Daemon> {
    await mkdir(this.cniDirectory, { recursive: true });
    const configuration = join(this.#directory, 'config.toml');
    await writeFile(configuration, this.#configuration());
    return { name: 'containerd', program: 'containerd', args: ['--config', configuration] };
  }

  async waitUntilReady(daemons: Daemons): Promise<void> {
    await daemons.ready('containerd', async () => (await this.#ctr('version')) !== '' || 'no answer', 30_000);
  }

  /** Loads images from a docker-archive or an OCI archive. */
  async importImage(archive: string): Promise<void> {
    await this.#ctr('images', 'import', archive);
  }

  async hasImage(name: string): Promise<boolean> {
    return (await this.#ctr('images', 'list', '-q')).split('\n').includes(name);
  }

  /** Ends and deletes every container, and with the last its shim. */
  async removeContainers(): Promise<void> {
    const list = async (kind: 'tasks' | 'containers') =>
      (await this.#ctr(kind, 'list', '-q')).split('\n').filter(Boolean);
    await waitFor(
      'containers',
      async () => {
        for (const id of await list('tasks')) {
          await this.#ctr('tasks', 'delete', '--force', id).catch(() => undefined);
        }
        const tasks = await list('tasks');
        return tasks.length === 0 || `${tasks.length} still run`;
      },
      { timeoutMs: 30_000 },
    );
    for (const id of await list('containers')) await this.#ctr('containers', 'delete', id);
  }

  /** What containerd's shims and runc leave in directories of their own choice. */
  async removeRuntimeFiles(): Promise<void> {
    const sockets = '/run/containerd/s';
    const unused = (await command('ss', ['-xlH']).catch(() => '')).split('\n');
    for (const socket of await readdir(sockets).catch(() => [])) {
      if (!unused.some((line) => line.includes(socket))) await rm(join(sockets, socket), { force: true });
    }
    // rmdir keeps what another containerd on this machine still uses.
    await command('rmdir', ['--ignore-fail-on-non-empty', sockets, '/run/containerd']).catch(() => undefined);
  }

  #ctr(...args: string[]): Promise<string> {
    return command('ctr', ['-a', this.socket, '-n', KUBERNETES_NAMESPACE, ...args], { timeoutMs: 120_000 });
  }

  #configuration(): string {
    return `version = 2
root = "${join(this.#directory, 'root')}"
state = "${join(this.#directory, 'state')}"
[grpc]
  address = "${this.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "${join(this.#directory, 'runc')}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${CNI_BIN_DIRECTORY}"
    conf_dir = "${this.cniDirectory}"
`;
  }
}
