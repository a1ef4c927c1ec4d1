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
  readonly #ended: Promise<never>;

  constructor() {
    const [command = '', ...args] = [
      ...pinned(LOAD_CORE),
      process.execPath,
      fileURLToPath(new URL('paced-load.ts', import.meta.url)),
    ];
    this.#child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#ended = once(this.#child, 'exit').then(() => Promise.reject(new Error('the generator ended')));
    this.#ended.catch(() => undefined);
  }

  async measure(job: PacedJob): Promise<PacedResult> {
    this.#child.send(job);
    const message = Promise.withResolvers<PacedResult>();
    this.#child.once('message', (result) => message.resolve(result as PacedResult));
    return await Promise.race([message.promise, this.#ended]);
  }

  stop(): void {
    this.#child.kill();
  }
}
