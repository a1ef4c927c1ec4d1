import { describe, expect, test } from 'vitest';
import type { Job, Pod } from '../resources.ts';
import { OWNER, specOf } from '../testing/spec.ts';
import { RESOLVE_LABELS } from './children.ts';
import { type Attempt, answerOf, desiredResolveJob, questionId, retryDelayMs } from './resolve-job.ts';

const FAILED_AT = '2026-01-01T00:00:00Z';
const failedAtMs = Date.parse(FAILED_AT);

function attempt(number: number, end: 'running' | 'Complete' | 'Failed', message?: string): Attempt {
  const job: Job = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: `job-${number}`, labels: { [RESOLVE_LABELS.attempt]: String(number) } },
    status: {
      conditions:
        end === 'running'
          ? []
          : [{ type: end, status: 'True', lastTransitionTime: FAILED_AT, message: 'BackoffLimitExceeded' }],
    },
  };
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `job-${number}-x` },
    status: {
      phase: end === 'Complete' ? 'Succeeded' : 'Failed',
      containerStatuses: [
        {
          name: 'resolve',
          state: { terminated: { exitCode: end === 'Complete' ? 0 : 1, ...(message && { message }) } },
        },
      ],
    },
  };
  return { job, pods: message === undefined ? [] : [pod] };
}
const told = JSON.stringify({ sha256: 'a'.repeat(64), sizeBytes: 3 });
const failure = (reason: string) => JSON.stringify({ reason, message: 'because' });

describe('what the Jobs came to', () => {
  test('nothing was asked yet', () => {
    expect(answerOf([], failedAtMs)).toEqual({ kind: 'ask', jobNames: [], attempt: 1 });
  });
  test('one runs', () => {
    expect(answerOf([attempt(1, 'running')], failedAtMs)).toMatchObject({ kind: 'running', attempt: 1 });
  });
  test('one runs that has no pod, since it was made', () => {
    const podless = attempt(1, 'running');
    const job = { ...podless.job, metadata: { ...podless.job.metadata, creationTimestamp: FAILED_AT } };
    expect(answerOf([{ job, pods: [] }], failedAtMs + 9)).toMatchObject({ podlessSinceMs: failedAtMs });
    expect(answerOf([attempt(1, 'running', 'x')], failedAtMs)).toMatchObject({ podlessSinceMs: undefined });
  });
  test('one told the digest', () => {
    expect(answerOf([attempt(2, 'Complete', told)], failedAtMs)).toEqual({
      kind: 'resolved',
      jobNames: ['job-2'],
      sha256: 'a'.repeat(64),
    });
  });
  test('one told something that is no digest', () => {
    expect(answerOf([attempt(1, 'Complete', '{"sha256":"x","sizeBytes":1}')], failedAtMs)).toMatchObject({
      kind: 'ask',
      attempt: 2,
    });
  });
  test('one ended well and its pod was lost before it was read', () => {
    expect(answerOf([attempt(1, 'Complete')], failedAtMs)).toMatchObject({ kind: 'ask', attempt: 2 });
  });
  test('one failed, and is tried again after a delay', () => {
    expect(answerOf([attempt(1, 'Failed', failure('ModelNotFound'))], failedAtMs)).toEqual({
      kind: 'failed',
      jobNames: ['job-1'],
      reason: 'ModelNotFound',
      message: 'because',
      attempt: 1,
      retryAtMs: failedAtMs + 10_000,
    });
    expect(answerOf([attempt(1, 'Failed', failure('ModelNotFound'))], failedAtMs + 10_000)).toMatchObject({
      kind: 'ask',
      attempt: 2,
    });
  });
  test('one failed in a way that only another spec can heal', () => {
    const answer = answerOf([attempt(1, 'Failed', failure('InvalidConfiguration'))], failedAtMs + 1e9);
    expect(answer).toMatchObject({ kind: 'failed', retryAtMs: undefined });
  });
  test('one failed without a word', () => {
    expect(answerOf([attempt(1, 'Failed')], failedAtMs)).toMatchObject({
      kind: 'failed',
      reason: 'LoadFailed',
      message: expect.stringContaining('BackoffLimitExceeded'),
    });
  });
  test('only the last attempt counts, and while it runs the one before says why there is no answer yet', () => {
    const attempts = [attempt(1, 'Failed', failure('ModelNotFound')), attempt(2, 'running')];
    expect(answerOf(attempts, failedAtMs)).toMatchObject({
      kind: 'running',
      attempt: 2,
      before: { reason: 'ModelNotFound', attempt: 1 },
      jobNames: ['job-2', 'job-1'],
    });
  });
});

