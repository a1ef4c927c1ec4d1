import { describe, expect, test } from 'vitest';
import type { Pod } from '../resources.ts';
import { revisionOf } from '../testing/spec.ts';
import type { Revision } from './revision.ts';
import { leftPods } from './snapshot.ts';

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
