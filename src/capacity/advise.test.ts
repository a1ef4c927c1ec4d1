import { describe, expect, test } from 'vitest';
import { advise } from './advise.ts';
import { ASK_AGAIN_MS } from './plan-claim.ts';
import { podDemand } from './pod-demand.ts';
import {
  claim,
  container,
  GPU,
  gpuPod,
  node,
  PRODUCT,
  productAffinity,
  quota,
  snapshot,
  use,
  uses,
} from './testing/snapshots.ts';
import type { CapacityAdvice, CapacityClaim, CapacitySnapshot } from './types.ts';

const NOW = 1_000_000;
const H100 = { [PRODUCT]: 'NVIDIA-H100' };

const alone = (of: CapacitySnapshot, asked: CapacityClaim): CapacityAdvice | undefined =>
  advise(of, [asked], NOW).get(asked.rollout);

/** One node of eight GPUs, all in use by the old revision. */
const FULL = snapshot([node('gpu-1', { [GPU]: '8' }, { labels: H100, pods: uses('old', 8, gpuPod(1)) })]);
const OLD = Array.from({ length: 8 }, (_, index) => `old-${index}`);
const swapping = { isSwapping: true, removable: 1, oldPods: OLD, wanted: 8 };
const pendingSince = (agoMs: number) => ({ count: 1, sinceMs: NOW - agoMs });

describe('where there is room', () => {
  test('as many as fit are added', () => {
    const two = snapshot([node('a', { [GPU]: '8' }, { pods: uses('other', 6, gpuPod(1)) })]);
    expect(alone(two, claim({ wanted: 3 }))).toMatchObject({
      kind: 'Fits',
      pods: 2,
      message: '2 of 3 pods fit beside what runs',
    });
    expect(alone(two, claim({ wanted: 1 }))).toMatchObject({ kind: 'Fits', pods: 1 });
  });

  test('it is asked again whether they came: one that is refused tells nobody', () => {
    const roomy = snapshot([node('a', { [GPU]: '8' })]);
    expect(alone(roomy, claim())).toMatchObject({ kind: 'Fits', askAgainAtMs: NOW + ASK_AGAIN_MS });
    expect(alone(snapshot('unreadable'), claim())).toMatchObject({ kind: 'Fits', askAgainAtMs: NOW + ASK_AGAIN_MS });
  });

  test('a rollout that wants nothing is in nobody’s way', () => {
    const one = snapshot([node('a', { [GPU]: '1' })]);
    const advice = advise(
      one,
      [claim({ rollout: 'shop/a', wanted: 0 }), claim({ rollout: 'shop/b', startedAtMs: 1 })],
      NOW,
    );
    expect(advice.get('shop/a')).toMatchObject({ kind: 'Fits', pods: 0 });
    expect(advice.get('shop/b')).toMatchObject({ kind: 'Fits', pods: 1 });
  });

  test('a MIG device is a resource like another', () => {
    const mig = 'nvidia.com/mig-1g.18gb';
    const pod = podDemand({ containers: [container({ [mig]: '1' })] });
    const sliced = snapshot([node('a', { [mig]: '7', [GPU]: '0' }, { pods: uses('other', 4, pod) })]);
    expect(alone(sliced, claim({ pod, wanted: 9 }))).toMatchObject({ kind: 'Fits', pods: 3 });
  });

  test('the places for pods of a node count too', () => {
    const crowded = snapshot([node('a', { [GPU]: '8', pods: '2' }, { pods: uses('other', 1, gpuPod(0)) })]);
    expect(alone(crowded, claim({ wanted: 3 }))).toMatchObject({ kind: 'Fits', pods: 1 });
  });
});

