import { describe, expect, test } from 'vitest';
import type { ContainerStatus, Deployment, KubeEvent, Pod } from '../resources.ts';
import {
  autoscalerFailure,
  type Diagnosis,
  diagnose,
  diagnoseMissingPod,
  diagnoseMounts,
  loadFailure,
} from './diagnose.ts';

const pod = (status: Pod['status'], metadata: Partial<Pod['metadata']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'churn-1', ...metadata },
  ...(status && { status }),
});
const withContainer = (container: Partial<ContainerStatus>): Pod =>
  pod({ phase: 'Pending', containerStatuses: [{ name: 'server', image: 'example.com/x:1', ...container }] });
const ended = (terminated: NonNullable<ContainerStatus['state']>['terminated']): Pod =>
  withContainer({
    state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 5m0s restarting failed container' } },
    ...(terminated && { lastState: { terminated } }),
    restartCount: 5,
  });
const ready = pod({ phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] });
const refused = (message: string): Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'churn-1' },
  status: { conditions: [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message }] },
});

describe('a pod that is not ready is explained', () => {
  const cases: { rule: string; pod: Pod; reason: string; kind: string; says: string }[] = [
    {
      rule: 'by what the server wrote when it gave up',
      pod: ended({ exitCode: 1, message: '{"reason":"DigestMismatch","message":"has 1a, not 2b"}' }),
      reason: 'DigestMismatch',
      kind: 'failed',
      says: 'has 1a, not 2b',
    },
    {
      rule: 'by what ended the last attempt while the next one runs',
      pod: withContainer({
        state: { running: {} },
        lastState: { terminated: { exitCode: 1, message: '{"reason":"ModelNotFound","message":"404"}' } },
      }),
      reason: 'ModelNotFound',
      kind: 'failed',
      says: '404',
    },
    {
      rule: 'by the memory limit where the kernel killed it',
      pod: ended({ exitCode: 137, reason: 'OOMKilled' }),
      reason: 'OOMKilled',
      kind: 'failed',
      says: 'resources.limits.memory',
    },
    {
      rule: 'by its exit code and last words where it wrote no reason',
      pod: ended({ exitCode: 3, reason: 'Error', message: 'Segmentation fault\n' }),
      reason: 'CrashLoop',
      kind: 'failed',
      says: 'container server ends with exit code 3: Segmentation fault',
    },
    {
      rule: 'as loading again after its container ended for the first time',
      pod: withContainer({
        state: { running: {} },
        lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } },
        restartCount: 1,
      }),
      reason: 'Loading',
      kind: 'waiting',
      says: 'being loaded again: container server needs more memory than its limit',
    },
    {
      rule: 'by how its only container ended where nothing starts it again',
      pod: pod({
        phase: 'Failed',
        containerStatuses: [{ name: 'resolve', state: { terminated: { exitCode: 137, reason: 'OOMKilled' } } }],
      }),
      reason: 'OOMKilled',
      kind: 'failed',
      says: 'resources.limits.memory',
    },
    {
      rule: 'by the image that cannot be pulled',
      pod: withContainer({ state: { waiting: { reason: 'ErrImagePull', message: 'not found' } } }),
      reason: 'ImagePullFailed',
      kind: 'failed',
      says: 'image example.com/x:1 cannot be pulled: not found',
    },
    {
      rule: 'by the same sentence between two pulls',
      pod: withContainer({
        state: {
          waiting: {
            reason: 'ImagePullBackOff',
            message: 'Back-off pulling image "example.com/x:1": ErrImagePull: not found',
          },
        },
      }),
      reason: 'ImagePullFailed',
      kind: 'failed',
      says: 'image example.com/x:1 cannot be pulled: not found',
    },
    {
      rule: 'by the Secret that does not exist',
      pod: withContainer({
        state: { waiting: { reason: 'CreateContainerConfigError', message: 'secret "s3" not found' } },
      }),
      reason: 'CredentialsNotFound',
      kind: 'failed',
      says: 'secret "s3" does not exist in the namespace',
    },
    {
      rule: "by the scheduler's own numbers, without its attempts at preemption",
      pod: pod({
        phase: 'Pending',
        conditions: [
          {
            type: 'PodScheduled',
            status: 'False',
            reason: 'Unschedulable',
            message:
              '0/4 nodes are available: 4 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: 0/4 nodes ...',
          },
        ],
      }),
      reason: 'Unschedulable',
      kind: 'capacity',
      says: '1 of 1 pods: 0/4 nodes are available: 4 Insufficient nvidia.com/gpu.',
    },
    {
      rule: 'by the kubelet that evicted it',
      pod: pod({
        phase: 'Failed',
        reason: 'Evicted',
        message: 'The node was low on resource: memory.',
        containerStatuses: [{ name: 'server', state: { terminated: { exitCode: 137, reason: 'Error' } } }],
      }),
      reason: 'Evicted',
      kind: 'capacity',
      says: 'low on resource: memory',
    },
    {
      rule: 'as loading while its container runs',
      pod: withContainer({ state: { running: {} } }),
      reason: 'Loading',
      kind: 'waiting',
      says: 'being loaded',
    },
    {
      rule: 'as starting before its container exists',
      pod: pod({ phase: 'Pending' }),
      reason: 'Starting',
      kind: 'waiting',
      says: 'being started',
    },
  ];
  test('and what else the scheduler tried is left out', () => {
    const unschedulable = cases.find(({ reason }) => reason === 'Unschedulable');
    const [found] = diagnose(undefined, unschedulable === undefined ? [] : [unschedulable.pod], 1);
    expect(found?.message).toMatch(/nvidia.com\/gpu\.$/);
  });

  test.each(cases)('$rule', ({ pod: input, reason, kind, says }) => {
    const [found] = diagnose(undefined, [input], 1);
    expect(found).toMatchObject({ reason, kind });
    expect(found?.message).toContain(says);
  });

  test('and the message says how many of how many', () => {
    const broken = ended({ exitCode: 1, message: '{"reason":"LoadFailed","message":"bad"}' });
    expect(diagnose(undefined, [ready, broken, broken], 3)[0]?.message).toBe('2 of 3 pods: bad');
  });
});

