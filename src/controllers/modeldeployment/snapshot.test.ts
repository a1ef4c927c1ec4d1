import { describe, expect, test } from 'vitest';
import type { Progress } from '../../rollout/progress.ts';
import type { ModelDeployment } from '../kinds.ts';
import type { Pod } from '../resources.ts';
import { OWNER, revisionOf, specOf } from '../testing/spec.ts';
import type { Revision } from './revision.ts';
import { newScope } from './scope.ts';
import { leftPods, rememberingPods, snapshotOf } from './snapshot.ts';

const model = { uri: 's3://models/churn/', sha256: 'a'.repeat(64) };
const pod = (phase = 'Running', metadata: Partial<Pod['metadata']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'churn-a-1', ...metadata },
  status: { phase },
});
const ending = pod('Running', { deletionTimestamp: '2026-01-01T00:00:00Z' });
const idle = (name: string) => revisionOf(name, { replicas: 0, ready: 0, current: 0 });

describe('pods that Recreate waits for', () => {
  const cases: { rule: string; target: Revision | undefined; pods: [string, Pod[]][]; left: number }[] = [
    { rule: 'are those of other revisions', target: undefined, pods: [['b', [pod(), ending]]], left: 2 },
    { rule: 'are not those that have ended', target: undefined, pods: [['b', [pod('Succeeded')]]], left: 0 },
    {
      rule: 'are not those of the target once it has started',
      target: revisionOf('a'),
      pods: [['a', [pod()]]],
      left: 0,
    },
    { rule: 'are ending ones of the target before it starts', target: idle('a'), pods: [['a', [ending]]], left: 1 },
  ];
  test.each(cases)('$rule', ({ target, pods, left }) => {
    const revisions = target === undefined ? [] : [target];
    expect(leftPods({ pods: new Map(pods), revisions }, { name: 'a', existing: target, model })).toBe(left);
  });

  test('are those that only the Deployment tells of yet', () => {
    const target = revisionOf('a', { replicas: 0, ready: 0, current: 2 });
    expect(leftPods({ pods: new Map(), revisions: [target] }, { name: 'a', existing: target, model })).toBe(2);
  });
});

describe('ready pods of a revision', () => {
  const revision = (replicas: number, observedGeneration: number) => {
    const { deployment } = revisionOf('a');
    const metadata = { ...deployment.metadata, generation: 2 };
    return revisionOf('a', { replicas, deployment: { ...deployment, metadata, status: { observedGeneration } } });
  };
  test.each([
    ['count', 'its count is followed and nothing is sent there', revision(4, 2), 'Router', 0, 3],
    ['do not count', 'its count is not followed yet and nothing is sent there', revision(4, 1), 'Router', 0, 0],
    ['count', 'requests are sent there already', revision(4, 1), 'Router', 10, 3],
    ['count', 'nobody splits the requests', revision(4, 1), 'None', 0, 3],
    ['count', 'it is to have none: they are told of until they have gone', revision(0, 1), 'Router', 0, 3],
  ] as const)('%s where %s', (_, _why, existing, splitter, weight, ready) => {
    const object = { metadata: { name: 'churn', namespace: 'shop' }, spec: specOf({ model }) } as ModelDeployment;
    const scope = newScope(object, OWNER, 0);
    const routing = { ...scope.routing, splitter, weights: new Map([['a', weight]]) };
    const { revisions } = snapshotOf({ ...scope, revisions: [existing], routing }, { name: 'a', existing, model });
    expect(revisions[0]?.ready).toBe(ready);
  });
});

describe('a rollout from a revision whose Deployment is gone', () => {
  const progress = (stage: Progress['stage']): Progress => ({
    sequence: 1,
    target: 'churn-b',
    from: 'churn-a',
    stage,
    startedAtMs: 0,
    step: 0,
    steps: 's w100',
  });
  const remembered = (stage: Progress['stage'], ...names: string[]) => {
    const object = { metadata: { name: 'churn', namespace: 'shop' }, spec: specOf({ model }) } as ModelDeployment;
    const revisions = names.map((name) => revisionOf(name));
    const scope = { ...newScope(object, OWNER, 0), revisions, progress: progress(stage) };
    return snapshotOf(scope, { name: 'churn-b', existing: revisions[0], model }).progress;
  };
  test.each(['Stepping', 'Keeping', 'Done'] as const)('protects nobody and is not gone back to: %s', (stage) => {
    expect(remembered(stage, 'churn-b')).toEqual({ ...progress(stage), from: undefined });
    expect(remembered(stage, 'churn-b', 'churn-a')).toEqual(progress(stage));
  });
  test.each(['Returning', 'Returned'] as const)('still goes back to it, which status says cannot be: %s', (stage) => {
    expect(remembered(stage, 'churn-b')).toEqual(progress(stage));
  });
});