describe('where there is none', () => {
  test('one pod is left Pending so that a cluster autoscaler may act, and the message says what is missing', () => {
    const nodes = [
      node('gpu-1', { [GPU]: '8' }, { labels: H100, pods: uses('old', 8, gpuPod(1)) }),
      ...['a', 'b', 'c'].map((name) => node(name, { [GPU]: '8' })),
      node('d', { [GPU]: '8' }, { labels: H100, isSchedulable: false }),
      node('cpu-1', {}),
      node('cpu-2', {}),
    ];
    const quotas = [quota('gpu-quota', { [`requests.${GPU}`]: '9' }, { [`requests.${GPU}`]: '9' })];
    const pod = gpuPod(1, productAffinity('NVIDIA-H100'));
    const asked = claim({ pod, wanted: 2, pending: pendingSince(1_000) });
    expect(alone(snapshot(nodes, { quotas }), asked)).toEqual({
      kind: 'PendingSurge',
      pods: 1,
      untilMs: NOW - 1_000 + 180_000,
      askAgainAtMs: NOW + ASK_AGAIN_MS,
      message:
        'needs 1 nvidia.com/gpu of NVIDIA-H100: 8 of 8 in use on 1 matching node; 3 nodes lack label ' +
        'nvidia.com/gpu.product=NVIDIA-H100, 1 is cordoned, 2 have no nvidia.com/gpu; 1 pod left Pending for 180 s, ' +
        'so that a cluster autoscaler may add a node; quota gpu-quota has 0 of 9 requests.nvidia.com/gpu left',
    });
  });

  test('after that time old pods give way one for one, no more than may', () => {
    const asked = claim({ pending: pendingSince(180_000), wanted: 8, removable: 2, oldPods: OLD });
    expect(alone(FULL, asked)).toMatchObject({ kind: 'Swap', remove: 2, pods: 2, victims: [] });
  });

  test('a rollout that swaps already does not wait for the autoscaler again', () => {
    expect(alone(FULL, claim(swapping))).toMatchObject({ kind: 'Swap', remove: 1, pods: 1 });
  });

  test('old pods that are ending are waited for, since they hold their GPUs until they are gone', () => {
    const pods = [...uses('old', 7, gpuPod(1)), use('old-7', gpuPod(1), { endsAtMs: NOW + 30_000 })];
    const ending = snapshot([node('gpu-1', { [GPU]: '8' }, { pods })]);
    expect(alone(ending, claim({ ...swapping, removable: 0, ending: 1 }))).toMatchObject({
      kind: 'Wait',
      reason: 'PodsEnding',
      pods: 1,
    });
  });

  test('but not for ever: a node that is lost never lets go', () => {
    const pods = uses('lost', 8, gpuPod(1), { endsAtMs: NOW - 3_600_000 });
    const lost = snapshot([node('gpu-1', { [GPU]: '8' }, { pods })]);
    expect(alone(lost, claim())).toMatchObject({ kind: 'PendingSurge' });
  });

  test('new pods have to be ready before more old ones give way', () => {
    expect(alone(FULL, claim({ ...swapping, removable: 0, starting: 1 }))).toMatchObject({
      kind: 'Wait',
      reason: 'PodsStarting',
      pods: 0,
    });
  });

  test('at the floor it waits, with one pod Pending for the next room', () => {
    expect(alone(FULL, claim({ ...swapping, removable: 0 }))).toMatchObject({
      kind: 'Wait',
      reason: 'InsufficientCapacity',
      pods: 1,
      message:
        'needs 1 nvidia.com/gpu: 8 of 8 in use on 1 matching node; no old pod may give way without leaving fewer ready ' +
        'than the rollout allows',
    });
  });

  test('old pods on nodes that do not suit are not taken away for nothing', () => {
    const asked = claim({ ...swapping, pod: gpuPod(1, productAffinity('NVIDIA-H200')) });
    const advice = alone(FULL, asked);
    expect(advice).toMatchObject({ kind: 'Wait', reason: 'InsufficientCapacity' });
    expect(advice?.message).toContain('needs 1 nvidia.com/gpu of NVIDIA-H200: no node matches; 1 node lacks label');
    expect(advice?.message).toContain('none of the old pods that may give way would make room');
  });

  test('of old pods on several kinds of nodes those are named that make room', () => {
    const both = snapshot([
      node('a', { [GPU]: '1' }, { pods: [use('old-0', gpuPod(1))] }),
      node('b', { [GPU]: '1' }, { labels: H100, pods: [use('old-1', gpuPod(1))] }),
    ]);
    const pod = gpuPod(1, productAffinity('NVIDIA-H100'));
    const asked = claim({ ...swapping, pod, oldPods: ['old-0', 'old-1'] });
    expect(alone(both, asked)).toMatchObject({ kind: 'Swap', remove: 1, victims: ['old-1'] });
  });

  test('a larger pod needs several small ones to go, on one node', () => {
    const pods = (prefix: string) => uses(prefix, 2, gpuPod(1));
    const two = snapshot([
      node('a', { [GPU]: '2' }, { pods: pods('x') }),
      node('b', { [GPU]: '2' }, { pods: pods('y') }),
    ]);
    const asked = claim({ ...swapping, pod: gpuPod(2), oldPods: ['x-0', 'x-1', 'y-0', 'y-1'], removable: 2 });
    expect(alone(two, asked)).toMatchObject({ kind: 'Swap', remove: 2, pods: 1, victims: ['x-0', 'x-1'] });
    expect(alone(two, { ...asked, removable: 1 })).toMatchObject({ kind: 'Wait', reason: 'InsufficientCapacity' });
  });

  test('room in pieces is told as such', () => {
    const pods = uses('other', 7, gpuPod(1));
    const pieces = snapshot([node('a', { [GPU]: '8' }, { pods }), node('b', { [GPU]: '8' }, { pods })]);
    expect(alone(pieces, claim({ pod: gpuPod(2) }))?.message).toContain(
      'needs 2 nvidia.com/gpu: 14 of 16 in use on 2 matching nodes with at most 1 left on one',
    );
  });

  test('what the scheduler may preempt is told; it decides', () => {
    const priorityClasses = [
      { name: 'serving', value: 1000, isGlobalDefault: false, mayPreempt: true },
      { name: 'polite', value: 1000, isGlobalDefault: false, mayPreempt: false },
    ];
    const of = { ...FULL, priorityClasses };
    const urgent = claim({ pod: gpuPod(1, { priorityClassName: 'serving' }) });
    expect(alone(of, urgent)?.message).toContain('the scheduler may preempt 1 pod of lower priority on node gpu-1');
    const polite = claim({ pod: gpuPod(1, { priorityClassName: 'polite' }) });
    expect(alone(of, polite)?.message).not.toContain('preempt');
  });
});

