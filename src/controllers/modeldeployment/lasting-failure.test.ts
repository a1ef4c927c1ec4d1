import { describe, expect, test } from 'vitest';
import type { ContainerState, ContainerStatus, Deployment, Pod } from '../resources.ts';
import { lastingFailure } from './lasting-failure.ts';

const nowMs = Date.parse('2026-01-01T12:00:00Z');
const ago = (seconds: number) => new Date(nowMs - seconds * 1000).toISOString();

const pod = (madeSecondsAgo: number, server: Partial<ContainerStatus>): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'churn-1', creationTimestamp: ago(madeSecondsAgo) },
  status: { phase: 'Running', containerStatuses: [{ name: 'server', image: 'x', ready: false, ...server }] },
});
const ready: Pod = {
  ...pod(600, {}),
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
};
const end = (
  reason: string,
  { endedSecondsAgo = 10, ranSeconds = 5, message = '' } = {},
): NonNullable<ContainerState['terminated']> => ({
  exitCode: 137,
  reason,
  message,
  startedAt: ago(endedSecondsAgo + ranSeconds),
  finishedAt: ago(endedSecondsAgo),
});
const running = { running: { startedAt: ago(9) } };
const waiting = (reason: string) => ({ waiting: { reason, message: 'because' } });
const failureOf = (pods: readonly Pod[], deployment?: Deployment, earlierPodsMs?: number) =>
  lastingFailure(deployment, pods, { earlierPodsMs, nowMs });

describe('a revision is not given up', () => {
  test.each<[string, Pod]>([
    [
      'for one kill of a pod that has served for an hour and loads again',
      pod(3600, {
        state: running,
        lastState: { terminated: end('OOMKilled', { ranSeconds: 3500 }) },
        restartCount: 1,
      }),
    ],
    [
      'for one kill of a young pod that loads again, however long that takes',
      pod(600, { state: running, lastState: { terminated: end('Error', { endedSecondsAgo: 300 }) }, restartCount: 1 }),
    ],
    ['for a container that has just ended', pod(600, { state: { terminated: end('Error') }, restartCount: 0 })],
    [
      'for the third kill in a month, when the one before was long ago',
      pod(2_592_000, {
        state: running,
        lastState: { terminated: end('Error', { ranSeconds: 500_000 }) },
        restartCount: 3,
      }),
    ],
    ['for an image that could not be pulled for half a minute', pod(30, { state: waiting('ErrImagePull') })],
    ['for a container that takes its time', pod(3600, { state: running, restartCount: 0 })],
    [
      'for an eviction, however its containers took it',
      {
        ...pod(600, {}),
        status: {
          phase: 'Failed',
          reason: 'Evicted',
          containerStatuses: [{ name: 'server', state: { terminated: end('Error', { endedSecondsAgo: 300 }) } }],
        },
      },
    ],
  ])('%s', (_title, failing) => expect(failureOf([failing])).toBeUndefined());

  test('for pods that fail beside as many that serve', () => {
    const failing = pod(90, { state: waiting('ErrImagePull') });
    expect(failureOf([failing, ready])).toBeUndefined();
    expect(failureOf([failing, failing, ready])).toMatchObject({ reason: 'ImagePullFailed' });
  });

  test('for pods of an earlier trial', () => {
    const failing = pod(90, { state: waiting('ErrImagePull') });
    expect(failureOf([failing], undefined, nowMs - 90_000)).toBeUndefined();
    expect(failureOf([failing], undefined, nowMs - 91_000)).toMatchObject({ reason: 'ImagePullFailed' });
  });
});

describe('a revision is given up', () => {
  test.each<[string, Pod, string]>([
    [
      'when its container was started again twice and ends again and again',
      pod(45, { state: running, lastState: { terminated: end('OOMKilled') }, restartCount: 2 }),
      'OOMKilled',
    ],
    [
      'when its server said twice why it cannot load the model',
      pod(45, {
        state: waiting('CrashLoopBackOff'),
        lastState: { terminated: end('Error', { message: '{"reason":"InvalidModel","message":"no"}' }) },
        restartCount: 2,
      }),
      'InvalidModel',
    ],
    [
      'when its container has not run again for a minute',
      pod(600, {
        state: waiting('CrashLoopBackOff'),
        lastState: { terminated: end('Error', { endedSecondsAgo: 61 }) },
        restartCount: 1,
      }),
      'CrashLoop',
    ],
    ['when an image cannot be pulled for a minute', pod(61, { state: waiting('ImagePullBackOff') }), 'ImagePullFailed'],
    [
      'when a container cannot be made for a minute',
      pod(61, { state: waiting('CreateContainerError') }),
      'ContainerStartFailed',
    ],
  ])('%s', (_title, failing, reason) => expect(failureOf([failing])).toMatchObject({ reason }));

  test('when its pods were refused for a minute, and not before', () => {
    const refused = (seconds: number): Deployment => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'churn-1' },
      status: {
        conditions: [
          {
            type: 'ReplicaFailure',
            status: 'True',
            message: 'pods "churn-1-x" is forbidden: violates PodSecurity',
            lastTransitionTime: ago(seconds),
          },
        ],
      },
    });
    expect(failureOf([], refused(59))).toBeUndefined();
    expect(failureOf([], refused(61))).toMatchObject({ reason: 'PodForbidden' });
  });
});
