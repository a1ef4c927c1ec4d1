import { lstat, mkdir, readdir, readFile, readlink, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CLUSTER_CIDR, NODE_IP, NODE_NAME } from './address-plan.ts';
import { command } from './command.ts';
import type { Daemon } from './daemons.ts';
import type { KubernetesPrograms } from './kubernetes.ts';
import type { Pki } from './pki.ts';

export interface NodeOptions {
  readonly stateDirectory: string;
  readonly pki: Pki;
  readonly programs: KubernetesPrograms;
  readonly containerdSocket: string;
  readonly cgroup: string;
}

/** Under these paths, whatever its flags say, the kubelet keeps plugin sockets and links to logs. */
export const DEVICE_PLUGIN_DIRECTORY = '/var/lib/kubelet/device-plugins';
const CONTAINER_LOGS = '/var/log/containers';

const kubeletDirectory = (stateDirectory: string): string => join(stateDirectory, 'kubelet');

export async function configureKubelet(options: NodeOptions): Promise<Daemon> {
  const { pki, programs } = options;
  const root = kubeletDirectory(options.stateDirectory);
  await mkdir(root, { recursive: true });
  const resolvConf = join(root, 'resolv.conf');
  await writeFile(resolvConf, '');
  const configuration = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: NODE_IP,
    healthzPort: 0,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: pki.authorityFile },
    },
    authorization: { mode: 'Webhook' },
    containerRuntimeEndpoint: `unix://${options.containerdSocket}`,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: options.cgroup,
    failCgroupV1: false,
    failSwapOn: false,
    // Tolerates that this process may not change every kernel setting.
    featureGates: { KubeletInUserNamespace: true },
    localStorageCapacityIsolation: false,
    clusterDNS: [NODE_IP],
    clusterDomain: 'cluster.local',
    resolvConf,
    podLogsDir: join(root, 'logs'),
    volumePluginDir: join(root, 'volume-plugins'),
    maxPods: 200,
    registerNode: true,
    // Pods of tests come and go at once; the default of 5 a second would hold them back.
    registryPullQPS: 0,
    eventRecordQPS: 0,
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    imageGCHighThresholdPercent: 100,
    nodeStatusUpdateFrequency: '5s',
    shutdownGracePeriod: '0s',
  };
  const file = join(root, 'config.json');
  await writeFile(file, JSON.stringify(configuration, undefined, 2));
  return {
    name: 'kubelet',
    program: programs('kubelet'),
    args: [
      `--config=${file}`,
      `--kubeconfig=${pki.file('node1.kubeconfig')}`,
      `--hostname-override=${NODE_NAME}`,
      `--node-ip=${NODE_IP}`,
      `--root-dir=${root}`,
      `--cert-dir=${join(root, 'pki')}`,
    ],
  };
}

export function kubeProxy({ pki, programs }: Pick<NodeOptions, 'pki' | 'programs'>): Daemon {
  return {
    name: 'kube-proxy',
    program: programs('kube-proxy'),
    args: [
      `--kubeconfig=${pki.file('proxy.kubeconfig')}`,
      '--proxy-mode=iptables',
      `--cluster-cidr=${CLUSTER_CIDR}`,
      `--hostname-override=${NODE_NAME}`,
      // Connection tracking stays as this machine has it.
      '--conntrack-max-per-core=0',
      '--conntrack-tcp-timeout-established=0',
      '--conntrack-tcp-timeout-close-wait=0',
      `--nodeport-addresses=${NODE_IP}/32`,
      '--healthz-bind-address=127.0.0.1:10256',
    ],
  };
}

/** Unmounts what pods and containers had mounted below the state directory, the innermost first. */
export async function unmountBelow(stateDirectory: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '');
  const own = mounts.filter((mount) => mount.startsWith(`${stateDirectory}/`));
  for (const mount of own.reverse()) await command('umount', ['--lazy', mount]);
}

/** Removes what the kubelet keeps outside of its root directory. */
export async function removeKubeletFiles(stateDirectory: string): Promise<void> {
  const logs = kubeletDirectory(stateDirectory);
  for (const name of await readdir(CONTAINER_LOGS).catch(() => [])) {
    const link = join(CONTAINER_LOGS, name);
    const target = (await lstat(link)).isSymbolicLink() ? await readlink(link) : '';
    if (target.startsWith(logs)) await rm(link);
  }
  for (const name of await readdir(DEVICE_PLUGIN_DIRECTORY).catch(() => [])) {
    await rm(join(DEVICE_PLUGIN_DIRECTORY, name), { recursive: true, force: true });
  }
  // rmdir keeps what is not empty, and so not ours alone.
  for (const directory of [CONTAINER_LOGS, DEVICE_PLUGIN_DIRECTORY, '/var/lib/kubelet']) {
    await rmdir(directory).catch(() => undefined);
  }
}
