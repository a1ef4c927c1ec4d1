import { describe, expect, test } from 'vitest';
import { type PodDemand, podDemand } from './pod-demand.ts';
import { QuotaLedger } from './quota.ts';
import { container, GPU, gpuPod, quota } from './testing/snapshots.ts';
import type { Quota, QuotaScope } from './types.ts';

const roomIn = (hard: Record<string, string>, used: Record<string, string>, wanted = 5, pod = gpuPod(1)) =>
  new QuotaLedger([quota('q', hard, used)]).room(pod, 'shop', wanted);

const TERMINATING: QuotaScope = { name: 'Terminating', operator: 'Exists', values: [] };

describe('room in a quota', () => {
  test.each<[string, Record<string, string>, Record<string, string>, number]>([
    ['devices', { [`requests.${GPU}`]: '8' }, { [`requests.${GPU}`]: '6' }, 2],
    ['pods', { pods: '10' }, { pods: '9' }, 1],
    ['pods as objects', { 'count/pods': '10' }, { 'count/pods': '8' }, 2],
    ['memory', { 'requests.memory': '4Gi' }, { 'requests.memory': '512Mi' }, 3],
    ['memory by its short name', { memory: '4Gi' }, { memory: '4Gi' }, 0],
    ['limits', { 'limits.cpu': '3' }, { 'limits.cpu': '1' }, 2],
    ['the tightest of several', { pods: '10', [`requests.${GPU}`]: '1' }, {}, 1],
    ['a device that the pod does not ask for', { 'requests.amd.com/gpu': '0' }, {}, 5],
    ['what is not about pods', { services: '0', 'requests.storage': '0', 'count/configmaps': '0' }, {}, 5],
    ['one that was lowered below its use', { pods: '2' }, { pods: '5' }, 0],
  ])('%s', (_title, hard, used, expected) => {
    expect(roomIn(hard, used).pods).toBe(expected);
  });

  test('says what is left of what', () => {
    const { shortfall } = roomIn({ [`requests.${GPU}`]: '8' }, { [`requests.${GPU}`]: '8' });
    expect(shortfall).toBe('quota q has 0 of 8 requests.nvidia.com/gpu left');
  });

  test('of pods that leave out what the quota demands one is admitted: a LimitRange may say it for them, and how much', () => {
    const pod = podDemand({ containers: [container({ [GPU]: '1' })] });
    expect(roomIn({ 'limits.memory': '64Gi' }, {}, 5, pod)).toEqual({ pods: 1, shortfall: undefined });
    expect(roomIn({ 'limits.memory': '64Gi' }, {}, 0, pod).pods).toBe(0);
    expect(roomIn({ 'limits.memory': '64Gi' }, { 'limits.memory': '64Gi' }, 5, pod)).toEqual({
      pods: 0,
      shortfall: 'quota q has 0 of 64Gi limits.memory left',
    });
    expect(roomIn({ 'limits.memory': '64Gi', pods: '4' }, { pods: '4' }, 5, pod)).toEqual({
      pods: 0,
      shortfall: 'quota q has 0 of 4 pods left',
    });
  });

  test('holds in its own namespace only', () => {
    expect(new QuotaLedger([quota('q', { pods: '0' }, {})]).room(gpuPod(1), 'other', 1).pods).toBe(1);
  });

  test('what is reserved is gone', () => {
    const ledger = new QuotaLedger([quota('q', { pods: '3' }, { pods: '1' })]);
    ledger.reserve(gpuPod(1), 'shop', 1);
    expect(ledger.room(gpuPod(1), 'shop', 5).pods).toBe(1);
  });
});

describe('room in a quota once old pods have gone', () => {
  const cpu = (amount: string) => podDemand({ containers: [container({ cpu: amount })] });
  const full = quota('q', { 'requests.cpu': '4' }, { 'requests.cpu': '4' });
  test.each<[string, PodDemand[], number, Quota, boolean]>([
    ['one that uses as much', [cpu('2'), cpu('2')], 1, full, true],
    ['one that uses less', [cpu('1'), cpu('1')], 1, full, false],
    ['two that use half', [cpu('1'), cpu('1')], 2, full, true],
    ['none, since none may go', [cpu('2')], 0, full, false],
    ['the one that uses the most', [cpu('1'), cpu('2')], 1, full, true],
    ['one of which a LimitRange says how much it uses', [podDemand({ containers: [container({})] })], 1, full, true],
    ['one that the quota does not count', [cpu('2')], 1, { ...full, scopes: [TERMINATING] }, false],
    ['one, where it was lowered below its use', [cpu('2')], 1, quota('q', { cpu: '3' }, { cpu: '4' }), false],
    [
      'one, with another quota that is full',
      [cpu('2')],
      1,
      quota('q', { cpu: '4', pods: '0' }, { cpu: '4', pods: '1' }),
      false,
    ],
  ])('%s', (_title, old, count, of, expected) => {
    const pod = podDemand({ containers: [container({ cpu: '2' })], activeDeadlineSeconds: 1 });
    expect(new QuotaLedger([of]).hasRoomWithout(old, count, pod, 'shop')).toBe(expected);
  });
});

test('huge pages are counted under their own name too', () => {
  const pod = podDemand({ containers: [container({ 'hugepages-2Mi': '4Mi', memory: '1Gi' })] });
  expect(roomIn({ 'hugepages-2Mi': '10Mi' }, { 'hugepages-2Mi': '4Mi' }, 5, pod).pods).toBe(1);
});

describe('a quota counts only pods in its scopes', () => {
  const scope = (name: string, operator: QuotaScope['operator'] = 'Exists', ...values: string[]) => [
    { name, operator, values },
  ];
  const bestEffort = podDemand({ containers: [container({})] });
  const urgent = gpuPod(1, { priorityClassName: 'urgent' });
  test.each([
    ['NotTerminating', scope('NotTerminating'), gpuPod(1), true],
    ['Terminating', scope('Terminating'), gpuPod(1), false],
    ['Terminating with a deadline', scope('Terminating'), gpuPod(1, { activeDeadlineSeconds: 1 }), true],
    ['NotBestEffort', scope('NotBestEffort'), gpuPod(1), true],
    ['BestEffort', scope('BestEffort'), gpuPod(1), false],
    ['BestEffort of a pod without requests', scope('BestEffort'), bestEffort, true],
    ['a priority class', scope('PriorityClass', 'In', 'urgent'), urgent, true],
    ['another priority class', scope('PriorityClass', 'In', 'low'), urgent, false],
    ['all but a priority class', scope('PriorityClass', 'NotIn', 'urgent'), urgent, false],
    ['any priority class', scope('PriorityClass', 'Exists'), gpuPod(1), false],
    ['no priority class', scope('PriorityClass', 'DoesNotExist'), gpuPod(1), true],
    ['pod affinity across namespaces', scope('CrossNamespacePodAffinity'), gpuPod(1), false],
  ])('%s', (_title, scopes, pod, isCounted) => {
    const ledger = new QuotaLedger([{ ...quota('q', { pods: '0' }, {}), scopes }]);
    expect(ledger.room(pod, 'shop', 1).pods).toBe(isCounted ? 0 : 1);
  });
});
