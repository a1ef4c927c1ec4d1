import { describe, expect, test } from 'vitest';
import { advise } from './advise.ts';
import { claim, GPU, gpuPod, node, snapshot, uses } from './testing/snapshots.ts';
import type { CapacityAdvice, CapacityClaim, CapacitySnapshot } from './types.ts';

const NOW = 1_000_000;
const OLD = Array.from({ length: 8 }, (_, index) => `old-${index}`);
const pendingSince = (agoMs: number) => ({ count: 1, sinceMs: NOW - agoMs });

const alone = (of: CapacitySnapshot, asked: CapacityClaim): CapacityAdvice | undefined =>
  advise(of, [asked], NOW).get(asked.rollout);

describe('where nodes cannot be read, or counting would not tell', () => {
  const blind = snapshot('unreadable');
  const unschedulable = { sinceMs: NOW - 1_000, message: '0/9 nodes are available: 9 Insufficient nvidia.com/gpu.' };

  test('pods are asked for', () => {
    expect(alone(blind, claim({ wanted: 3 }))).toMatchObject({ kind: 'Fits', pods: 3 });
    const pod = gpuPod(0, { resourceClaims: [{ name: 'gpu' }] });
    expect(alone(snapshot([]), claim({ pod, wanted: 2 }))).toMatchObject({ kind: 'Fits', pods: 2 });
  });

  test('what the scheduler says of them decides: Pending until the autoscaler had its time', () => {
    const asked = claim({ wanted: 3, pending: { ...pendingSince(1_000), unschedulable } });
    const advice = alone(blind, asked);
    expect(advice).toMatchObject({ kind: 'PendingSurge', pods: 1, untilMs: NOW + 179_000 });
    expect(advice?.message).toContain('the scheduler says: 0/9 nodes are available');
  });

  test('then old pods give way', () => {
    const pending = { ...pendingSince(180_000), unschedulable };
    const asked = claim({ wanted: 3, pending, removable: 1, oldPods: ['a', 'b'] });
    expect(alone(blind, asked)).toMatchObject({ kind: 'Swap', remove: 1, pods: 1, victims: [] });
    expect(alone(blind, { ...asked, removable: 0, ending: 1 })).toMatchObject({
      kind: 'Wait',
      reason: 'PodsEnding',
      pods: 1,
    });
    expect(alone(blind, { ...asked, removable: 0 })).toMatchObject({ kind: 'Wait', reason: 'InsufficientCapacity' });
  });

  test('the scheduler is believed where it says for long that there is no room: admission adds to pods', () => {
    const roomy = snapshot([node('a', { [GPU]: '3' }, { pods: uses('old', 2, gpuPod(1)) })]);
    const refusedFor = (ms: number) => {
      const pending = { ...pendingSince(ms), unschedulable: { ...unschedulable, sinceMs: NOW - ms } };
      return claim({ pending, removable: 1, oldPods: OLD.slice(0, 2) });
    };
    expect(alone(roomy, refusedFor(200_000))).toMatchObject({ kind: 'Fits', pods: 1 });
    expect(alone(roomy, refusedFor(300_000))).toMatchObject({ kind: 'Swap', remove: 1, pods: 1 });
  });

  test('the scheduler is believed where it names what is not counted, and no pod goes for what that would not cure', () => {
    const roomy = snapshot([node('a', { [GPU]: '8' })]);
    const because = (reason: string) => {
      const message = `0/1 nodes are available: ${reason}.`;
      const pending = { ...pendingSince(180_000), unschedulable: { sinceMs: NOW, message } };
      return alone(roomy, claim({ pending, removable: 1, oldPods: ['x'] }));
    };
    expect(because('1 Insufficient nvidia.com/gpu')).toMatchObject({ kind: 'Fits', pods: 1 });
    expect(because("1 node(s) didn't have free ports")).toMatchObject({ kind: 'Swap', remove: 1 });
    expect(because('1 node(s) had volume node affinity conflict')).toMatchObject({ kind: 'Wait', pods: 1 });
  });
});
