import { describe, expect, test } from 'vitest';
import type { ModelDeploymentStatus } from '../api/v1alpha1/model-deployment-status.ts';
import type { ModelDeployment } from '../controllers/kinds.ts';
import type { Pod } from '../controllers/resources.ts';
import { rolloutTree } from './rollout-tree.ts';
import { renderTree } from './tree.ts';

const NOW_MS = Date.parse('2026-05-01T12:00:00Z');
const at = (secondsAgo: number) => new Date(NOW_MS - secondsAgo * 1000).toISOString();
const PLAIN = { isTerminal: false, columns: undefined };

const object = (status?: ModelDeploymentStatus): ModelDeployment => ({
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'ModelDeployment',
  metadata: { name: 'churn', namespace: 'shop', generation: 3 },
  spec: { model: { uri: 's3://models/churn/7/' }, rollout: {} } as ModelDeployment['spec'],
  ...(status && { status: { observedGeneration: 3, ...status } }),
});
const pod = (name: string, status: Pod['status'], more: Partial<Pod['metadata']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop', creationTimestamp: at(130), ...more },
  ...(status && { status }),
});
const ready = (name: string) => pod(name, { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] });
const unschedulable = (name: string) =>
  pod(name, {
    phase: 'Pending',
    conditions: [
      {
        type: 'PodScheduled',
        status: 'False',
        reason: 'Unschedulable',
        message: '0/3 nodes: 3 Insufficient nvidia.com/gpu',
      },
    ],
  });
const shown = (status: ModelDeploymentStatus | undefined, pods: Record<string, Pod[]> = {}, options = PLAIN) =>
  renderTree(rolloutTree({ object: object(status), pods: new Map(Object.entries(pods)), nowMs: NOW_MS }), options);

const progressing: ModelDeploymentStatus = {
  phase: 'Progressing',
  address: { http: 'http://churn.shop.svc' },
  stable: { revision: 'churn-6b7f', version: '6', replicas: 2, ready: 2 },
  canary: { revision: 'churn-9c1d', version: '7', replicas: 1, ready: 1, weight: 10 },
  rollout: {
    step: '3/4',
    verdict: 'InsufficientData',
    message: '312 of 500 requests',
    holdUntil: at(-130),
    metrics: [
      {
        name: 'errors',
        verdict: 'Healthy',
        canary: '0.3%',
        stable: '0.4%',
        bounds: '-0.3% to 0.2%',
        message: 'errors 0.3% against 0.4%',
        threshold: '+0.5%',
      },
      {
        name: 'latency',
        verdict: 'InsufficientData',
        canary: '21 ms',
        stable: '20 ms',
        message: '312 of 500 requests',
      },
      { name: 'revenue', verdict: 'Error', message: 'the query failed', dryRun: true },
    ],
  },
  route: { generation: 7, acknowledged: true },
  summary: { model: 'churn@7' },
};

