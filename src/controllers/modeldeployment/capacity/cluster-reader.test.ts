import { beforeEach, describe, expect, test } from 'vitest';
import { gpuPod } from '../../../capacity/testing/snapshots.ts';
import type { CapacitySnapshot } from '../../../capacity/types.ts';
import { ApiClient } from '../../../runtime/api-client.ts';
import { ApiError } from '../../../runtime/api-error.ts';
import type { ApiRequest, Transport } from '../../../runtime/kube-transport.ts';
import { ClusterReader } from './cluster-reader.ts';

const GPU = 'nvidia.com/gpu';
const SIGNAL = new AbortController().signal;

interface Item {
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: { readonly nodeName?: string } & Readonly<Record<string, unknown>>;
}

/** Lists in pages of at most three, which can be forbidden. */
class Cluster implements Transport {
  readonly lists = new Map<string, readonly Item[]>();
  readonly forbidden = new Set<string>();
  asked: string[] = [];
  /** What a list takes. */
  tookMs = 0;
  spentMs = 0;

  async json({ path }: ApiRequest): Promise<unknown> {
    const url = new URL(path, 'http://cluster');
    const plural = url.pathname.split('/').at(-1) ?? '';
    this.asked.push(path);
    this.spentMs += this.tookMs;
    if (this.forbidden.has(plural)) throw new ApiError(path, 403, { reason: 'Forbidden' });
    const node = /spec\.nodeName=(.*)/.exec(url.searchParams.get('fieldSelector') ?? '')?.[1];
    const namespace = /\/namespaces\/([^/]+)\//.exec(url.pathname)?.[1];
    const all = (this.lists.get(plural) ?? []).filter(
      ({ metadata, spec }) =>
        (node === undefined || spec?.nodeName === node) &&
        (namespace === undefined || metadata.namespace === namespace),
    );
    const from = Number(url.searchParams.get('continue') ?? 0);
    const next = from + 3 < all.length ? String(from + 3) : '';
    return { metadata: { resourceVersion: '1', continue: next }, items: structuredClone(all.slice(from, from + 3)) };
  }

  // biome-ignore lint/correctness/useYield: nothing here is watched
  async *stream(): AsyncGenerator<Uint8Array> {
    throw new Error('nothing is watched');
  }

  async close(): Promise<void> {}
}

const node = (name: string, gpus: string, rest: object = {}) => ({
  metadata: { name, labels: { name } },
  status: {
    allocatable: { cpu: '8', memory: '32Gi', pods: '110', [GPU]: gpus },
    conditions: [{ type: 'Ready', status: 'True' }],
  },
  ...rest,
});

const pod = (name: string, nodeName: string, rest: object = {}) => ({
  metadata: { name, namespace: 'shop', ...rest },
  spec: { nodeName, containers: [{ name: 'server', resources: { limits: { [GPU]: '1' } } }] },
});

