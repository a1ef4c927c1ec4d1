import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '../cluster/child.ts';
import { freePorts } from '../cluster/free-port.ts';
import { waitFor } from '../cluster/wait.ts';

export interface ServiceOptions {
  /** Where to listen; 127.0.0.1 unless pods are to reach it, too. */
  readonly host?: string;
  /** A free one unless given. */
  readonly port?: number;
  /** How long it may take to answer; 15 s. */
  readonly readyTimeoutMs?: number;
}

export interface RunningService {
  /** `http://HOST:PORT` */
  readonly url: string;
  /** `HOST:PORT` */
  readonly address: string;
  stop(): Promise<void>;
}

const READY_TIMEOUT_MS = 15_000;

/**
 * Starts a real server with a directory of its own, which is deleted with it. It never outlives this process.
 * @param configure writes what the program needs into the directory and returns its arguments.
 * @throws Error with the end of its log when it does not answer HTTP in time.
 */
export async function startService(
  name: string,
  program: string,
  { host = '127.0.0.1', port: givenPort, readyTimeoutMs = READY_TIMEOUT_MS }: ServiceOptions,
  configure: (directory: string, address: string) => Promise<readonly string[]>,
): Promise<RunningService> {
  const [freePort = 0] = await freePorts(1);
  const address = `${host}:${givenPort ?? freePort}`;
  const url = `http://${address}`;
  const directory = await mkdtemp(join(tmpdir(), `fairlead-${name}-`));
  const child = Child.start(name, program, await configure(directory, address), join(directory, 'log'));
  const stop = async () => {
    await child.stop();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    // Any answer will do: an unauthenticated request is refused by a server that is ready.
    const answers = waitFor(name, () => fetch(url).then(() => true as const), {
      timeoutMs: readyTimeoutMs,
      intervalMs: 20,
    });
    await Promise.race([answers, child.failure()]);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, address, stop };
}
