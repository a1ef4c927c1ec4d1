import { describe, expect, test } from 'vitest';
import { withDefaults } from '../api/defaults.ts';
import { ModelDeployment } from '../api/v1alpha1/model-deployment.ts';
import { compileRollout } from './compile.ts';
import { carriedWeight, floorOf, leastPods } from './sizing.ts';
import { ModelCluster, type ModelOptions, type Written } from './testing/model-cluster.ts';
import type { CompiledRollout } from './types.ts';

function rolloutOf(fields: object): CompiledRollout {
  const manifest = { metadata: { name: 'churn', namespace: 'shop' }, spec: { rollout: fields } };
  return compileRollout(withDefaults(ModelDeployment, manifest).spec.rollout);
}

const unjudged = { metrics: [] };

/** A cluster where revision `a` has all of the traffic and `b` is wanted. */
function rollingOut(options: Partial<ModelOptions> & { readonly rollout: CompiledRollout }): ModelCluster {
  const cluster = new ModelCluster({ replicas: 4, places: 100, startTicks: 2, ackTicks: 1, ...options });
  run(cluster, { until: () => cluster.progress?.stage === 'Done' });
  cluster.target = 'b';
  return cluster;
}

interface Running {
  readonly until?: () => boolean;
  readonly ticks?: number;
  /** Writes after which the operator dies, by reconcile. */
  readonly deaths?: readonly (number | undefined)[];
}

/** Runs to a condition, or so many ticks; holds every decision to what must always be true. */
function run(cluster: ModelCluster, { until, ticks = 400, deaths = [] }: Running = {}): Written[] {
  const log: Written[] = [];
  for (let tick = 0; tick < ticks; tick++) {
    if (until?.() === true) return log;
    const written = cluster.reconcile(deaths[tick]);
    holdsInvariants(cluster, written);
    log.push(written);
    cluster.pass();
  }
  if (until !== undefined) expect(JSON.stringify(cluster.progress), log.at(-1)?.decision.report.message).toBe('over');
  return log;
}

function holdsInvariants(cluster: ModelCluster, { decision, snapshot }: Written): void {
  const { route, replicas, progress } = decision;
  if (route === undefined) return;
  const total = [...route.weights.values()].reduce((sum, weight) => sum + weight, 0);
  expect(total, 'weights add up to 100').toBe(100);
  const floor = floorOf(snapshot.rollout, cluster.replicas);
  const isSwapping = progress.isSwapping === true || snapshot.advice?.kind === 'Swap';
  const base = isSwapping ? floor : cluster.replicas;
  const canary = snapshot.revisions.find(({ name }) => name === progress.target);
  const before = snapshot.route?.weights.get(progress.target) ?? 0;
  const after = route.weights.get(progress.target) ?? 0;
  if (progress.stage === 'Stepping' && progress.from !== undefined && after > before) {
    const ready = Math.min(canary?.ready ?? 0, canary?.replicas ?? 0);
    expect(carriedWeight(ready, base), 'weight only grows onto pods that carry it').toBeGreaterThanOrEqual(
      Math.min(after, cluster.revisions.get(progress.from)?.replicas === 0 ? 0 : 100),
    );
  }
  for (const revision of snapshot.revisions) {
    const planned = replicas.get(revision.name) ?? 0;
    if (planned >= revision.replicas) continue;
    const possible = [...cluster.routes.map(({ weights }) => weights), route.weights];
    const weight = Math.max(...possible.map((weights) => weights.get(revision.name) ?? 0));
    const ready = Math.min(revision.ready, revision.replicas);
    expect(Math.min(ready, planned), `${revision.name} is not shrunk below its ${weight}%`).toBeGreaterThanOrEqual(
      Math.min(ready, leastPods(weight, floor)),
    );
  }
}

const stagesOf = (log: readonly Written[]) =>
  log
    .map(
      ({ decision }) =>
        `${decision.progress.stage}${decision.report.step === undefined ? '' : ` ${decision.report.step}`}`,
    )
    .filter((each, index, all) => each !== all[index - 1]);

const weightsOf = (log: readonly Written[], name = 'b') =>
  log
    .map(({ decision }) => decision.route?.weights.get(name) ?? 0)
    .filter((each, index, all) => each !== all[index - 1]);

const isOver = (cluster: ModelCluster) => () =>
  (cluster.progress?.stage === 'Done' || cluster.progress?.stage === 'Returned') &&
  cluster.progress.target === cluster.target;

describe('a canary', () => {
  test('goes through its steps in order, and then has everything', () => {
    const cluster = rollingOut({ rollout: rolloutOf({ strategy: 'Canary', analysis: unjudged }) });
    const log = run(cluster, { ticks: 3_000, until: isOver(cluster) });
    expect(stagesOf(log)).toEqual([
      'Stepping 1/5',
      'Stepping 2/5',
      'Stepping 3/5',
      'Stepping 4/5',
      'Stepping 5/5',
      'Keeping',
      'Done',
    ]);
    expect(weightsOf(log)).toEqual([0, 10, 25, 50, 100]);
  });

  test('is as large as its share while the stable revision stays as it was', () => {
    const cluster = rollingOut({ rollout: rolloutOf({ strategy: 'Canary', analysis: unjudged }) });
    const log = run(cluster, { ticks: 3_000, until: isOver(cluster) });
    const sizes = log
      .filter(({ decision }) => decision.progress.stage === 'Stepping')
      .map(({ decision }) => `${decision.replicas.get('b')}+${decision.replicas.get('a')}`);
    expect([...new Set(sizes)]).toEqual(['1+4', '2+4', '4+4']);
  });
});