describe('modes', () => {
  test('Surge never takes an old pod away first, and leaves all pods Pending', () => {
    const asked = claim({ ...swapping, mode: 'Surge', wanted: 3, pending: pendingSince(600_000) });
    expect(alone(FULL, asked)).toMatchObject({ kind: 'PendingSurge', pods: 3 });
  });

  test('Swap adds nothing beside the old pods, even where there is room', () => {
    const roomy = snapshot([node('a', { [GPU]: '16' }, { pods: uses('old', 8, gpuPod(1)) })]);
    const asked = claim({ mode: 'Swap', wanted: 8, removable: 1, oldPods: OLD });
    expect(alone(roomy, asked)).toMatchObject({ kind: 'Swap', remove: 1 });
    expect(alone(roomy, { ...asked, vacant: 1, removable: 0 })).toMatchObject({ kind: 'Fits', pods: 1 });
  });

  test('Swap takes the room of other nodes where the old pods are on such as do not suit', () => {
    const pod = gpuPod(1, productAffinity('H200'));
    const nodes = [
      node('old', { [GPU]: '2' }, { labels: { [PRODUCT]: 'H100' }, pods: uses('old', 2, gpuPod(1)) }),
      node('new', { [GPU]: '8' }, { labels: { [PRODUCT]: 'H200' } }),
    ];
    const asked = claim({ pod, mode: 'Swap', wanted: 2, removable: 1, oldPods: OLD.slice(0, 2) });
    expect(alone(snapshot(nodes), asked)).toMatchObject({ kind: 'Swap', remove: 1, pods: 1, victims: [] });
    expect(alone(snapshot(nodes), { ...asked, removable: 0 })).toMatchObject({ kind: 'Wait', pods: 0 });
  });

  test('Swap does not wait for a cluster autoscaler', () => {
    expect(alone(FULL, claim({ ...swapping, isSwapping: false, mode: 'Swap' }))).toMatchObject({ kind: 'Swap' });
  });
});

