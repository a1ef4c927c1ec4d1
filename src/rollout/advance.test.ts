import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide } from './decide.ts';
import { parseProgress, progressText } from './progress.ts';
import { rollingOut, rolloutOf, run } from './testing/invariants.ts';
import { type ModelCluster, TICK_MS } from './testing/model-cluster.ts';

const capacity = { provisionTimeout: '3s' };
const canary = (...steps: object[]) =>
  rolloutOf({ strategy: 'Canary', steps, analysis: { metrics: [] }, capacity, progressDeadline: '1h' });

/** Some seconds into the hold of the first step. */
function held(rollout: ReturnType<typeof rolloutOf>, options: { readonly places?: number } = {}): ModelCluster {
  const cluster = rollingOut({ rollout, ...options });
  run(cluster, { until: () => cluster.progress?.heldSinceMs !== undefined });
  run(cluster, { ticks: 5 });
  expect(cluster.progress?.step).toBe(0);
  return cluster;
}

const isUsed = ({ weights, routes }: ModelCluster) =>
  (weights.get('b') ?? 0) > 0 || routes.at(-1)?.mirror?.revision === 'b';

/** Until the first step is over. @returns seconds in which anything reached the revision */
function secondsOfUse(cluster: ModelCluster, alsoHappens = (_tick: number) => {}): number {
  let seconds = 0;
  run(cluster, {
    until: () => cluster.progress?.step !== 0,
    ticks: 3_000,
    happens: (tick) => {
      alsoHappens(tick);
      if (cluster.ready('b') > 0 && isUsed(cluster)) seconds += 1;
    },
  });
  return seconds;
}