describe('pods that were never made are explained', () => {
  test('by the quota, with its numbers and without the random name of the pod', () => {
    const message =
      'pods "churn-1-x7k" is forbidden: exceeded quota: gpu, requested: gpu=1, used: gpu=4, limited: gpu=4';
    const [found] = diagnose(refused(message), [], 2);
    expect(found).toMatchObject({ reason: 'QuotaExceeded', kind: 'capacity' });
    expect(found?.message).toMatch(/^exceeded quota: gpu, requested: gpu=1, used: gpu=4, limited: gpu=4/);
  });
  test('by the ServiceAccount that does not exist', () => {
    const message = 'pods "churn-1-" is forbidden: error looking up service account a/b: serviceaccount "b" not found';
    expect(diagnose(refused(message), [], 1)[0]?.reason).toBe('ServiceAccountNotFound');
  });
  test('by whatever else forbids them', () => {
    const message = 'pods "churn-1-x7k" is forbidden: violates PodSecurity "restricted:latest": hostPath volumes';
    expect(diagnose(refused(message), [], 1)[0]?.reason).toBe('PodForbidden');
  });
});

describe('a Job without a pod is explained', () => {
  const failedCreate = (message: string, lastTimestamp: string): KubeEvent => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'x' },
    reason: 'FailedCreate',
    message: `Error creating: pods "job-x7k" is forbidden: ${message}`,
    lastTimestamp,
  });
  test.each([
    ['a quota', 'exceeded quota: q, requested: pods=1, used: pods=4, limited: pods=4', 'QuotaExceeded'],
    ['Pod Security', 'violates PodSecurity "restricted:latest": hostPath volumes', 'PodForbidden'],
    ['a LimitRange', 'maximum memory usage per Container is 256Mi, but limit is 512Mi', 'PodForbidden'],
  ])('by the last refusal of %s', (_by, message, reason) => {
    const events = [
      failedCreate('something else', '2026-01-01T00:00:00Z'),
      failedCreate(message, '2026-01-01T00:00:09Z'),
      failedCreate('something else', '2026-01-01T00:00:05Z'),
    ];
    expect(diagnoseMissingPod(events)).toMatchObject({ reason, message: expect.stringContaining(message) });
  });
  test('by no guess where no Event tells', () => {
    expect(diagnoseMissingPod([])).toMatchObject({ kind: 'waiting', reason: 'PodNotCreated' });
  });
});