test('delays grow to two minutes and no further', () => {
  expect([1, 2, 3, 4, 5, 6, 100].map(retryDelayMs)).toEqual([
    10_000, 20_000, 40_000, 80_000, 120_000, 120_000, 120_000,
  ]);
});

describe('the Job', () => {
  const question = (spec: object) => ({
    owner: OWNER,
    spec: specOf(spec),
    uri: 's3://models/churn/',
    image: 'fairlead:1',
  });
  const model = { uri: 's3://models/churn/' };

  test('runs as the pods do: restricted, under their account, with their credentials and mounts', () => {
    const spec = {
      model: { ...model, credentialsRef: { name: 's3' }, endpoint: 'http://minio:9000' },
      pod: { serviceAccountName: 'tenant', imagePullSecrets: [{ name: 'mirror' }] },
    };
    expect(desiredResolveJob(question(spec), 1)).toMatchObject({
      spec: {
        backoffLimit: 0,
        template: {
          spec: {
            serviceAccountName: 'tenant',
            imagePullSecrets: [{ name: 'mirror' }],
            restartPolicy: 'Never',
            automountServiceAccountToken: false,
            securityContext: { runAsNonRoot: true },
            containers: [
              {
                args: ['resolve', '--uri', model.uri, '--endpoint', 'http://minio:9000'],
                envFrom: [{ secretRef: { name: 's3' } }],
                securityContext: { readOnlyRootFilesystem: true },
              },
            ],
          },
        },
      },
    });
  });

  test('does not wait for a GPU that it has no use for', () => {
    const spec = {
      model,
      resources: { limits: { 'nvidia.com/gpu': '1' } },
      accelerator: { product: ['NVIDIA-H100'], nodeSelector: { gpu: 'yes' } },
    };
    const text = JSON.stringify(desiredResolveJob(question(spec), 1));
    expect(text).not.toMatch(/gpu/i);
  });

  test('has one name a question and attempt, which fits a label for the longest owner', () => {
    const owner = { ...OWNER, name: 'a'.repeat(52) };
    const named = (attempt: number) => desiredResolveJob({ ...question({ model }), owner }, attempt).metadata.name;
    expect(named(1)).toBe(named(1));
    expect(named(1)).not.toBe(named(2));
    expect(named(999).length).toBeLessThanOrEqual(57);
  });

  test('is another question when who asks changes, and the same when only the count does', () => {
    const id = (spec: object) => questionId(question({ model, ...spec }));
    expect(id({ replicas: 5 })).toBe(id({}));
    expect(id({ model: { ...model, credentialsRef: { name: 's3' } } })).not.toBe(id({}));
    expect(id({ pod: { serviceAccountName: 'other' } })).not.toBe(id({}));
  });
});

test('a Job asks for the URI and endpoint as they are: the kubelet finds no variable in them', () => {
  const uri = 's3://b/$(AWS_SECRET_ACCESS_KEY)/$$(HOME)';
  const spec = specOf({ model: { uri, endpoint: 'http://$(HOST)' } });
  const job = desiredResolveJob({ owner: OWNER, spec, uri, image: 'fairlead:1' }, 1);
  const { template } = job.spec as { template: { spec: { containers: { args: string[] }[] } } };
  expect(template.spec.containers[0]?.args).toEqual([
    'resolve',
    '--uri',
    's3://b/$$(AWS_SECRET_ACCESS_KEY)/$$$$(HOME)',
    '--endpoint',
    'http://$$(HOST)',
  ]);
});