describe('the hold of a step', () => {
  test.each([
    ['a share', canary({ weight: 50, hold: '60s' })],
    ['copies', canary({ mirror: '50%', hold: '60s' }, { weight: 50 })],
  ])('of %s does not go on while nothing is wanted', (_, rollout) => {
    const cluster = held(rollout);
    cluster.replicas = 0;
    run(cluster, { ticks: 600 });
    cluster.replicas = 4;
    const seconds = secondsOfUse(cluster);
    expect(seconds).toBeGreaterThanOrEqual(50);
    expect(seconds).toBeLessThanOrEqual(60);
  });

  test('does not go on while all pods of the new revision are gone', () => {
    const cluster = held(canary({ weight: 50, hold: '60s' }));
    cluster.fail('b');
    const failure = cluster.revisions.get('b');
    if (failure !== undefined) failure.failure = undefined;
    for (const pod of failure?.pods ?? []) pod.readyAtTick = cluster.tick + 100;
    run(cluster, { ticks: 90 });
    expect(cluster.progress).toMatchObject({ step: 0, stage: 'Stepping' });
    expect(decide(cluster.snapshot()).report.holdUntilMs).toBeUndefined();
    expect(secondsOfUse(cluster)).toBeGreaterThanOrEqual(50);
  });

  test('is told with what it was longer by', () => {
    const cluster = held(canary({ weight: 50, hold: '60s' }));
    const before = decide(cluster.snapshot()).report.holdUntilMs ?? 0;
    cluster.replicas = 0;
    run(cluster, { ticks: 100 });
    cluster.replicas = 4;
    run(cluster, { until: () => cluster.progress?.idleSinceMs === undefined });
    const { idleMs = 0 } = cluster.progress ?? {};
    expect(idleMs).toBeGreaterThanOrEqual(90 * TICK_MS);
    const { report, lookAgainAtMs } = decide(cluster.snapshot());
    expect(report.holdUntilMs).toBe(before + idleMs);
    expect(lookAgainAtMs).toBe(before + idleMs);
  });

  test('goes on again once every router sends there', () => {
    const cluster = rollingOut({ rollout: canary({ weight: 50, hold: '60s' }), ackTicks: 20 });
    run(cluster, { until: () => cluster.progress?.heldSinceMs !== undefined });
    cluster.replicas = 0;
    run(cluster, { ticks: 50 });
    cluster.replicas = 4;
    run(cluster, { until: () => cluster.weights.get('b') === 50 });
    run(cluster, { ticks: 5 });
    expect(cluster.progress?.idleSinceMs).toBeDefined();
    run(cluster, { until: () => cluster.routes.length === 1 });
    run(cluster, { ticks: 1 });
    expect(cluster.progress?.idleSinceMs).toBeUndefined();
  });

  test('is no shorter by a clock that is behind the one before, and its record can still be read', () => {
    const { progress, ...snapshot } = held(canary({ weight: 50, hold: '60s' })).snapshot();
    if (progress === undefined) throw new Error('a rollout is remembered');
    const idle = { ...progress, idleSinceMs: snapshot.nowMs + 2 * TICK_MS };
    const after = decide({ ...snapshot, progress: idle }).progress;
    expect(after.idleMs).toBe(0);
    expect(parseProgress(progressText(after))).toEqual(after);
  });

  test('goes on while part of its pods are there', () => {
    const cluster = held(canary({ weight: 50, hold: '60s' }));
    cluster.evict('b');
    run(cluster, { until: () => cluster.progress?.step === 1 });
    expect(cluster.progress?.idleMs).toBeUndefined();
  });

  test('is measured on as before: what was counted stays counted, and the deadline is later by as much', () => {
    const steps = [{ weight: 50, hold: '5s' }];
    const rollout = rolloutOf({ strategy: 'Canary', steps, analysis: { deadline: '60s' }, capacity });
    const cluster = rollingOut({ rollout });
    cluster.verdict = 'InsufficientData';
    run(cluster, { until: () => cluster.progress?.heldSinceMs !== undefined });
    const { heldSinceMs } = cluster.progress ?? {};
    run(cluster, { ticks: 20 });
    cluster.replicas = 0;
    run(cluster, { ticks: 100 });
    cluster.replicas = 4;
    run(cluster, { ticks: 30 });
    expect(cluster.progress?.pause).toBeUndefined();
    expect(cluster.progress?.heldSinceMs).toBe(heldSinceMs);
    run(cluster, { ticks: 30 });
    expect(cluster.progress?.pause?.reason).toBe('InsufficientData');
  });

  test('begins with a pod that is ready, whatever a route still says', () => {
    const cluster = rollingOut({ rollout: canary({ weight: 50, hold: '60s' }) });
    run(cluster, { until: () => cluster.weights.get('b') === 50 && cluster.routes.length === 1 });
    const { progress: _held, ...snapshot } = cluster.snapshot();
    const gone = snapshot.revisions.map((each) => (each.name === 'b' ? { ...each, ready: 0 } : each));
    expect(decide({ ...snapshot, progress: undefined, revisions: gone }).progress.heldSinceMs).toBeUndefined();
  });

  test('lasts for its time of use, whatever is evicted or scaled in between', { timeout: 60_000 }, () => {
    const happening = fc.record({ tick: fc.nat({ max: 80 }), what: fc.constantFrom('evict', 'nothing', 'again') });
    const kind = fc.constantFrom({ weight: 30 }, { weight: 50 }, { mirror: '50%' });
    fc.assert(
      fc.property(kind, fc.array(happening, { maxLength: 8 }), fc.nat({ max: 3 }), (step, happenings, ackTicks) => {
        const cluster = rollingOut({ rollout: canary({ ...step, hold: '20s' }, { weight: 80 }), ackTicks });
        run(cluster, { until: () => cluster.progress?.heldSinceMs !== undefined });
        const seconds = secondsOfUse(cluster, (tick) => {
          for (const { what } of happenings.filter((each) => each.tick === tick)) {
            if (what === 'evict') cluster.evict('b');
            if (what === 'nothing') cluster.replicas = 0;
            if (what === 'again') cluster.replicas = 4;
          }
          if (tick > 80) cluster.replicas = 4;
        });
        // Its first second was before this began to count.
        expect(seconds).toBeGreaterThanOrEqual(19);
      }),
      { numRuns: 60 },
    );
  });

  test('of the next step is its own', () => {
    const cluster = held(canary({ weight: 50, hold: '20s' }, { weight: 80, hold: '20s' }));
    cluster.replicas = 0;
    run(cluster, { ticks: 100 });
    cluster.replicas = 4;
    run(cluster, { until: () => cluster.progress?.step === 1 });
    expect(cluster.progress?.idleMs).toBeUndefined();
  });
});
