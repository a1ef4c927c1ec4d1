import { describe, expect, test } from 'vitest';
import { rollingOut, rolloutOf, run } from './testing/invariants.ts';
import type { ModelCluster } from './testing/model-cluster.ts';

const stage = (cluster: ModelCluster) => cluster.progress?.stage;

describe('Rolling and Recreate while the model of the spec is not known', () => {
  /** Half-way, where the model is asked for anew. */
  function halfway(strategy: 'Rolling' | 'Recreate'): ModelCluster {
    const cluster = rollingOut({ rollout: rolloutOf({ strategy: 'Rolling', maxSurge: 1 }) });
    run(cluster, { until: () => cluster.weights.get('b') === 50 });
    cluster.rollout = rolloutOf({ strategy });
    cluster.isTargetKnown = false;
    return cluster;
  }

  test.each(['Rolling', 'Recreate'] as const)('are taken back all the same: %s', (strategy) => {
    const cluster = halfway(strategy);
    cluster.action = 'abort@b#0';
    run(cluster, { until: () => stage(cluster) === 'Returned' });
    expect([cluster.ready('a'), cluster.ready('b')]).toEqual([4, 0]);
    expect(cluster.weights).toEqual(new Map([['a', 100]]));
  });

  test.each(['Rolling', 'Recreate'] as const)('stay as they are where nobody takes them back: %s', (strategy) => {
    const cluster = halfway(strategy);
    const before = [...cluster.revisions.values()].map(({ replicas }) => replicas);
    run(cluster, { ticks: 30 });
    expect([...cluster.revisions.values()].map(({ replicas }) => replicas)).toEqual(before);
  });
});

describe('a BlueGreen that has switched, and whose strategy becomes Rolling', () => {
  function switched(autoscaling?: { min: number; max: number }): ModelCluster {
    const rollout = rolloutOf({ strategy: 'BlueGreen', keepPrevious: '1h' });
    const cluster = rollingOut({ rollout, autoscaling });
    run(cluster, { until: () => cluster.progress?.keptSinceMs !== undefined });
    expect([cluster.ready('a'), cluster.ready('b')]).toEqual([4, 4]);
    cluster.rollout = rolloutOf({ strategy: 'Rolling' });
    return cluster;
  }
  const green = (log: ReturnType<typeof run>) => log.map(({ decision }) => decision.route?.weights.get('b'));

  test.each([
    ['with a fixed count', undefined],
    ['with an autoscaler', { min: 4, max: 20 }],
  ])('gives blue no request back while its pods go: %s', (_, autoscaling) => {
    const cluster = switched(autoscaling);
    const log = run(cluster, { ticks: 30 });
    expect(green(log)).toEqual(log.map(() => 100));
    expect([stage(cluster), cluster.ready('a')]).toEqual(['Done', 0]);
  });

  test('gives blue no request back while it is paused, and blue keeps its pods', () => {
    const cluster = switched();
    cluster.action = 'pause@b#0';
    const log = run(cluster, { ticks: 30 });
    expect(green(log)).toEqual(log.map(() => 100));
    expect([stage(cluster), cluster.ready('a')]).toEqual(['Keeping', 4]);
  });

  test('lets blue answer where no green pod is ready', () => {
    const cluster = switched();
    cluster.action = 'pause@b#0';
    run(cluster, { ticks: 3 });
    cluster.fail('b');
    expect(cluster.reconcile().decision.route?.weights).toEqual(new Map([['a', 100]]));
  });
});
