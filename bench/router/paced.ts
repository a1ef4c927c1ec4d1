import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { pinned } from '../server/load.ts';

/** What the fixed-rate generator is told to do. */
export interface PacedJob {
  readonly port: number;
  readonly connections: number;
  readonly perSecond: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** The bytes of one request, base64. */
  readonly payload: string;
}

export interface PacedResult {
  readonly requests: number;
  /** Requests that were due and found no free connection to the end. */
  readonly unsent: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const LOAD_CORE = 1;

/** The generator's process. */
export class PacedProcess {
  readonly #child: ChildProcess;

  constructor() {
    const [command = '', ...args] = [
      ...pinned(LOAD_CORE),
      process.execPath,
      fileURLToPath(new URL('paced-load.ts', import.meta.url)),
    ];
    this.#child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  }

  async measure(job: PacedJob): Promise<PacedResult> {
    this.#child.send(job);
    const ended = once(this.#child, 'exit').then(() => Promise.reject(new Error('the generator ended')));
    ended.catch(() => undefined);
    const [result] = await Promise.race([once(this.#child, 'message'), ended]);
    return result as PacedResult;
  }

  stop(): void {
    this.#child.kill();
  }
}
