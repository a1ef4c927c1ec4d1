import type { V1NodeSelectorRequirement, V1PodSpec, V1Toleration } from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import { mismatch } from './node-match.ts';
import { podDemand } from './pod-demand.ts';
import { container, node } from './testing/snapshots.ts';
import type { NodeRoom } from './types.ts';

const GPU_NODE = node('gpu-1', {}, { labels: { product: 'H100', zone: 'a', cores: '64' } });
const kindOf = (spec: Partial<V1PodSpec>, on: NodeRoom = GPU_NODE) =>
  mismatch(podDemand({ containers: [container({})], ...spec }), on)?.kind;

const required = (...terms: V1NodeSelectorRequirement[][]): Partial<V1PodSpec> => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: terms.map((matchExpressions) => ({ matchExpressions })),
      },
    },
  },
});

test('a pod without wishes goes to any node that takes pods', () => {
  expect(kindOf({})).toBeUndefined();
});

describe('labels', () => {
  test.each<[V1NodeSelectorRequirement, boolean]>([
    [{ key: 'product', operator: 'In', values: ['H200', 'H100'] }, true],
    [{ key: 'product', operator: 'In', values: ['A100'] }, false],
    [{ key: 'absent', operator: 'In', values: ['x'] }, false],
    [{ key: 'product', operator: 'NotIn', values: ['A100'] }, true],
    [{ key: 'product', operator: 'NotIn', values: ['H100'] }, false],
    [{ key: 'absent', operator: 'NotIn', values: ['x'] }, true],
    [{ key: 'zone', operator: 'Exists' }, true],
    [{ key: 'absent', operator: 'Exists' }, false],
    [{ key: 'constructor', operator: 'Exists' }, false],
    [{ key: 'absent', operator: 'DoesNotExist' }, true],
    [{ key: 'zone', operator: 'DoesNotExist' }, false],
    [{ key: 'cores', operator: 'Gt', values: ['63'] }, true],
    [{ key: 'cores', operator: 'Gt', values: ['64'] }, false],
    [{ key: 'cores', operator: 'Lt', values: ['100'] }, true],
    [{ key: 'zone', operator: 'Lt', values: ['100'] }, false],
    [{ key: 'zone', operator: 'OfTheFuture' }, false],
  ])('%j: %s', (requirement, matches) => {
    expect(kindOf(required([requirement]))).toBe(matches ? undefined : 'Label');
  });

  test('all requirements of a term hold, and one term is enough', () => {
    const inZone = (zone: string) => ({ key: 'zone', operator: 'In', values: [zone] });
    const isH100 = { key: 'product', operator: 'In', values: ['H100'] };
    expect(kindOf(required([isH100, inZone('b')]))).toBe('Label');
    expect(kindOf(required([isH100, inZone('b')], [inZone('a')]))).toBeUndefined();
  });

  test('an empty term matches no node', () => {
    expect(kindOf(required([]))).toBe('Label');
  });

  test('matchFields names nodes', () => {
    const byName = (name: string): Partial<V1PodSpec> => ({
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }] }],
          },
        },
      },
    });
    expect(kindOf(byName('gpu-1'))).toBeUndefined();
    expect(kindOf(byName('gpu-2'))).toBe('Label');
  });

  test('nodeSelector and nodeName hold too', () => {
    expect(kindOf({ nodeSelector: { zone: 'a' } })).toBeUndefined();
    expect(kindOf({ nodeSelector: { zone: 'b' } })).toBe('Label');
    expect(kindOf({ nodeName: 'gpu-1' })).toBeUndefined();
    expect(kindOf({ nodeName: 'gpu-2' })).toBe('Label');
  });
});

describe('taints', () => {
  const tainted = (effect: string) => node('n', {}, { taints: [{ key: 'gpu', value: 'yes', effect }] });
  test.each<[string, V1Toleration[], string, boolean]>([
    ['none', [], 'NoSchedule', false],
    ['none of NoExecute', [], 'NoExecute', false],
    ['PreferNoSchedule keeps nobody away', [], 'PreferNoSchedule', true],
    ['Exists', [{ key: 'gpu', operator: 'Exists' }], 'NoSchedule', true],
    ['Exists without a key', [{ operator: 'Exists' }], 'NoExecute', true],
    ['Equal', [{ key: 'gpu', operator: 'Equal', value: 'yes' }], 'NoSchedule', true],
    ['Equal by default', [{ key: 'gpu', value: 'yes' }], 'NoSchedule', true],
    ['another value', [{ key: 'gpu', value: 'no' }], 'NoSchedule', false],
    ['another key', [{ key: 'cpu', operator: 'Exists' }], 'NoSchedule', false],
    ['another effect', [{ key: 'gpu', operator: 'Exists', effect: 'NoExecute' }], 'NoSchedule', false],
  ])('%s', (_title, tolerations, effect, matches) => {
    expect(kindOf({ tolerations }, tainted(effect))).toBe(matches ? undefined : 'Taint');
  });
});

test('a node that is cordoned or not ready takes none', () => {
  expect(kindOf({}, node('n', {}, { isSchedulable: false }))).toBe('Cordoned');
  expect(kindOf({}, node('n', {}, { isReady: false }))).toBe('NotReady');
});
