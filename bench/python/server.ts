import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { pythonWith } from '../../e2e/models/python.ts';

export interface PythonServer {
  /** Such as `http://127.0.0.1:8090`; models answer at `/v2/models/NAME/infer`. */
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const START_TIMEOUT_MS = 60_000;

/**
 * Starts FastAPI + uvicorn + onnxruntime on 127.0.0.1 and waits until it is ready. The packages are installed once.
 * @param prefix a program to start it under, such as `['taskset', '-c', '1']`.
 * @throws when Python or its packages are missing, or it does not get ready within a minute.
 */
export async function startPythonServer(
  model: { readonly name: string; readonly path: string },
  port: number,
  variant: 'plain' | 'orjson',
  prefix: readonly string[] = [],
): Promise<PythonServer> {
  const python = pythonWith(here('requirements.txt'));
  const [program = python, ...args] = [
    ...prefix,
    python,
    here('server.py'),
    model.name,
    model.path,
    String(port),
    variant,
  ];
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const exited = once(child, 'exit');
  const url = `http://127.0.0.1:${port}`;
  const deadlineMs = Date.now() + START_TIMEOUT_MS;
  while (!(await isReady(url))) {
    if (child.exitCode !== null) throw new Error(`The Python server ended with code ${child.exitCode}`);
    if (Date.now() > deadlineMs) {
      child.kill('SIGKILL');
      throw new Error(`The Python server was not ready within ${START_TIMEOUT_MS / 1000} s`);
    }
    await delay(50);
  }
  return {
    url,
    pid: child.pid ?? 0,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/v2/health/ready`).catch(() => undefined);
  await answer?.body?.cancel();
  return answer?.status === 200;
}
