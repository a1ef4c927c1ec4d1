import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '../cluster/child.ts';
import { freePort } from '../cluster/free-port.ts';
import { waitFor } from '../cluster/wait.ts';

export interface ServiceOptions {
  /** Where to listen; 127.0.0.1 unless pods are to reach it, too. */
  readonly host?: string;
  /** A free one unless given. */
  readonly port?: number;
  /** How long it may take to answer; 2 minutes. */
  readonly readyTimeoutMs?: number;
}

export interface RunningService {
  /** `http://HOST:PORT` */
  readonly url: string;
  /** `HOST:PORT` */
  readonly address: string;
  stop(): Promise<void>;
}

const READY_TIMEOUT_MS = 120_000;
const MAX_PORTS_TRIED = 3;

/**
 * Starts a real server with a directory of its own, which is deleted with it. It never outlives this process.
 * @param configure writes what the program needs into the directory and returns its arguments.
 * @throws Error with the end of its log when it does not answer HTTP in time.
 */
export async function startService(
  name: string,
  program: string,
  { host = '127.0.0.1', port, readyTimeoutMs = READY_TIMEOUT_MS }: ServiceOptions,
  configure: (directory: string, address: string) => Promise<readonly string[]>,
): Promise<RunningService> {
  for (let tried = 1; ; tried++) {
    const address = `${host}:${port ?? (await freePort())}`;
    const url = `http://${address}`;
    const directory = await mkdtemp(join(tmpdir(), `fairlead-${name}-`));
    const child = Child.start(name, program, await configure(directory, address), join(directory, 'log'));
    const stop = async () => {
      await child.stop();
      await rm(directory, { recursive: true, force: true });
    };
    // Any answer will do: an unauthenticated request is refused by a server that is ready. One that has ended is not asked.
    const answersOrEnded = async () => {
      if (child.running) await fetch(url);
      return true as const;
    };
    try {
      const waited = waitFor(name, answersOrEnded, { timeoutMs: readyTimeoutMs, intervalMs: 20 });
      await Promise.race([waited, child.failure()]);
      if (!child.running) await child.failure();
      return { url, address, stop };
    } catch (error) {
      await stop();
      // A port that was free may be another's by the time at which the program listens on it.
      const isPortTaken = port === undefined && /address already in use/i.test(String(error));
      if (!isPortTaken || tried === MAX_PORTS_TRIED) throw error;
    }
  }
}
