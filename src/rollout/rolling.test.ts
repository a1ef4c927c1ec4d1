import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  planRecreate,
  planRolling,
  podCount,
  type RevisionReplicas,
  type RollingState,
  rollingLimits,
} from './rolling.ts';

const target = (replicas: number, ready: number): RevisionReplicas => ({ revision: 'new', replicas, ready });
const old = (replicas: number, ready: number, revision = 'old'): RevisionReplicas => ({ revision, replicas, ready });

describe('a step of a rolling update', () => {
  const cases: { rule: string; state: RollingState; target: number; old: Record<string, number> }[] = [
    {
      rule: 'starts all replicas at once where nothing runs yet',
      state: { desired: 3, maxSurge: 1, maxUnavailable: 0, target: target(0, 0), old: [] },
      target: 3,
      old: {},
    },
    {
      rule: 'starts with the surge and leaves the old alone',
      state: { desired: 4, maxSurge: 1, maxUnavailable: 0, target: target(0, 0), old: [old(4, 4)] },
      target: 1,
      old: { old: 4 },
    },
    {
      rule: 'removes an old pod for each new one that is ready',
      state: { desired: 4, maxSurge: 1, maxUnavailable: 0, target: target(1, 1), old: [old(4, 4)] },
      target: 1,
      old: { old: 3 },
    },
    {
      rule: 'waits, with every old pod, for a new one that does not become ready',
      state: { desired: 4, maxSurge: 1, maxUnavailable: 0, target: target(1, 0), old: [old(4, 4)] },
      target: 1,
      old: { old: 4 },
    },
    {
      rule: 'frees a place first where no surge is allowed',
      state: { desired: 4, maxSurge: 0, maxUnavailable: 1, target: target(0, 0), old: [old(4, 4)] },
      target: 0,
      old: { old: 3 },
    },
    {
      rule: 'does not wait for old pods that are not ready once the target carries the floor',
      state: { desired: 2, maxSurge: 1, maxUnavailable: 0, target: target(2, 2), old: [old(2, 0)] },
      target: 2,
      old: { old: 0 },
    },
    {
      rule: 'keeps the ready pods of the newest old revision first',
      state: {
        desired: 3,
        maxSurge: 1,
        maxUnavailable: 0,
        target: target(0, 0),
        old: [old(1, 0, 'broken'), old(3, 3, 'good')],
      },
      target: 0,
      old: { broken: 0, good: 3 },
    },
    {
      rule: 'does not count ready pods that are already on their way out',
      state: { desired: 4, maxSurge: 1, maxUnavailable: 0, target: target(2, 2), old: [old(2, 4)] },
      target: 3,
      old: { old: 2 },
    },
    {
      rule: 'follows a smaller count at once',
      state: { desired: 2, maxSurge: 1, maxUnavailable: 0, target: target(3, 3), old: [old(3, 3)] },
      target: 2,
      old: { old: 0 },
    },
    {
      rule: 'stops everything when no replica is wanted',
      state: { desired: 0, maxSurge: 0, maxUnavailable: 1, target: target(2, 2), old: [old(2, 2)] },
      target: 0,
      old: { old: 0 },
    },
  ];
  test.each(cases)('$rule', ({ state, target: expectedTarget, old: expectedOld }) => {
    const plan = planRolling(state);
    expect({ target: plan.target, old: Object.fromEntries(plan.old) }).toEqual({
      target: expectedTarget,
      old: expectedOld,
    });
  });

  const replicas = fc.nat({ max: 12 });
  const revision = (name: string) =>
    fc
      .tuple(replicas, replicas)
      .map(([count, ready]): RevisionReplicas => ({ revision: name, replicas: count, ready: Math.min(count, ready) }));
  const anyState = fc
    .record({
      desired: replicas,
      maxSurge: fc.nat({ max: 4 }),
      maxUnavailable: fc.nat({ max: 4 }),
      target: revision('target'),
      old: fc.tuple(revision('a'), revision('b')),
    })
    .map((state): RollingState => state)
    .filter(({ maxSurge, maxUnavailable }) => maxSurge + maxUnavailable > 0);

  /** What is ready after ReplicaSets followed the plan: they remove unready pods first and new pods start unready. */
  const follow = (state: RollingState): RollingState => {
    const plan = planRolling(state);
    const scale = (each: RevisionReplicas, count: number) => ({
      ...each,
      replicas: count,
      ready: Math.min(each.ready, count),
    });
    return {
      ...state,
      target: scale(state.target, plan.target),
      old: state.old.map((each) => scale(each, plan.old.get(each.revision) ?? 0)),
    };
  };
  const ready = (state: RollingState) => state.target.ready + state.old.reduce((total, each) => total + each.ready, 0);
  const total = (state: RollingState) =>
    state.target.replicas + state.old.reduce((count, each) => count + each.replicas, 0);

  test('never takes the ready pods below the floor, and never below what was ready if that was less', () => {
    fc.assert(
      fc.property(anyState, (state) => {
        const floor = Math.max(0, state.desired - state.maxUnavailable);
        expect(ready(follow(state))).toBeGreaterThanOrEqual(Math.min(floor, ready(state)));
      }),
    );
  });

  test('never raises the total above what is desired and the surge', () => {
    fc.assert(
      fc.property(anyState, (state) => {
        expect(total(follow(state))).toBeLessThanOrEqual(Math.max(total(state), state.desired + state.maxSurge));
      }),
    );
  });

  test('gives the same counts again when nothing else moved, or grows only into room that it made itself', () => {
    fc.assert(
      fc.property(anyState, (state) => {
        const settled = Array.from({ length: 3 }).reduce<RollingState>(follow, state);
        expect(follow(settled)).toEqual(settled);
      }),
    );
  });

  test('ends with only the target when its pods become ready, however many steps one pod at a time takes', () => {
    fc.assert(
      fc.property(anyState, (start) => {
        let state = start;
        for (let step = 0; step < 200; step++) {
          const next = follow(state);
          const becameReady = Math.min(next.target.replicas, next.target.ready + 1);
          state = { ...next, target: { ...next.target, ready: becameReady } };
        }
        expect(state.target).toMatchObject({ replicas: state.desired, ready: state.desired });
        expect(state.old.map(({ replicas: count }) => count)).toEqual([0, 0]);
      }),
    );
  });

  test('keeps the old at the floor for ever while the target never becomes ready', () => {
    fc.assert(
      fc.property(anyState, (start) => {
        const oldReady = start.old.map((each) => ({ ...each, ready: each.replicas }));
        let state: RollingState = { ...start, target: target(0, 0), old: oldReady };
        const floor = Math.min(ready(state), Math.max(0, state.desired - state.maxUnavailable));
        for (let step = 0; step < 50; step++) state = follow(state);
        expect(ready(state)).toBeGreaterThanOrEqual(floor);
      }),
    );
  });
});

