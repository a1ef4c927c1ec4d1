import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isStepped } from './compile.ts';
import { rolloutOf, run } from './testing/invariants.ts';
import { ModelCluster, type ModelOptions, type Written } from './testing/model-cluster.ts';

const range = { min: 2, max: 10 };

/** Revision `a` runs on `replicas` pods as its autoscaler chose, and `b` is wanted. */
function scaled(fields: object, options: Partial<ModelOptions> & { readonly replicas: number }): ModelCluster {
  const rollout = rolloutOf(fields);
  const cluster = new ModelCluster({
    rollout,
    places: 100,
    startTicks: 1,
    ackTicks: 1,
    autoscaling: range,
    ...options,
  });
  cluster.wished = options.replicas;
  run(cluster, { until: () => cluster.progress?.stage === 'Done' });
  run(cluster, { ticks: 10 });
  cluster.wished = undefined;
  cluster.target = 'b';
  return cluster;
}

const boundsIn = ({ decision }: Written) => Object.fromEntries(decision.autoscalers ?? []);
const canary = (...steps: object[]) => ({ strategy: 'Canary', steps, analysis: { metrics: [] } });

describe('bounds of autoscalers', () => {
  test('are those of the spec while nothing is rolled out', () => {
    const cluster = scaled({ strategy: 'Rolling' }, { replicas: 6 });
    cluster.target = 'a';
    expect(boundsIn(cluster.reconcile())).toEqual({ a: range });
  });

  test("freeze the old revision's count when a Rolling update begins, and leave it the room to grow until the new one serves", () => {
    const cluster = scaled({ strategy: 'Rolling' }, { replicas: 6 });
    expect(boundsIn(cluster.reconcile())).toEqual({ a: { min: 6, max: 10 }, b: { min: 2, max: 2 } });
    cluster.pass();
    cluster.pass();
    const [written] = run(cluster, { ticks: 1 });
    expect(written && boundsIn(written)).toEqual({ a: { min: 4, max: 4 }, b: { min: 2, max: 6 } });
  });

  test('keep the minimum of the stable revision beside a canary, and share the room to grow by weight', () => {
    const cluster = scaled(canary({ weight: 25, hold: 'UntilPromoted' }), { replicas: 6 });
    const log = run(cluster, { until: () => cluster.weights.get('b') === 25 && cluster.routes.length === 1 });
    expect(log[0] && boundsIn(log[0])).toEqual({ a: { min: 6, max: 10 }, b: { min: 2, max: 2 } });
    expect(boundsIn(cluster.reconcile())).toEqual({ a: { min: 6, max: 9 }, b: { min: 2, max: 3 } });
  });

  test('rise beside a canary with a minimum that load raises, and go back once it does not', () => {
    const bounds = { ...range };
    const cluster = scaled(canary({ weight: 25, hold: 'UntilPromoted' }), { replicas: 4, autoscaling: bounds });
    run(cluster, { until: () => cluster.weights.get('b') === 25 && cluster.routes.length === 1 });
    bounds.min = 8;
    run(cluster, { ticks: 10 });
    expect([cluster.ready('a'), cluster.ready('b')]).toEqual([8, 2]);
    cluster.action = 'promote@b#1';
    run(cluster, { until: () => cluster.progress?.stage === 'Done' });
    expect(cluster.ready('b')).toBe(8);
    bounds.min = 2;
    expect(boundsIn(cluster.reconcile())).toEqual({ b: range });
  });

  test('make a canary that takes over as large as what it takes over from, load included', () => {
    const cluster = scaled(canary({ weight: 25, hold: '20s' }), { replicas: 4 });
    run(cluster, { until: () => cluster.weights.get('b') === 25 });
    cluster.wished = 8;
    run(cluster, { until: () => cluster.weights.get('b') === 100 });
    expect(cluster.ready('b')).toBeGreaterThanOrEqual(7);
  });

  test('hold the frozen count through Recreate, when no pod is left to count', () => {
    const cluster = scaled({ strategy: 'Recreate' }, { replicas: 6 });
    run(cluster, { until: () => cluster.progress?.target === 'b' && cluster.progress.stage === 'Done' });
    expect(cluster.ready('b')).toBe(6);
  });

  test('add up to no more than the maximum and the pods of the new revision, whatever is wished, evicted and wanted instead', () => {
    const start = fc.record({
      fields: fc.constantFrom(
        canary({ weight: 10 }, { weight: 50, hold: '3s' }),
        { strategy: 'BlueGreen', keepPrevious: '3s' },
        { strategy: 'Rolling' },
        { strategy: 'Rolling', maxSurge: 0, maxUnavailable: 1 },
        { strategy: 'Rolling', maxUnavailable: '50%' },
        { strategy: 'Recreate' },
      ),
      replicas: fc.integer({ min: 2, max: 10 }),
      wishes: fc.array(fc.option(fc.integer({ min: 1, max: 14 })), { maxLength: 20 }),
      third: fc.option(fc.nat({ max: 15 })),
    });
    fc.assert(
      fc.property(start, ({ fields, replicas, wishes, third }) => {
        const cluster = scaled(fields, { replicas });
        const happens = (tick: number) => {
          cluster.wished = wishes[tick] ?? undefined;
          if (tick === third) cluster.target = 'c';
        };
        const log = run(cluster, { happens, ticks: 25 });
        for (const { decision, snapshot } of log) {
          const bounds = [...(decision.autoscalers ?? [])];
          const sum = bounds.reduce((total, [, { max }]) => total + max, 0);
          const running = snapshot.revisions.reduce((total, each) => total + each.replicas, 0);
          const beside = isStepped(cluster.rollout.strategy) ? range.max : Math.ceil(range.max / 4);
          expect(sum).toBeLessThanOrEqual(Math.max(range.max + beside, running + 1));
          for (const [name, { min, max }] of bounds) {
            expect(min, `${name} of ${JSON.stringify(bounds)}`).toBeLessThanOrEqual(max);
            expect(min).toBeGreaterThanOrEqual(1);
          }
        }
        run(cluster, { until: () => cluster.progress?.stage === 'Done' });
        run(cluster, { ticks: 20 });
        expect(cluster.ready(cluster.target)).toBeGreaterThanOrEqual(range.min);
        for (const [name] of cluster.revisions) if (name !== cluster.target) expect(cluster.ready(name)).toBe(0);
      }),
      { numRuns: 80 },
    );
  }, 60_000);
});
