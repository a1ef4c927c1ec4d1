import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { pinned, SERVER_CORE } from './load.ts';

/** A server under measurement, on the servers' core. */
export interface RunningServer {
  readonly pid: number;
  stop(): Promise<void>;
}

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
export const modelPath = (name: string): string => here(`../../e2e/models/${name}`);

/** Starts a program of this repository and waits for a line of its output that shows it is ready. */
async function start(path: string, args: readonly string[], readyLine: RegExp): Promise<RunningServer> {
  const [command = '', ...all] = [...pinned(SERVER_CORE), process.execPath, path, ...args];
  const child = spawn(command, all, { stdio: ['ignore', 'pipe', 'inherit'] });
  await Promise.race([
    outputHas(child, readyLine),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`${path} ended with code ${code}`))),
  ]);
  child.stdout?.resume();
  return {
    pid: child.pid ?? 0,
    async stop() {
      if (child.exitCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function outputHas(child: ChildProcess, wanted: RegExp): Promise<void> {
  if (child.stdout === null) return;
  for await (const line of createInterface(child.stdout)) if (wanted.test(line)) return;
}

export const startHttpEcho = (port: number): Promise<RunningServer> =>
  start(here('echo-http.ts'), [String(port)], /listening/);

export const startGrpcEcho = (port: number): Promise<RunningServer> =>
  start(here('echo-grpc.ts'), [String(port)], /listening/);

export interface FairleadPorts {
  readonly http: number;
  readonly grpc: number;
}

/** `fairlead server` with one model called `m`. */
export function startFairlead(
  model: string,
  ports: FairleadPorts,
  flags: readonly string[] = [],
): Promise<RunningServer> {
  const args = ['server', '--model', `m=file://${modelPath(model)}`, '--host', '127.0.0.1', '--metrics-port', '0'];
  const listen = ['--http-port', String(ports.http), '--grpc-port', String(ports.grpc)];
  return start(here('../../src/main.ts'), [...args, ...listen, ...flags], /"message":"ready"/);
}

/** Rows a second of the engine in a loop, `rows` at a time. */
export async function rawRowsPerSecond(model: string, columns: number, rows: number): Promise<number> {
  const [command = '', ...args] = [
    ...pinned(SERVER_CORE),
    process.execPath,
    here('raw-engine.ts'),
    modelPath(model),
    String(columns),
    String(rows),
  ];
  const { stdout } = await promisify(execFile)(command, args);
  return Number(stdout);
}
