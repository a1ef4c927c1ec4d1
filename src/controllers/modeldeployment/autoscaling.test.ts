import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { revisionOf, specOf } from '../testing/spec.ts';
import { planReplicas } from './plan.ts';
import { type Revision, ROLLOUT_REPLICAS } from './revision.ts';

const model = { uri: 's3://a/b', sha256: 'a'.repeat(64) };
const spec = (autoscaling: object, rollout = {}) =>
  specOf({ model, autoscaling, rollout, resources: { requests: { cpu: '1' } } });
const remembering = (name: string, count: number, change: Partial<Revision>): Revision =>
  revisionOf(name, {
    autoscaler: {
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata: { name, annotations: { [ROLLOUT_REPLICAS]: String(count) } },
    },
    ...change,
  });

describe('bounds of autoscalers', () => {
  test('are those of the spec while nothing is rolled out', () => {
    const plan = planReplicas({
      spec: spec({}),
      target: revisionOf('new', { replicas: 6, ready: 6 }),
      old: [],
      leftPods: 0,
    });
    expect(plan).toMatchObject({ wanted: 2, isComplete: true, counts: { target: 6 } });
    expect(plan.autoscalers).toMatchObject({ target: { min: 2, max: 10 }, rolloutReplicas: undefined });
  });

  test("freeze the old revision's count when a rollout begins, and leave it the room to grow until the new one serves", () => {
    const plan = planReplicas({
      spec: spec({}),
      target: undefined,
      old: [revisionOf('old', { replicas: 6, ready: 6 })],
      leftPods: 6,
    });
    expect(plan.counts.target).toBe(2);
    expect(plan.autoscalers).toMatchObject({ target: { min: 2, max: 2 }, rolloutReplicas: 6 });
    expect(plan.autoscalers?.old.get('old')).toEqual({ min: 6, max: 10 });
  });

  test('make the old one let go once the new one serves, and give the room to that', () => {
    const target = remembering('new', 6, { replicas: 2, ready: 2 });
    const plan = planReplicas({
      spec: spec({}),
      target,
      old: [revisionOf('old', { replicas: 6, ready: 6 })],
      leftPods: 6,
    });
    expect(plan.autoscalers?.old.get('old')).toEqual({ min: 4, max: 4 });
    expect(plan.autoscalers?.target).toEqual({ min: 2, max: 6 });
  });

  test('work towards more than the frozen count where load made the old revision grow', () => {
    const target = remembering('new', 4, { replicas: 1, ready: 0 });
    const plan = planReplicas({
      spec: spec({}),
      target,
      old: [revisionOf('old', { replicas: 8, ready: 8 })],
      leftPods: 8,
    });
    expect(plan.counts.old.get('old')).toBe(8);
    // Only what it was frozen at is its minimum: when the load falls it may shrink again.
    expect(plan.autoscalers?.old.get('old')).toEqual({ min: 4, max: 10 });
  });

  test('remember the frozen count when the spec changes mid-way', () => {
    const old = [remembering('second', 6, { replicas: 2, ready: 0 }), revisionOf('first', { replicas: 6, ready: 6 })];
    const plan = planReplicas({ spec: spec({}), target: undefined, old, leftPods: 8 });
    expect(plan.autoscalers?.rolloutReplicas).toBe(6);
  });

  test('hold the frozen count through Recreate, when no pod is left to count', () => {
    const target = remembering('new', 6, { replicas: 0, ready: 0, current: 0 });
    const old = [revisionOf('old', { replicas: 0, ready: 0, current: 0 })];
    const plan = planReplicas({ spec: spec({}, { strategy: 'Recreate' }), target, old, leftPods: 0 });
    expect(plan.counts.target).toBe(6);
    expect(plan.autoscalers?.target.min).toBe(6);
  });

  test('add up to no more than the maximum and the surge, whatever is running', () => {
    const count = fc.nat({ max: 10 });
    const revision = (name: string) =>
      fc
        .tuple(count, count)
        .map(([replicas, ready]) => revisionOf(name, { replicas, ready: Math.min(replicas, ready) }));
    const any = fc.record({ target: revision('new'), old: fc.tuple(revision('a'), revision('b')) });
    fc.assert(
      fc.property(any, ({ target, old }) => {
        const running = target.replicas + old[0].replicas + old[1].replicas;
        const plan = planReplicas({ spec: spec({}), target, old, leftPods: 0 });
        const maxima = [plan.autoscalers?.target, ...(plan.autoscalers?.old.values() ?? [])].map(
          (each) => each?.max ?? 0,
        );
        const surge = Math.ceil(10 / 4);
        expect(maxima.reduce((sum, max) => sum + max, 0)).toBeLessThanOrEqual(Math.max(10 + surge, running + 1));
        for (const bounds of plan.autoscalers?.old.values() ?? []) expect(bounds.min).toBeLessThanOrEqual(bounds.max);
        expect(plan.autoscalers?.target.min).toBeGreaterThanOrEqual(1);
      }),
    );
  });

  test('lead every rollout to its end, from wherever a change of the spec or a stop found it, when autoscalers keep to them', () => {
    const count = fc.nat({ max: 5 });
    const start = fc.record({
      counts: fc.tuple(fc.integer({ min: 1, max: 5 }), count, count),
      limits: fc.constantFrom({}, { maxSurge: 0, maxUnavailable: 1 }, { maxSurge: 3 }, { maxUnavailable: '50%' }),
      // What the autoscalers would have if they were free.
      wished: fc.option(fc.integer({ min: 1, max: 12 })),
    });
    fc.assert(
      fc.property(start, ({ counts: [first, second, begun], limits, wished }) => {
        const ran = first + second;
        let revisions = [revisionOf('new', { replicas: begun }), revisionOf('b', { replicas: second })];
        revisions = [...revisions, revisionOf('a', { replicas: first })].map((each) => ({
          ...each,
          ready: each.replicas,
        }));
        for (let step = 0; step < 80; step++) {
          const [target, ...old] = revisions;
          const plan = planReplicas({ spec: spec({}, limits), target, old, leftPods: 0 });
          if (plan.isComplete) break;
          revisions = revisions.map(({ name, replicas }) => {
            const bounds = name === 'new' ? plan.autoscalers?.target : plan.autoscalers?.old.get(name);
            // At 0 replicas an autoscaler rests, and without one the planned count is written.
            const planned = name === 'new' ? plan.counts.target : (plan.counts.old.get(name) ?? 0);
            const isSteered = bounds !== undefined && replicas > 0;
            const next = isSteered ? Math.min(bounds.max, Math.max(bounds.min, wished ?? replicas)) : planned;
            return remembering(name, plan.autoscalers?.rolloutReplicas ?? ran, {
              replicas: next,
              ready: next,
              current: next,
            });
          });
        }
        const [target, ...old] = revisions;
        expect(old.map(({ replicas }) => replicas)).toEqual([0, 0]);
        expect(target?.replicas).toBeGreaterThanOrEqual(Math.min(ran, 10));
      }),
      { numRuns: 500 },
    );
  });
});
