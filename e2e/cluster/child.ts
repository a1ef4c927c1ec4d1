import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** A program that lives at most as long as this process: the kernel kills it when this process is gone, even by kill -9. */
export class Child {
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #logFile: string;

  private constructor(name: string, process: ChildProcess, logFile: string) {
    this.#name = name;
    this.#process = process;
    this.#logFile = logFile;
  }

  static start(name: string, program: string, args: readonly string[], logFile: string): Child {
    const log = openSync(logFile, 'a');
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], { stdio: ['ignore', log, log] });
    closeSync(log);
    // A program that cannot be started shows in `failure`, where readiness is awaited.
    child.on('error', () => undefined);
    return new Child(name, child, logFile);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get running(): boolean {
    return this.#process.pid !== undefined && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Ends it and waits until it is gone; SIGKILL follows after `graceMs`. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', graceMs = 5_000): Promise<void> {
    if (!this.running) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill(signal);
    const impatience = setTimeout(() => this.#process.kill('SIGKILL'), graceMs);
    await ended;
    clearTimeout(impatience);
  }

  /** Rejects, with the end of its log, as soon as it has ended; for racing against readiness. */
  async failure(): Promise<never> {
    if (this.running) await once(this.#process, 'exit');
    const log = await readFile(this.#logFile, 'utf8').catch(() => '');
    throw new Error(`${this.#name} ended (exit code ${this.#process.exitCode}):\n${log.slice(-2000)}`);
  }
}