describe('recreate', () => {
  test('takes the old to zero before the target starts', () => {
    const plan = planRecreate({ desired: 2, target: target(0, 0), old: [old(2, 2)], leftPods: 2 });
    expect([plan.target, plan.old.get('old')]).toEqual([0, 0]);
  });
  test('waits for pods that are still ending', () => {
    expect(planRecreate({ desired: 2, target: target(0, 0), old: [old(0, 0)], leftPods: 1 }).target).toBe(0);
  });
  test('starts the target when no old pod is left', () => {
    expect(planRecreate({ desired: 2, target: target(0, 0), old: [old(0, 0)], leftPods: 0 }).target).toBe(2);
  });
});

describe('limits of a rolling update', () => {
  test.each([
    { rolling: {}, desired: 4, expected: { maxSurge: 1, maxUnavailable: 0 } },
    { rolling: {}, desired: 1, expected: { maxSurge: 1, maxUnavailable: 0 } },
    { rolling: { maxSurge: '50%', maxUnavailable: '50%' }, desired: 3, expected: { maxSurge: 2, maxUnavailable: 1 } },
    { rolling: { maxSurge: 0, maxUnavailable: '10%' }, desired: 3, expected: { maxSurge: 0, maxUnavailable: 1 } },
    { rolling: { maxSurge: 2, maxUnavailable: 1 }, desired: 10, expected: { maxSurge: 2, maxUnavailable: 1 } },
  ])('are $expected for $rolling of $desired', ({ rolling, desired, expected }) => {
    expect(rollingLimits(rolling, desired)).toEqual(expected);
  });
  test('a text that is neither a count nor a percentage is refused', () => {
    expect(() => podCount('half', 4, 'up')).toThrow(RangeError);
  });
});