describe('the hash of spec.rollout, by which a revision that was taken back is tried again,', () => {
  const analysis = { metrics: [], minRequests: 500 };
  const hashOf = (rollout: object, more: object = {}) => {
    const spec = specOf({ model, rollout: { strategy: 'Canary', analysis, ...rollout }, ...more });
    const object = { metadata: { name: 'churn', namespace: 'shop' }, spec } as ModelDeployment;
    return snapshotOf(newScope(object, OWNER, 0), { name: 'a', existing: undefined, model }).rolloutHash;
  };
  test.each([
    ['steps', { steps: [{ weight: 5 }] }],
    ['what it is judged by', { analysis: { ...analysis, minRequests: 50 } }],
    ['the strategy', { strategy: 'Shadow' }],
    ['a deadline', { progressDeadline: '20m' }],
  ])('is another one with another one of %s', (_, rollout) => expect(hashOf(rollout)).not.toBe(hashOf({})));
  test('is the same with another number of replicas, and in another order', () => {
    expect(hashOf({}, { replicas: 7 })).toBe(hashOf({}));
    expect(hashOf({ analysis: { minRequests: 500, metrics: [] } })).toBe(hashOf({}));
  });
});

describe('the minimum of pods', () => {
  test.each([
    ["is the user's where load takes fewer", 1, 2],
    ['is what the load takes where that is more', 5, 5],
    ["is never more than the user's maximum", 50, 10],
  ])('%s', (_, podsForLoad, min) => {
    const spec = specOf({ model, autoscaling: { minReplicas: 2, maxReplicas: 10, inFlight: 8 } });
    const object = { metadata: { name: 'churn', namespace: 'shop' }, spec } as ModelDeployment;
    const scope = { ...newScope(object, OWNER, 0), podsForLoad };
    const { scale } = snapshotOf(scope, { name: 'churn-1', existing: undefined, model });
    expect(scale).toEqual({ kind: 'Autoscaled', min, max: 10 });
  });
});

describe('pods of an earlier trial', () => {
  const progress: Progress = {
    sequence: 1,
    target: 'churn-b',
    from: 'churn-a',
    stage: 'Stepping',
    startedAtMs: Date.parse('2026-01-01T00:10:02Z'),
    step: 0,
    steps: 's w100',
  };
  const made = (time: string) => pod('Running', { creationTimestamp: time });
  const pods = [made('2026-01-01T00:09:58Z'), made('2026-01-01T00:09:59Z')];
  const newestMs = Date.parse('2026-01-01T00:09:59Z');

  test('are those that are there when another begins, by the clock that they were made by', () => {
    expect(rememberingPods(progress, undefined, pods).earlierPodsMs).toBe(newestMs);
    expect(rememberingPods(progress, { ...progress, startedAtMs: 0 }, pods).earlierPodsMs).toBe(newestMs);
    expect(rememberingPods(progress, { ...progress, target: 'churn-c' }, pods).earlierPodsMs).toBe(newestMs);
  });

  test('are none where there were none, as before the first', () => {
    expect(rememberingPods({ ...progress, earlierPodsMs: 1 }, undefined, [])).toEqual(progress);
  });

  test('are the same for as long as the trial goes on', () => {
    const underWay = { ...progress, earlierPodsMs: newestMs, step: 1 };
    expect(rememberingPods(underWay, { ...underWay, step: 0 }, [made('2026-01-01T00:11:00Z')])).toEqual(underWay);
  });

  test('do not count against it, and its own do, though the operator’s clock is ahead of theirs', () => {
    const crashing = (time: string): Pod => ({
      ...made(time),
      status: {
        phase: 'Running',
        containerStatuses: [
          {
            name: 'server',
            ready: false,
            restartCount: 5,
            state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off' } },
            lastState: { terminated: { exitCode: 1, reason: 'Error', startedAt: time, finishedAt: time } },
          },
        ],
      },
    });
    const failureOf = (time: string, remembered: Progress) => {
      const object = { metadata: { name: 'churn', namespace: 'shop' }, spec: specOf({ model }) } as ModelDeployment;
      const revisions = [revisionOf('churn-b', { ready: 0 }), revisionOf('churn-a')];
      const scope = { ...newScope(object, OWNER, progress.startedAtMs + 300_000), revisions, progress: remembered };
      const target = { name: 'churn-b', existing: revisions[0], model };
      return snapshotOf({ ...scope, pods: new Map([['churn-b', [crashing(time)]]]) }, target).revisions[0]
        ?.lastingFailure;
    };
    const own = '2026-01-01T00:10:00Z';
    expect(failureOf(own, progress)).toMatchObject({ reason: 'CrashLoop' });
    expect(failureOf(own, { ...progress, earlierPodsMs: newestMs })).toMatchObject({ reason: 'CrashLoop' });
    expect(failureOf('2026-01-01T00:09:59Z', { ...progress, earlierPodsMs: newestMs })).toBeUndefined();
  });
});
