import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { LoadJob, LoadResult } from './load-job.ts';

/** Servers have this core for themselves, load comes from the other. */
export const SERVER_CORE = 0;
const LOAD_CORE = 1;

export const pinned = (core: number): readonly string[] => ['taskset', '-c', String(core)];

export interface Measurement extends LoadResult {
  readonly perSecond: number;
  /** The server process's CPU time a request, which other load on the machine disturbs least. */
  readonly cpuMicros: number;
}

/** A process that makes load of one kind, on a core of its own. */
export class LoadProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<never>;

  constructor(program: 'http-load.ts' | 'grpc-load.ts') {
    const path = fileURLToPath(new URL(program, import.meta.url));
    const [command = '', ...args] = [...pinned(LOAD_CORE), process.execPath, path];
    this.#child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#ended = once(this.#child, 'exit').then(() => Promise.reject(new Error('the load process ended')));
    this.#ended.catch(() => undefined);
  }

  async measure(job: LoadJob, serverPid: number): Promise<Measurement> {
    this.#child.send(job);
    const before = setTimeout(() => (cpuBefore = cpuSeconds(serverPid)), job.warmUpMs);
    let cpuBefore = Number.NaN;
    const answer = Promise.withResolvers<LoadResult>();
    this.#child.once('message', (message: LoadResult) => answer.resolve(message));
    const result = await Promise.race([answer.promise, this.#ended]);
    clearTimeout(before);
    const cpuMicros = ((cpuSeconds(serverPid) - cpuBefore) * 1e6) / result.requests;
    return { ...result, perSecond: (result.requests * 1000) / result.elapsedMs, cpuMicros };
  }

  stop(): void {
    this.#child.kill();
  }
}

/** User and system time of a process so far; Linux counts hundredths of a second. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