describe('a rollout is shown', () => {
  test('with its revisions and pods, its step, and the arithmetic of its verdict', () => {
    const pods = {
      'churn-9c1d': [ready('churn-9c1d-a')],
      'churn-6b7f': [ready('churn-6b7f-b'), ready('churn-6b7f-a')],
    };
    expect(shown(progressing, pods)).toBe(
      [
        'churn  Progressing  churn@7  http://churn.shop.svc',
        '├─ canary  churn-9c1d  version 7  10% of the traffic  1/1 ready',
        '│  └─ churn-9c1d-a  ready  2m10s',
        '├─ stable  churn-6b7f  version 6  90% of the traffic  2/2 ready',
        '│  ├─ churn-6b7f-a  ready  2m10s',
        '│  └─ churn-6b7f-b  ready  2m10s',
        '├─ step 3/4  2m10s of its hold left',
        '│  └─ 312 of 500 requests',
        '├─ verdict  InsufficientData',
        '│  ├─ errors   Healthy           canary 0.3%, stable 0.4%, bounds -0.3% to 0.2%, allowed +0.5%',
        '│  ├─ latency  InsufficientData  canary 21 ms, stable 20 ms',
        '│  │  └─ 312 of 500 requests',
        '│  └─ revenue  Error             dry run: it has no say',
        '│     └─ the query failed',
        '└─ route 7  every router applies it',
      ].join('\n'),
    );
  });

  test('with the reasons of pods that are not ready, and these first', () => {
    const pods = {
      'churn-9c1d': [
        ready('churn-9c1d-a'),
        unschedulable('churn-9c1d-b'),
        pod('churn-9c1d-c', {}, { deletionTimestamp: at(5) }),
      ],
    };
    const lines = shown(progressing, pods).split('\n');
    expect(lines.slice(2, 5)).toEqual([
      expect.stringMatching(/churn-9c1d-b {2}Unschedulable: .*nvidia\.com\/gpu/),
      '│  ├─ churn-9c1d-c  ending  2m10s',
      '│  └─ churn-9c1d-a  ready  2m10s',
    ]);
  });

  test('with many pods of a revision in few lines', () => {
    const many = Array.from({ length: 500 }, (_, n) => ready(`churn-6b7f-${n}`));
    const text = shown(progressing, { 'churn-6b7f': many });
    expect(text).toContain('and 488 more, 488 of them ready');
    expect(text.split('\n').length).toBeLessThan(40);
  });

  test('with what it waits for, said once', () => {
    const waits = 'needs 1 nvidia.com/gpu more; 0 of 4 are free';
    const conditions = [
      { type: 'CapacityAvailable', status: 'False' as const, reason: 'Insufficient', message: waits },
      { type: 'Ready', status: 'False' as const, reason: 'Insufficient', message: waits },
      { type: 'Available', status: 'True' as const, reason: 'Serving', message: 'serves' },
    ].map((condition) => ({ ...condition, lastTransitionTime: at(5) }));
    const text = shown({ ...progressing, conditions });
    expect(text).toContain('CapacityAvailable is False: Insufficient');
    expect(text.split(waits)).toHaveLength(2);
    expect(text).not.toContain('Serving');
  });

  test('with the revision that was taken back, and why', () => {
    const failedRevision = { revision: 'churn-9c1d', reason: 'Unhealthy', message: 'errors 4% against 2%', at: at(65) };
    expect(shown({ phase: 'RolledBack', failedRevision })).toContain(
      'taken back  churn-9c1d  Unhealthy  1m5s ago\n   └─ errors 4% against 2%',
    );
  });

  test('with what a person did last, and what came of it', () => {
    const lastHandledAction = {
      action: 'promote@churn-9c1d#3',
      by: 'dana',
      at: at(12),
      result: 'Refused' as const,
      message: 'it is at step 4 already',
    };
    expect(shown({ phase: 'Progressing', lastHandledAction })).toContain(
      'last action  promote@churn-9c1d#3  Refused  by dana, 12s ago\n   └─ it is at step 4 already',
    );
  });

  test.each([
    [
      'a pause',
      { rollout: { step: '2/4', paused: 'InsufficientData' as const } },
      'step 2/4  paused: InsufficientData',
    ],
    ['a hold that is over', { rollout: { step: '2/4', holdUntil: at(3) } }, 'step 2/4  its hold is over'],
    [
      'routers that lag',
      { route: { generation: 8, acknowledged: false, message: '1 of 2' } },
      'not every router applies it yet',
    ],
    ['a change that was not seen yet', { observedGeneration: 2 }, 'has not seen the last change'],
  ])('with %s', (_title, status, text) => {
    expect(shown(status)).toContain(text);
  });

  test('with a hint where no operator has looked at it', () => {
    expect(shown(undefined)).toBe('churn  nothing is known yet: is the operator running?');
  });
});

describe('a line', () => {
  const hostile = { rollout: { step: '1/2', message: 'gone\u001b[2J\r\nwrong' } };
  test('never moves the cursor or colours the screen, whatever a message holds', () => {
    expect(shown(hostile)).toContain('gone [2J wrong');
  });

  test('is as wide as the terminal at most, colours not counted', () => {
    const text = shown(progressing, { 'churn-9c1d': [unschedulable('churn-9c1d-b')] }, {
      isTerminal: true,
      columns: 40,
    } as never);
    expect(text).toContain('\u001b[');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what colours are made of
    const widths = text.split('\n').map((line) => line.replaceAll(/\u001b\[\d+m/g, '').length);
    expect(Math.max(...widths)).toBe(40);
  });
});
