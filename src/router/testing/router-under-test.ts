import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { createInterface } from 'node:readline';

export interface RouterFlags {
  /** Fairlead's program: what Node runs. */
  readonly program: string;
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly podName: string;
  /** Where ports of routes listen: 127.0.0.1, or another address of the loopback interface. */
  readonly host?: string;
  readonly stateDir?: string;
  readonly drainDelay?: string;
}

interface LogLine {
  readonly message: string;
  readonly metrics?: number;
  readonly source?: string;
}

/** `fairlead router` as a process of its own. */
export class RouterUnderTest {
  readonly #child: ChildProcess;
  readonly #lines: LogLine[] = [];
  readonly #exited: Promise<number | null>;
  #wake = Promise.withResolvers<void>();

  constructor({
    program,
    kubeconfig,
    namespace,
    podName,
    host = '127.0.0.1',
    stateDir,
    drainDelay = '0',
  }: RouterFlags) {
    const flags = ['--kubeconfig', kubeconfig, '--namespace', namespace, '--pod-name', podName];
    const more = ['--host', host, '--metrics-port', '0', '--drain-delay', drainDelay];
    const kept = stateDir === undefined ? [] : ['--state-dir', stateDir];
    this.#child = spawn(process.execPath, [program, 'router', ...flags, ...more, ...kept], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#exited = once(this.#child, 'close').then(([code]) => code as number | null);
    const { stdout } = this.#child;
    if (stdout === null) throw new Error('the router has no stdout');
    createInterface({ input: stdout }).on('line', (line) => {
      this.#lines.push(JSON.parse(line) as LogLine);
      this.#wake.resolve();
      this.#wake = Promise.withResolvers<void>();
    });
  }

  /** The line of its log that says so. @throws Error when the router ends before. */
  async logged(message: RegExp): Promise<LogLine> {
    for (;;) {
      const found = this.#lines.find((line) => message.test(line.message));
      if (found !== undefined) return found;
      const ended = await Promise.race([this.#wake.promise, this.#exited]);
      if (ended !== undefined) throw new Error(`the router ended with ${ended}: ${JSON.stringify(this.#lines)}`);
    }
  }

  /** Resolves to the metrics port. */
  async ready(): Promise<number> {
    return (await this.logged(/^ready$/)).metrics ?? 0;
  }

  /** SIGTERM; resolves to the exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return await this.#exited;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}

/** An address of this machine that the API server takes as one of a pod: it refuses those of the loopback interface. */
export const POD_ADDRESS = ((): string => {
  const addresses = Object.values(networkInterfaces()).flat();
  const own = addresses.find((address) => address?.family === 'IPv4' && !address.internal);
  if (own === undefined) throw new Error('this machine has no IPv4 address but 127.0.0.1, which no pod may have');
  return own.address;
})();
