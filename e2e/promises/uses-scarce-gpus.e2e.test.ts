import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createKwokNodes, deleteKwokNodes, KWOK_TAINT } from '../cluster/kwok.ts';
import { kubectl, until, untilReady, useNamespace } from '../environment.ts';
import { type ClusterObject, condition } from '../kubectl.ts';

const GPU = 'nvidia.com/gpu';
const MIG = 'nvidia.com/mig-1g.18gb';
const PRODUCT = 'nvidia.com/gpu.product';
/** Long enough to be seen, short enough for a test. */
const PROVISION_TIMEOUT = '6s';

interface Nodes {
  readonly name: string;
  readonly count?: number;
  readonly devices: Readonly<Record<string, string>>;
}

/** Nodes that only seem to exist, of a GPU product of their own, so that tests do not take room from each other. */
function useGpuNodes({ name, count = 1, devices }: Nodes): string {
  const nodes = { prefix: name, count, extendedResources: devices, labels: { [PRODUCT]: name } };
  beforeAll(() => createKwokNodes(inject('cluster').kubeconfigPath, nodes));
  afterAll(() => deleteKwokNodes(inject('cluster').kubeconfigPath, nodes));
  return name;
}

const model = (version: number) => ({
  uri: `https://models.example.dev/${version}/model.onnx`,
  sha256: String(version).repeat(64),
});

function onGpus(namespace: string, name: string, product: string, spec: Readonly<Record<string, unknown>>): object {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name, namespace },
    spec: {
      model: model(1),
      resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { [GPU]: '1' } },
      accelerator: { product: [product] },
      pod: { tolerations: [{ key: KWOK_TAINT.key, operator: 'Exists' }] },
      ...spec,
    },
  };
}

const capacity = { mode: 'Auto', provisionTimeout: PROVISION_TIMEOUT };
const quick = (weight: number) => ({ weight, hold: '1s', analyse: [] });
const canary = { strategy: 'Canary', steps: [{ smoke: {} }, quick(25), quick(50)], capacity };

interface Seen {
  /** In what status told: what lasts for a moment only may be between two writes of it. */
  readonly leastReady: number;
  /** Of both revisions together, as it was decided: how many there are, two Deployments tell at two times. */
  readonly mostPlanned: number;
  /** What was said of missing room, each once. */
  readonly shortfalls: readonly string[];
}

/** Changes the model and follows the rollout to its end. */
async function rollOut(namespace: string, name: string, version: number): Promise<Seen> {
  await kubectl().patch('md', namespace, name, { spec: { model: model(version) } });
  return await follow(namespace, name, version);
}

async function follow(namespace: string, name: string, version: number): Promise<Seen> {
  const ready: number[] = [];
  const planned: number[] = [];
  const shortfalls = new Set<string>();
  await until(namespace, name, ({ status }: ClusterObject) => {
    ready.push(status.readyReplicas);
    planned.push((status.stable?.replicas ?? 0) + (status.canary?.replicas ?? 0));
    const room = condition({ metadata: { name }, status }, 'CapacityAvailable');
    if (room?.status === 'False') shortfalls.add(`${room.reason}: ${room.message}`);
    return status.phase === 'Ready' && status.model.sha256 === model(version).sha256;
  });
  return { leastReady: Math.min(...ready), mostPlanned: Math.max(...planned), shortfalls: [...shortfalls] };
}

const texts = ({ shortfalls }: Seen): string => shortfalls.join('\n');

