import { join } from 'node:path';
import { command } from '../cluster/command.ts';
import { repositoryRoot } from '../cluster/paths.ts';
import { pythonWith } from '../models/python.ts';
import { type RunningService, type ServiceOptions, startService } from './service.ts';

export interface MlflowServer extends RunningService {
  /** Logs ONNX files with MLflow's own client, each as the next version of the registered model. @returns the versions */
  logModels(name: string, ...paths: readonly string[]): Promise<readonly string[]>;
  setAlias(name: string, alias: string, version: string): Promise<void>;
  removeAlias(name: string, alias: string): Promise<void>;
  removeVersion(name: string, version: string): Promise<void>;
}

const folder = join(repositoryRoot, 'e2e/services/mlflow');
/** Half a minute of imports and tables, and many times that on a machine that is busy. */
const READY_TIMEOUT_MS = 400_000;
const QUIET = { MLFLOW_DISABLE_TELEMETRY: 'true', DO_NOT_TRACK: 'true', GIT_PYTHON_REFRESH: 'quiet' };

export interface MlflowOptions extends ServiceOptions {
  /** Names of hosts by which clients may call it, beside its address: it refuses others. */
  readonly allowedHosts?: readonly string[];
}

/** A real MLflow tracking server with its model registry, which keeps artefacts itself, on an empty directory. */
export async function startMlflowServer({ allowedHosts = [], ...options }: MlflowOptions = {}): Promise<MlflowServer> {
  const python = pythonWith(join(folder, 'requirements.txt'));
  const service = await startService(
    'mlflow',
    python,
    { ...options, readyTimeoutMs: READY_TIMEOUT_MS },
    async (directory, address) => {
      const [host = '', port = ''] = address.split(':');
      const hosts = [address, 'localhost:*', '127.0.0.1:*', ...allowedHosts].join(',');
      return [join(folder, 'serve.py'), host, port, directory, hosts];
    },
  );
  const ask = async (method: 'POST' | 'DELETE', path: string, body: object) => {
    const answer = await fetch(`${service.url}/api/2.0/mlflow/${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`MLflow answers ${answer.status} to ${path}: ${await answer.text()}`);
  };
  return {
    ...service,
    logModels: async (name, ...paths) => {
      const script = join(folder, 'log_models.py');
      const output = await command(python, [script, service.url, name, ...paths], { env: QUIET, timeoutMs: 300_000 });
      return JSON.parse(output.trim().split('\n').at(-1) ?? '') as string[];
    },
    setAlias: (name, alias, version) => ask('POST', 'registered-models/alias', { name, alias, version }),
    removeAlias: (name, alias) => ask('DELETE', 'registered-models/alias', { name, alias }),
    removeVersion: (name, version) => ask('DELETE', 'model-versions/delete', { name, version }),
  };
}
