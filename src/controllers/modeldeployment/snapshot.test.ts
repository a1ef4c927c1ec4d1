import { describe, expect, test } from 'vitest';
import type { ModelDeployment } from '../kinds.ts';
import type { Pod } from '../resources.ts';
import { OWNER, revisionOf, specOf } from '../testing/spec.ts';
import type { Revision } from './revision.ts';
import { newScope } from './scope.ts';
import { leftPods, snapshotOf } from './snapshot.ts';

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