describe('an autoscaler that does not scale is explained', () => {
  const condition = (type: string, status: string, reason: string, message = 'because') => ({
    type,
    status,
    reason,
    message,
    lastTransitionTime: '2026-01-01T00:00:00Z',
  });
  test.each([
    ['ScalingActive', 'FailedGetResourceMetric'],
    ['AbleToScale', 'FailedUpdateScale'],
  ])('when %s is False, by its reason, and since when', (type, reason) => {
    const found = autoscalerFailure([condition('ScalingLimited', 'False', 'x'), condition(type, 'False', reason)]);
    expect(found).toEqual({
      message: `its autoscaler does not scale it: ${reason}: because`,
      sinceMs: Date.parse('2026-01-01T00:00:00Z'),
    });
  });
  test('without the names of pods', () => {
    const message = 'missing request for cpu in container server of Pod churn-1-x7k';
    expect(autoscalerFailure([condition('ScalingActive', 'False', 'x', message)])?.message).not.toContain('x7k');
  });
  test.each([
    ['works', [condition('ScalingActive', 'True', 'ValidMetricFound')]],
    ['rests at 0 replicas', [condition('ScalingActive', 'False', 'ScalingDisabled')]],
    ['has not been looked at', undefined],
  ])('and not when it %s', (_state, conditions) => expect(autoscalerFailure(conditions)).toBeUndefined());
});

describe('nothing is said', () => {
  test('about ready pods', () => expect(diagnose(undefined, [ready], 1)).toEqual([]));
  test('about pods that are ending', () => {
    expect(diagnose(undefined, [pod({}, { deletionTimestamp: '2026-01-01T00:00:00Z' })], 1)).toEqual([]);
  });
});

test('of several causes the one that needs a person is told first', () => {
  const image = withContainer({ state: { waiting: { reason: 'ErrImagePull', message: 'x' } } });
  const loading = withContainer({ state: { running: {} } });
  expect(diagnose(undefined, [loading, image, loading], 3).map(({ message }) => message)).toEqual([
    '1 of 3 pods: image example.com/x:1 cannot be pulled: x',
    '2 of 3 pods: the model is being loaded',
  ]);
});

test.each([
  undefined,
  '',
  'killed',
  '{"reason":"Nonsense","message":"x"}',
  '{"reason":"LoadFailed"}',
  '{',
  '{"message":1}',
])('a termination message that is not of the contract is no load failure: %s', (text) => {
  expect(loadFailure(text)).toBeUndefined();
});

describe('a pod that is being started waits for its volumes', () => {
  const starting = pod({ phase: 'Pending' }, { uid: 'u-1' });
  const event = (second: number, reason: string, message: string, component = 'kubelet'): KubeEvent => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${second}-${reason}` },
    reason,
    message,
    source: { component },
    lastTimestamp: new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString(),
  });
  const missing = event(9, 'FailedMount', 'MountVolume.SetUp failed for volume "creds" : secret "creds" not found');
  const summary = event(10, 'FailedMount', 'Unable to attach or mount volumes: unmounted volumes=[creds]: timed out');

  test.each<[string, readonly KubeEvent[], string | undefined]>([
    ['where the kubelet says so last', [missing], 'secret "creds" not found'],
    ['in the words that name the cause', [missing, summary], 'secret "creds" not found'],
    ['in those of the summary where nothing else is said', [summary], 'unmounted volumes=[creds]'],
    [
      'where the controller of attachments says so',
      [event(9, 'FailedAttachVolume', 'Multi-Attach error for volume "pvc-1"', 'attachdetach-controller')],
      'Multi-Attach error',
    ],
    [
      'whatever others say of the pod meanwhile',
      [missing, event(12, 'NotTriggerScaleUp', 'pod would fit', 'cluster-autoscaler')],
      'secret "creds" not found',
    ],
    ['but not while its image is pulled after all', [missing, event(11, 'Pulling', 'Pulling image "x"')], undefined],
    ['nor where both are of one second', [missing, event(9, 'Pulling', 'Pulling image "x"')], undefined],
    ['nor where nobody says anything', [], undefined],
  ])('%s', (_rule, events, says) => {
    const found = diagnoseMounts(starting, events);
    if (says === undefined) expect(found).toBeUndefined();
    else
      expect(found).toMatchObject({
        kind: 'failed',
        reason: 'VolumeMountFailed',
        message: expect.stringContaining(says),
      });
  });

  test('in the same sentence for each pod of a revision', () => {
    const output = (uid: string) =>
      diagnoseMounts(pod({ phase: 'Pending' }, { uid }), [
        event(
          9,
          'FailedMount',
          `mount failed: exit status 32\nMounting arguments: /var/lib/kubelet/pods/${uid}/volumes/x`,
        ),
      ]);
    expect(output('u-1')).toEqual(output('u-2'));
  });

  test('and is counted among the pods of its revision', () => {
    const known = new Map(Object.entries({ 'u-1': diagnoseMounts(starting, [missing]) as Diagnosis }));
    expect(diagnose(undefined, [starting, ready], 2, known)[0]).toMatchObject({
      reason: 'VolumeMountFailed',
      message: expect.stringMatching(/^1 of 2 pods: .*secret "creds" not found$/),
    });
  });
});
