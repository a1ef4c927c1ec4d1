import { join } from 'node:path';
import { CoreV1Api, KubeConfig, type V1Node, type V1Taint } from '@kubernetes/client-node';
import PQueue from 'p-queue';
import { KWOK_POD_CIDR, NODE_IP } from './address-plan.ts';
import type { Daemon } from './daemons.ts';
import type { KubernetesPrograms } from './kubernetes.ts';
import { repositoryRoot } from './paths.ts';
import type { Pki } from './pki.ts';

/** Marks the nodes that kwok plays the kubelet of. */
const KWOK_NODE = { 'kwok.x-k8s.io/node': 'fake' };

/** Keeps pods that must really run away from nodes that only seem to exist; a test tolerates it. */
export const KWOK_TAINT: V1Taint = { key: 'kwok.x-k8s.io/node', value: 'fake', effect: 'NoSchedule' };

/** kwok: pods on its nodes become Running and Ready at once, and Jobs complete. */
export function kwok(pki: Pki, programs: KubernetesPrograms): Daemon {
  const [[key, value] = []] = Object.entries(KWOK_NODE);
  return {
    name: 'kwok',
    program: programs('kwok'),
    args: [
      `--kubeconfig=${pki.file('admin.kubeconfig')}`,
      `--config=${join(repositoryRoot, 'e2e/cluster/kwok-stages.yaml')}`,
      '--manage-all-nodes=false',
      `--manage-nodes-with-annotation-selector=${key}=${value}`,
      `--cidr=${KWOK_POD_CIDR}`,
      `--node-ip=${NODE_IP}`,
      '--node-lease-duration-seconds=40',
    ],
  };
}

export interface KwokNodes {
  /** Nodes are named `<prefix>-0`, `<prefix>-1` ... */
  readonly prefix: string;
  readonly count: number;
  readonly cpu?: string;
  readonly memory?: string;
  readonly pods?: string;
  /** GPUs and the like a node: `{ 'nvidia.com/gpu': '8' }`, `{ 'nvidia.com/mig-1g.18gb': '7' }`. */
  readonly extendedResources?: Readonly<Record<string, string>>;
  /** For instance `nvidia.com/gpu.product`. */
  readonly labels?: Readonly<Record<string, string>>;
  /** In place of `KWOK_TAINT`. */
  readonly taints?: readonly V1Taint[];
}

const CONCURRENT_REQUESTS = 16;

/** Creates nodes that only seem to exist. One that exists already stays as it is. */
export async function createKwokNodes(kubeconfigPath: string, nodes: KwokNodes): Promise<void> {
  const api = coreApi(kubeconfigPath);
  await forEachNode(nodes, async (name) => {
    await api.createNode({ body: kwokNode(name, nodes) }).catch((error: { code?: number }) => {
      if (error.code !== 409) throw error;
    });
  });
}

export async function deleteKwokNodes(
  kubeconfigPath: string,
  nodes: Pick<KwokNodes, 'prefix' | 'count'>,
): Promise<void> {
  const api = coreApi(kubeconfigPath);
  await forEachNode(nodes, async (name) => {
    await api.deleteNode({ name }).catch((error: { code?: number }) => {
      if (error.code !== 404) throw error;
    });
  });
}

function coreApi(kubeconfigPath: string): CoreV1Api {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfigPath);
  return config.makeApiClient(CoreV1Api);
}

async function forEachNode(
  { prefix, count }: Pick<KwokNodes, 'prefix' | 'count'>,
  work: (name: string) => Promise<void>,
): Promise<void> {
  const queue = new PQueue({ concurrency: CONCURRENT_REQUESTS });
  await queue.addAll(Array.from({ length: count }, (_, index) => () => work(`${prefix}-${index}`)));
}

function kwokNode(name: string, nodes: KwokNodes): V1Node {
  const allocatable = {
    cpu: nodes.cpu ?? '64',
    memory: nodes.memory ?? '512Gi',
    pods: nodes.pods ?? '110',
    ...nodes.extendedResources,
  };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      annotations: KWOK_NODE,
      labels: {
        type: 'kwok',
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': 'amd64',
        ...nodes.labels,
      },
    },
    spec: { taints: [...(nodes.taints ?? [KWOK_TAINT])] },
    status: { allocatable, capacity: allocatable, phase: 'Running' },
  };
}