describe('quotas', () => {
  const roomy = [node('a', { [GPU]: '16' }, { pods: uses('old', 8, gpuPod(1)) })];
  const quotas = [quota('gpus', { [`requests.${GPU}`]: '8' }, { [`requests.${GPU}`]: '8' })];
  const full = snapshot(roomy, { quotas });

  test('a full one is no matter for a cluster autoscaler: old pods give way at once, before new ones are asked for', () => {
    const asked = claim({ wanted: 8, removable: 1, oldPods: OLD, oldDemands: [gpuPod(1)] });
    expect(alone(full, asked)).toMatchObject({ kind: 'Swap', remove: 1, pods: 0 });
  });

  test('no old pod gives way where all that may would not give back what a new one needs', () => {
    const asked = claim({ pod: gpuPod(2), wanted: 4, oldPods: OLD, oldDemands: Array(8).fill(gpuPod(1)) });
    expect(alone(full, { ...asked, removable: 1 })).toMatchObject({
      kind: 'Wait',
      reason: 'QuotaExceeded',
      pods: 0,
      message:
        'quota gpus has 0 of 8 requests.nvidia.com/gpu left; none of the old pods that may give way would make room',
    });
    expect(alone(full, { ...asked, removable: 2 })).toMatchObject({ kind: 'Swap', remove: 2, pods: 0 });
    const half = snapshot(roomy, {
      quotas: [quota('gpus', { [`requests.${GPU}`]: '9' }, { [`requests.${GPU}`]: '8' })],
    });
    expect(alone(half, { ...asked, removable: 1 })).toMatchObject({ kind: 'Swap', remove: 1, pods: 0 });
  });

  test('at the floor it waits without a pod that would be refused', () => {
    expect(alone(full, claim({ wanted: 8, oldPods: OLD }))).toMatchObject({
      kind: 'Wait',
      reason: 'QuotaExceeded',
      pods: 0,
      message:
        'quota gpus has 0 of 8 requests.nvidia.com/gpu left; no old pod may give way without leaving fewer ready than ' +
        'the rollout allows',
    });
  });

  test('pods that are Pending are in its use already', () => {
    expect(alone(full, claim({ wanted: 1, pending: pendingSince(0) }))).toMatchObject({ kind: 'Fits', pods: 1 });
  });

  test('what it has left bounds what is added', () => {
    const some = [quota('gpus', { [`requests.${GPU}`]: '10' }, { [`requests.${GPU}`]: '8' })];
    expect(alone(snapshot(roomy, { quotas: some }), claim({ wanted: 8 }))).toMatchObject({ kind: 'Fits', pods: 2 });
  });

  test('of pods that do not say what it counts one is asked for, as long as anything is left', () => {
    const pod = podDemand({ containers: [container({ memory: '2Gi' }, { cpu: '1' })] });
    const unsaid = (used: string) =>
      snapshot('unreadable', { quotas: [quota('team', { 'limits.cpu': '100' }, { 'limits.cpu': used })] });
    const asked = claim({ pod, wanted: 3, removable: 1, oldDemands: [pod] });
    expect(alone(unsaid('4'), asked)).toMatchObject({ kind: 'Fits', pods: 1 });
    expect(alone(unsaid('4'), { ...asked, mode: 'Surge' })).toMatchObject({ kind: 'Fits', pods: 1 });
    expect(alone(unsaid('100'), asked)).toMatchObject({ kind: 'Swap', remove: 1 });
  });

  test('a pod that names no priority class is of the default one, as admission makes it', () => {
    const priorityClasses = [{ name: 'standard', value: 1, isGlobalDefault: true, mayPreempt: true }];
    const of = (operator: 'In' | 'DoesNotExist', values: readonly string[], pods: string) => {
      const scopes = [{ name: 'PriorityClass', operator, values }];
      const quotas = [{ ...quota('q', { pods: '4' }, { pods }), scopes }];
      return alone(snapshot(roomy, { quotas, priorityClasses }), claim());
    };
    expect(of('In', ['standard'], '4')).toMatchObject({ kind: 'Wait', reason: 'QuotaExceeded' });
    expect(of('DoesNotExist', [], '4')).toMatchObject({ kind: 'Fits', pods: 1 });
  });

  test('the last of it goes to one rollout', () => {
    const last = snapshot(roomy, { quotas: [quota('gpus', { pods: '9' }, { pods: '8' })] });
    const asked = [claim({ rollout: 'shop/a' }), claim({ rollout: 'shop/b', startedAtMs: 1 })];
    const advice = advise(last, asked, NOW);
    expect(advice.get('shop/a')).toMatchObject({ kind: 'Fits', pods: 1 });
    expect(advice.get('shop/b')).toMatchObject({ kind: 'Wait', behind: 'shop/a', pods: 0 });
  });
});