describe('a rollout on scarce GPUs', () => {
  describe.each([
    ['Rolling', { strategy: 'Rolling', capacity }],
    ['Canary', canary],
    ['BlueGreen', { strategy: 'BlueGreen', keepPrevious: '0s', capacity }],
  ])('%s where all are in use', (strategy, rollout) => {
    const namespace = useNamespace(`e2e-full-${strategy.toLowerCase()}`);
    const product = useGpuNodes({ name: `full-${strategy.toLowerCase()}`, devices: { [GPU]: '4' } });

    it('has old pods give way one for one instead of hanging, and says what is missing', async () => {
      await kubectl().apply(onGpus(namespace, 'model', product, { replicas: 4, rollout }));
      await untilReady(namespace, 'model');
      const seen = await rollOut(namespace, 'model', 2);
      expect(seen.leastReady).toBeGreaterThanOrEqual(3);
      expect(texts(seen)).toContain(`needs 1 ${GPU} of ${product}: 4 of 4 in use on 1 matching node`);
      expect(texts(seen)).toMatch(/left Pending for 6 s, so that a cluster autoscaler may add a node/);
    });
  });

  describe('where one is free', () => {
    const namespace = useNamespace('e2e-one-free');
    const product = useGpuNodes({ name: 'one-free', devices: { [GPU]: '4' } });

    it('adds new pods beside the old, and requests never meet fewer than before', async () => {
      const rolling = { strategy: 'Rolling', capacity };
      await kubectl().apply(onGpus(namespace, 'model', product, { replicas: 3, rollout: rolling }));
      await untilReady(namespace, 'model');
      const seen = await rollOut(namespace, 'model', 2);
      expect(seen.leastReady).toBeGreaterThanOrEqual(3);
      expect(seen.mostPlanned).toBeLessThanOrEqual(4);
      // That a new pod waits may be said until an old one that was told to go is gone; that one has to give way may not.
      expect(texts(seen)).not.toContain('give way');
    });

    it('brings two rollouts that want it to their ends, and neither loses the pod that serves', async () => {
      await kubectl().delete('md', namespace, 'model');
      const single = { replicas: 1, rollout: { strategy: 'Rolling', capacity } };
      const names = ['first', 'second', 'third'];
      await kubectl().apply(...names.map((name) => onGpus(namespace, name, product, single)));
      for (const name of names) await untilReady(namespace, name);
      await kubectl().patch('md', namespace, 'first', { spec: { model: model(2) } });
      const both = await Promise.all([follow(namespace, 'first', 2), rollOut(namespace, 'second', 2)]);
      for (const { leastReady } of both) expect(leastReady).toBeGreaterThanOrEqual(1);
    });
  });

  describe('where a single pod has the last one', () => {
    const namespace = useNamespace('e2e-last-gpu');
    const product = useGpuNodes({ name: 'last-gpu', devices: { [GPU]: '2' } });

    it('waits with the pod that serves, says why, and goes on when a GPU is free', async () => {
      const single = { replicas: 1, rollout: { strategy: 'Rolling', capacity } };
      await kubectl().apply(
        onGpus(namespace, 'model', product, single),
        onGpus(namespace, 'neighbour', product, single),
      );
      await untilReady(namespace, 'model');
      await untilReady(namespace, 'neighbour');
      await kubectl().patch('md', namespace, 'model', { spec: { model: model(2) } });
      const stuck = await until(
        namespace,
        'model',
        (object) => condition(object, 'CapacityAvailable')?.reason === 'InsufficientCapacity',
      );
      expect(condition(stuck, 'CapacityAvailable')?.message).toContain(
        `needs 1 ${GPU} of ${product}: 2 of 2 in use on 1 matching node`,
      );
      expect(condition(stuck, 'CapacityAvailable')?.message).toContain(
        'no old pod may give way without leaving fewer ready than the rollout allows',
      );
      expect(condition(stuck, 'Available')?.status).toBe('True');
      await kubectl().delete('md', namespace, 'neighbour');
      expect((await follow(namespace, 'model', 2)).leastReady).toBeGreaterThanOrEqual(1);
    });
  });

  describe('where a quota has none left', () => {
    const namespace = useNamespace('e2e-gpu-quota');
    const product = useGpuNodes({ name: 'gpu-quota', devices: { [GPU]: '8' } });

    it('has old pods give way before new ones are asked for', async () => {
      await kubectl().apply({
        apiVersion: 'v1',
        kind: 'ResourceQuota',
        metadata: { name: 'gpus', namespace },
        spec: { hard: { [`requests.${GPU}`]: '3' } },
      });
      await kubectl().apply(onGpus(namespace, 'model', product, { replicas: 3, rollout: canary }));
      await untilReady(namespace, 'model');
      const seen = await rollOut(namespace, 'model', 2);
      expect(seen.leastReady).toBeGreaterThanOrEqual(2);
      expect(texts(seen)).toContain(`quota gpus has 0 of 3 requests.${GPU} left`);
    });
  });

  describe('of MIG devices where all are in use', () => {
    const namespace = useNamespace('e2e-mig');
    const product = useGpuNodes({ name: 'mig', count: 2, devices: { [MIG]: '2' } });

    it('has old pods give way one for one', async () => {
      const spec = {
        replicas: 4,
        resources: { requests: { cpu: '10m', memory: '16Mi' } },
        accelerator: { product: [product], mig: '1g.18gb' },
        rollout: canary,
      };
      await kubectl().apply(onGpus(namespace, 'model', product, spec));
      await untilReady(namespace, 'model');
      const seen = await rollOut(namespace, 'model', 2);
      expect(seen.leastReady).toBeGreaterThanOrEqual(3);
      expect(texts(seen)).toContain(`needs 1 ${MIG} of ${product}: 4 of 4 in use on 2 matching nodes`);
    });
  });
});
