/**
 * A cluster's whole life, for `lifecycle.e2e.test.ts`: up but killed on the way, up, up again, a pod, down. Runs in a
 * network and a mount namespace of its own, and so beside the cluster that the other tests use. Prints a `Life` as JSON.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { command } from './command.ts';
import { Daemons } from './daemons.ts';
import { ensureKubernetes } from './kubernetes.ts';
import { compareFootprints, readFootprint } from './leftovers.ts';
import { stateRoot } from './paths.ts';
import { PAUSE_IMAGE } from './pause-image.ts';

export interface Life {
  /** Daemons that ran when `up` was killed. */
  readonly daemonsWhenKilled: readonly string[];
  /** Process ids of the daemons after the second `up`, and after the third. */
  readonly firstPids: readonly number[];
  readonly secondPids: readonly number[];
  /** What `status` printed. */
  readonly status: string;
  /** Mounts below the state directory while a pod ran. */
  readonly mountsWithPod: number;
  /** What the machine had more or less after `down` than before. */
  readonly leftovers: readonly string[];
  readonly processesLeft: readonly string[];
}

const cli = fileURLToPath(new URL('cli.ts', import.meta.url));
const cluster = (verb: string) => command(process.execPath, [cli, verb]);
const daemons = new Daemons(stateRoot);

/** Starts `up` and kills it, without a chance to clean up, as soon as it begins with the node. */
async function upKilled(): Promise<string[]> {
  const up = spawn(process.execPath, [cli, 'up'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(up, 'exit');
  up.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (text.includes('starting the node')) up.kill('SIGKILL');
  });
  await ended;
  return (await daemons.processes()).map((process) => process.daemon);
}

const pids = async () => (await daemons.processes()).map(({ pid }) => pid).sort();

async function runPod(): Promise<void> {
  const kubectl = (await ensureKubernetes())('kubectl');
  const onCluster = ['--kubeconfig', join(stateRoot, 'kubeconfig')];
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'pod' },
    spec: {
      containers: [{ name: 'main', image: PAUSE_IMAGE, volumeMounts: [{ name: 'memory', mountPath: '/memory' }] }],
      volumes: [{ name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } }],
    },
  };
  await command(kubectl, [...onCluster, 'apply', '-f', '-'], { input: JSON.stringify(pod) });
  await command(kubectl, [...onCluster, 'wait', 'pod/pod', '--for=condition=Ready', '--timeout=60s']);
}

const before = await readFootprint();
const daemonsWhenKilled = await upKilled();
await cluster('up');
const firstPids = await pids();
await cluster('up');
const secondPids = await pids();
const status = await cluster('status');
await runPod();
const mountsWithPod = (await readFootprint()).filter((line) => line.startsWith(`mount ${stateRoot}/`)).length;
await cluster('down');
const life: Life = {
  daemonsWhenKilled,
  firstPids,
  secondPids,
  status,
  mountsWithPod,
  leftovers: compareFootprints(before, await readFootprint()),
  processesLeft: (await daemons.processes()).map(({ commandLine }) => commandLine.join(' ')),
};
console.log(JSON.stringify(life));