describe('rollouts that want the same', () => {
  const oldest = claim({ rollout: 'shop/b', startedAtMs: 1 });
  const later = claim({ rollout: 'shop/a', startedAtMs: 2 });

  test('the oldest takes the last GPU, and the other says whom it waits for', () => {
    const one = snapshot([node('a', { [GPU]: '1' })]);
    const advice = advise(one, [later, oldest], NOW);
    expect(advice.get('shop/b')).toMatchObject({ kind: 'Fits', pods: 1 });
    expect(advice.get('shop/a')).toMatchObject({
      kind: 'Wait',
      reason: 'OtherRolloutFirst',
      behind: 'shop/b',
      pods: 0,
      message: expect.stringContaining('waits for rollout shop/b, which goes first and takes the room that is left'),
    });
  });

  test('begun at the same time, the name decides', () => {
    const one = snapshot([node('a', { [GPU]: '1' })]);
    const advice = advise(one, [claim({ rollout: 'x/b' }), claim({ rollout: 'x/a' })], NOW);
    expect(advice.get('x/a')?.kind).toBe('Fits');
    expect(advice.get('x/b')?.kind).toBe('Wait');
  });

  test('while one swaps, no pod of another waits for the room that it makes', () => {
    const advice = advise(
      FULL,
      [
        { ...oldest, ...swapping },
        { ...later, pending: pendingSince(1_000) },
      ],
      NOW,
    );
    expect(advice.get('shop/b')).toMatchObject({ kind: 'Swap' });
    expect(advice.get('shop/a')).toMatchObject({ kind: 'Wait', behind: 'shop/b', pods: 0 });
  });

  test('who cannot go on lets others go first', () => {
    const stuck = { ...oldest, isSwapping: true, removable: 0, oldPods: [] };
    const advice = advise(FULL, [stuck, { ...later, ...swapping }], NOW);
    expect(advice.get('shop/a')).toMatchObject({ kind: 'Swap' });
    expect(advice.get('shop/b')).toMatchObject({ kind: 'Wait', behind: 'shop/a' });
  });

  test('a cluster autoscaler sees the pods of all that wait for it', () => {
    const advice = advise(FULL, [oldest, later], NOW);
    expect([...advice.values()].map(({ kind }) => kind)).toEqual(['PendingSurge', 'PendingSurge']);
  });

  test('whoever wants other devices or other nodes is not held up', () => {
    const cpuOnly = podDemand({ containers: [container({ cpu: '1' })] });
    const advice = advise(
      FULL,
      [
        { ...oldest, ...swapping },
        { ...later, pod: cpuOnly },
      ],
      NOW,
    );
    expect(advice.get('shop/a')).toMatchObject({ kind: 'Fits', pods: 1 });
  });
});