describe('reading the cluster', () => {
  let cluster: Cluster;
  let reader: ClusterReader;
  const read = (nowMs = 0, pods = [gpuPod(1)], client = new ApiClient(cluster, 'test')): Promise<CapacitySnapshot> =>
    reader.read({ client, now: () => nowMs + cluster.spentMs, signal: SIGNAL }, 'shop', ['shop', 'lab'], pods);

  beforeEach(() => {
    cluster = new Cluster();
    reader = new ClusterReader();
    cluster.lists.set('nodes', [node('gpu-1', '2'), node('gpu-2', '2'), node('cpu-1', '0'), node('cpu-2', '0')]);
    const ended = { ...pod('ended', 'gpu-1'), status: { phase: 'Succeeded' } };
    cluster.lists.set('pods', [
      ...['a', 'b', 'c', 'd'].map((name) => pod(name, 'gpu-1')),
      pod('e', 'gpu-2', { deletionTimestamp: '1970-01-01T00:01:00Z' }),
      ended,
    ]);
  });

  test('pods are asked for on nodes that come into question, page by page, and on no others', async () => {
    const { nodes } = await read();
    if (nodes === 'unreadable') throw new Error('nodes are readable');
    expect(nodes.map(({ name, pods }) => [name, pods?.map((each) => each.name)])).toEqual([
      ['gpu-1', ['a', 'b', 'c', 'd']],
      ['gpu-2', ['e']],
      ['cpu-1', undefined],
      ['cpu-2', undefined],
    ]);
    expect(nodes[1]?.pods?.[0]).toMatchObject({ namespace: 'shop', priority: 0, endsAtMs: 60_000 });
    const podLists = cluster.asked.filter((path) => path.includes('/pods?'));
    expect(podLists.every((path) => path.includes('spec.nodeName%3Dgpu-'))).toBe(true);
  });

  test('of many nodes all pods are read at once, those that have ended left out', async () => {
    cluster.lists.set(
      'nodes',
      Array.from({ length: 101 }, (_, index) => node(`gpu-${index}`, '2')),
    );
    const { nodes } = await read();
    expect(nodes === 'unreadable' ? [] : nodes.find(({ name }) => name === 'gpu-1')?.pods).toHaveLength(4);
    const podLists = cluster.asked.filter((path) => path.includes('/pods?'));
    expect(podLists.some((path) => path.includes('nodeName'))).toBe(false);
  });

  test('pods that request the same share one object', async () => {
    const { nodes } = await read();
    const uses = nodes === 'unreadable' ? [] : (nodes[0]?.pods ?? []);
    expect(new Set(uses.map(({ requests }) => requests)).size).toBe(1);
  });

  test('what was just read is not read again, and then it is', async () => {
    await Promise.all([read(0), read(0)]);
    const first = cluster.asked.length;
    cluster.asked = [];
    await read(1_000);
    expect(cluster.asked.filter((path) => !path.includes('/shop/resourcequotas'))).toEqual([]);
    cluster.asked = [];
    await read(2_001);
    expect(cluster.asked).toHaveLength(first);
  });

  test('the quotas of whoever asks are read each time: its last pod is in their use', async () => {
    await read(0);
    cluster.asked = [];
    await read(1);
    expect(cluster.asked).toEqual([expect.stringContaining('/shop/resourcequotas')]);
  });

  test('a clock that steps back makes nothing fresh', async () => {
    await read(7_200_000);
    const first = cluster.asked.length;
    await read(0);
    expect(cluster.asked).toHaveLength(2 * first);
  });

  test('what takes long to read is read less often', async () => {
    cluster.tookMs = 500;
    await read();
    cluster.asked = [];
    await read(5_000);
    expect(cluster.asked.filter((path) => !path.includes('/shop/resourcequotas'))).toEqual([]);
  });

  test('where no pod needs counting nodes are not read', async () => {
    expect((await read(0, [])).nodes).toBe('unreadable');
    expect(cluster.asked.every((path) => path.includes('/resourcequotas'))).toBe(true);
  });

  test.each([
    ['nodes', { nodes: 'unreadable' }],
    ['pods', { nodes: 'unreadable' }],
    ['resourcequotas', { quotas: 'unreadable' }],
    ['priorityclasses', { priorityClasses: 'unreadable' }],
  ])('without the right to list %s it says so, and does not ask again at once', async (plural, expected) => {
    cluster.forbidden.add(plural);
    expect(await read(0)).toMatchObject(expected);
    cluster.asked = [];
    await read(60_000);
    expect(cluster.asked.filter((path) => path.includes(`/${plural}?`))).toEqual([]);
  });

  test('a list that fails is an error, and is tried again', async () => {
    const broken = new ApiClient(
      Object.assign(Object.create(cluster) as Cluster, {
        json: () => Promise.reject(new ApiError('GET /api/v1/nodes', 500, { reason: 'InternalError' })),
      }),
      'test',
    );
    await expect(read(0, [gpuPod(1)], broken)).rejects.toThrow('InternalError');
    expect((await read()).nodes).toHaveLength(4);
  });

  test('quotas and priority classes are read as the API server has them', async () => {
    cluster.lists.set('resourcequotas', [
      Object.assign(
        { metadata: { name: 'gpus', namespace: 'shop' } },
        {
          spec: { scopes: ['NotTerminating'], hard: { pods: '9' } },
          status: { hard: { pods: '10' }, used: { pods: '4' } },
        },
      ),
    ]);
    cluster.lists.set('priorityclasses', [
      Object.assign({ metadata: { name: 'polite' } }, { value: 7, preemptionPolicy: 'Never' }),
    ]);
    const { quotas, priorityClasses } = await read();
    expect(quotas).toMatchObject([{ name: 'gpus', scopes: [{ name: 'NotTerminating', operator: 'Exists' }] }]);
    expect(quotas === 'unreadable' ? undefined : quotas[0]?.hard.get('pods')).toBe(10_000_000_000n);
    expect(priorityClasses).toEqual([{ name: 'polite', value: 7, isGlobalDefault: false, mayPreempt: false }]);
  });
});
