import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from './wait.ts';

/** How long a process may take to end when asked to. */
const GRACE_MS = 10_000;

export interface Daemon {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
}

export interface RunningProcess {
  readonly pid: number;
  /** The daemon it is, or that started it. */
  readonly daemon: string;
  readonly commandLine: readonly string[];
}

/**
 * Programs that outlive the command that starts them. Each carries its cluster and its name in its environment, which
 * the kernel shows and children inherit: so every process of a cluster is found at any time, nothing that ended is
 * taken for running, and a reused process id is never mistaken for ours.
 */
export class Daemons {
  readonly #logDirectory: string;
  readonly #mark: string;

  constructor(stateDirectory: string) {
    this.#logDirectory = join(stateDirectory, 'logs');
    this.#mark = `FAIRLEAD_CLUSTER=${stateDirectory}`;
  }

  logFile(name: string): string {
    return join(this.#logDirectory, `${name}.log`);
  }

  /** Everything that runs for this cluster, the daemons' own children included. */
  async processes(): Promise<RunningProcess[]> {
    const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)).map(Number);
    const found = await Promise.all(pids.map((pid) => this.#identify(pid)));
    return found.filter((process) => process !== undefined);
  }

  /** Starts the daemon unless it runs with these very arguments; one that runs with others is ended first. */
  async ensure(daemon: Daemon): Promise<void> {
    const wanted = [daemon.program, ...daemon.args];
    const own = (await this.processes()).filter(
      (process) => process.daemon === daemon.name && process.commandLine[0] === daemon.program,
    );
    if (own.some((process) => same(process.commandLine, wanted))) return;
    await this.#end(own, 'SIGTERM');
    await mkdir(this.#logDirectory, { recursive: true });
    const log = openSync(this.logFile(daemon.name), 'a');
    const [name, value] = this.#mark.split('=', 2);
    const child = spawn(daemon.program, daemon.args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, [String(name)]: value, FAIRLEAD_DAEMON: daemon.name },
      cwd: '/',
    });
    closeSync(log);
    await once(child, 'spawn');
    child.unref();
  }

  /** Waits until `ask` says `true`, and gives up as soon as the daemon has ended, with the end of its log. */
  async ready(name: string, ask: () => Promise<true | string>, timeoutMs: number): Promise<void> {
    let ended = false;
    await waitFor(
      name,
      async () => {
        ended = !(await this.processes()).some((process) => process.daemon === name);
        return ended ? true : ask();
      },
      { timeoutMs, intervalMs: 200 },
    ).catch(async (error: Error) => {
      throw new Error(`${error.message}\n${await this.#logTail(name)}`);
    });
    if (ended) throw new Error(`${name} has ended:\n${await this.#logTail(name)}`);
  }

  async stop(name: string): Promise<void> {
    const all = (await this.processes()).filter((process) => process.daemon === name);
    // Children first seen by their parent's name, such as containerd's shims, are ended by whoever knows how.
    const program = all.find((process) => !process.commandLine[0]?.includes('shim'))?.commandLine[0];
    await this.#end(
      all.filter((process) => process.commandLine[0] === program),
      'SIGTERM',
    );
  }

  /** Ends whatever of this cluster still runs, at once. */
  async killAll(): Promise<void> {
    await this.#end(await this.processes(), 'SIGKILL');
  }

  async #end(processes: readonly RunningProcess[], signal: NodeJS.Signals): Promise<void> {
    // Asked anew each time: one that has ended but is not reaped yet shows no environment, nor does a reused id ours.
    const running = async () => {
      const found = await Promise.all(processes.map(({ pid }) => this.#identify(pid)));
      return found.filter((process) => process !== undefined);
    };
    const send = async (which: NodeJS.Signals) => {
      for (const { pid } of await running()) process.kill(pid, which);
    };
    const gone = async () => {
      const left = await running();
      return left.length === 0 || `still running: ${left.map(({ pid, commandLine }) => `${pid} ${commandLine[0]}`)}`;
    };
    await send(signal);
    try {
      await waitFor(signal, gone, { timeoutMs: GRACE_MS, intervalMs: 20 });
    } catch {
      await send('SIGKILL');
      await waitFor('SIGKILL', gone, { timeoutMs: GRACE_MS, intervalMs: 20 });
    }
  }

  async #identify(pid: number): Promise<RunningProcess | undefined> {
    const read = async (file: string): Promise<string[]> => {
      const text = await readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
      return text.split('\0').slice(0, -1);
    };
    const environment = await read('environ');
    if (!environment.includes(this.#mark)) return undefined;
    const name = environment.find((entry) => entry.startsWith('FAIRLEAD_DAEMON='))?.slice('FAIRLEAD_DAEMON='.length);
    return name === undefined ? undefined : { pid, daemon: name, commandLine: await read('cmdline') };
  }

  async #logTail(name: string): Promise<string> {
    const log = await readFile(this.logFile(name), 'utf8').catch(() => '');
    return `${this.logFile(name)}:\n${log.slice(-2000)}`;
  }
}

const same = (left: readonly string[], right: readonly string[]): boolean =>
  left.length === right.length && left.every((value, index) => value === right[index]);
