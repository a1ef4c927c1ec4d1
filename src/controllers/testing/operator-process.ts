import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** The operator as a process of its own on one namespace, to be killed. It says errors on this one's stderr. */
export function startOperatorProcess(program: string, kubeconfigPath: string, namespace: string): ChildProcess {
  const flags = ['--kubeconfig', kubeconfigPath, '--namespaces', namespace, '--no-leader-elect'];
  const ports = ['--health-port', '0', '--metrics-port', '0'];
  const images = ['--server-image', 'example.com/fairlead:1', '--log-level', 'error'];
  return spawn(process.execPath, [program, 'operator', ...flags, ...ports, ...images], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** kill -9; resolves once it has ended. */
export async function kill(process: ChildProcess): Promise<void> {
  const ended = once(process, 'exit');
  process.kill('SIGKILL');
  await ended;
}
