/**
 * What it costs the operator to read room on a cluster of 1,000 nodes and 10,000 pods: time, and memory that stays.
 *
 *   node --expose-gc bench/rollouts/reading.ts [--nodes 1000] [--pods 10000] [--gpu-nodes 50]
 */
import { parseArgs } from 'node:util';
import { startControlPlane } from '../../e2e/cluster/control-plane.ts';
import { createKwokNodes } from '../../e2e/cluster/kwok.ts';
import { advise } from '../../src/capacity/advise.ts';
import { podDemand } from '../../src/capacity/pod-demand.ts';
import type { CapacityClaim, CapacitySnapshot } from '../../src/capacity/types.ts';
import { NODES } from '../../src/controllers/modeldeployment/capacity/cluster-objects.ts';
import { ClusterReader } from '../../src/controllers/modeldeployment/capacity/cluster-reader.ts';
import { PODS } from '../../src/controllers/resources.ts';
import type { Manifest } from '../../src/runtime/api-client.ts';
import { connect, createNamespace, forEach, NAMESPACE } from '../operator/workload.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1000' },
    pods: { type: 'string', default: '10000' },
    'gpu-nodes': { type: 'string', default: '50' },
  },
});
const NODE_COUNT = Number(values.nodes);
const POD_COUNT = Number(values.pods);
const GPU_NODES = Number(values['gpu-nodes']);
const CONCURRENCY = 32;
const GPU = 'nvidia.com/gpu';

/** About as large as pods are: what a kubelet and controllers add is most of it. */
function pod(index: number, node: string): Manifest {
  const env = Array.from({ length: 20 }, (_, each) => ({ name: `VARIABLE_${each}`, value: 'x'.repeat(60) }));
  const requests = { cpu: `${100 + (index % 20) * 10}m`, memory: '128Mi' };
  const container = { name: 'server', image: 'registry.example.dev/team/service:1.2.3', env, resources: { requests } };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: NAMESPACE, name: `pod-${index}`, annotations: { config: 'y'.repeat(1_000) } },
    spec: { nodeName: node, containers: [container], tolerations: [{ operator: 'Exists' }] },
  };
}

const claimOf = (demand: CapacityClaim['pod']): CapacityClaim => ({
  rollout: `${NAMESPACE}/model`,
  startedAtMs: 0,
  mode: 'Auto',
  provisionTimeoutMs: 180_000,
  pod: demand,
  wanted: 4,
  removable: 0,
  vacant: 0,
  starting: 0,
  ending: 0,
  oldPods: [],
  isAllOrNothing: false,
  isSwapping: false,
});

const heapBytes = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
};

const plane = await startControlPlane();
const { client, close } = await connect(plane.kubeconfigPath);
try {
  await createNamespace(client);
  const cpuNodes = { prefix: 'cpu', count: NODE_COUNT - GPU_NODES, taints: [] };
  const gpuNodes = { prefix: 'gpu', count: GPU_NODES, taints: [], extendedResources: { [GPU]: '8' } };
  await createKwokNodes(plane.kubeconfigPath, cpuNodes);
  await createKwokNodes(plane.kubeconfigPath, gpuNodes);
  const { items: nodes } = await client.list(NODES);
  const conditions = [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: '' }];
  await forEach(nodes, CONCURRENCY, async ({ metadata }) => {
    await client.mergePatch(NODES, metadata, { status: { conditions } }, 'status');
  });
  const indexes = Array.from({ length: POD_COUNT }, (_, index) => index);
  await forEach(indexes, CONCURRENCY, async (index) => {
    await client.create(PODS, pod(index, nodes[index % nodes.length]?.metadata.name ?? ''));
  });
  // No controller takes the taint away that a node is created with.
  const tolerations = [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists' }];
  const demandOf = (limits: Record<string, string>) =>
    podDemand({ tolerations, containers: [{ name: 'server', resources: { limits } }] });
  const demands = { 'a GPU': demandOf({ [GPU]: '1', cpu: '1' }), 'any node': demandOf({ cpu: '1' }) };
  for (const [what, demand] of Object.entries(demands)) {
    const reader = new ClusterReader();
    const beforeBytes = heapBytes();
    const startMs = performance.now();
    const read: CapacitySnapshot = await reader.read(
      { client, now: Date.now, signal: new AbortController().signal },
      NAMESPACE,
      [NAMESPACE],
      [demand],
    );
    const readMs = performance.now() - startMs;
    const keptBytes = heapBytes() - beforeBytes;
    const adviseMs = performance.now();
    const advice = advise(read, [claimOf(demand)], Date.now()).get(`${NAMESPACE}/model`);
    const tookMs = performance.now() - adviseMs;
    const pods = read.nodes === 'unreadable' ? 0 : read.nodes.reduce((sum, node) => sum + (node.pods?.length ?? 0), 0);
    console.log(
      `a pod that wants ${what}: ${pods} pods read in ${readMs.toFixed(0)} ms, ${(keptBytes / 1e6).toFixed(1)} MB kept, ` +
        `advice (${advice?.kind}) in ${tookMs.toFixed(1)} ms, resident at its peak ${Math.round(process.resourceUsage().maxRSS / 1e3)} MB`,
    );
  }
} finally {
  await close();
  await plane.stop();
}
