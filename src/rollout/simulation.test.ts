import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isStepped } from './compile.ts';
import { rollingOut, rolloutOf, run } from './testing/invariants.ts';
import type { ModelCluster, Written } from './testing/model-cluster.ts';

/**
 * Rollouts from beginning to end on a model cluster, with everything that may happen to one. `run` holds each decision to
 * its invariants: weights add up to 100, none grows onto pods that do not carry it, no step's weight is exceeded, and no
 * pod is taken from a revision that any router may still send to.
 */

const weights = fc
  .uniqueArray(fc.integer({ min: 1, max: 100 }), { maxLength: 3 })
  .map((list) => list.toSorted((a, b) => a - b).map((weight) => ({ weight })));
const unjudgedSteps = { steps: [{ weight: 30 }, { weight: 60 }], analysis: { metrics: [] } };
const hold = fc.constantFrom('0s', '2s', '5s');
const canarySteps = fc
  .tuple(fc.boolean(), fc.option(fc.constantFrom('1%', '30%', '100%')), weights)
  .map(([smoke, mirror, list]) => [
    ...(smoke ? [{ smoke: {} }] : []),
    ...(mirror === null ? [] : [{ mirror }]),
    ...list,
  ])
  .filter((steps) => steps.length > 0);

const analysis = fc.constantFrom({ metrics: [] }, { deadline: '1h' });
const capacity = fc.constantFrom({ mode: 'Auto', provisionTimeout: '3s' }, { mode: 'Swap' });
const quick = { provisionTimeout: '3s' };
const canary = fc
  .tuple(canarySteps, fc.array(hold, { minLength: 5, maxLength: 5 }), analysis, capacity)
  .map(([steps, holds, judged, room]) => ({
    strategy: 'Canary',
    steps: steps.map((step, index) => ({ ...step, hold: holds[index] ?? '0s' })),
    analysis: judged,
    capacity: room,
    progressDeadline: '1h',
  }));
const others = fc.constantFrom(
  { strategy: 'BlueGreen', keepPrevious: '5s', capacity: quick },
  { strategy: 'BlueGreen', keepPrevious: '0s', maxUnavailable: '50%', capacity: quick },
  { strategy: 'Shadow', steps: [{ mirror: '10%', hold: '3s', analyse: [] }], capacity: quick },
  { strategy: 'Rolling', capacity: quick },
  { strategy: 'Rolling', maxSurge: 0, maxUnavailable: 1, capacity: quick },
);
const strategy = fc.oneof({ weight: 3, arbitrary: canary }, { weight: 1, arbitrary: others });

const world = fc
  .record({
    fields: strategy,
    replicas: fc.integer({ min: 1, max: 7 }),
    /** Places beside those that the stable revision takes. */
    spare: fc.constantFrom(0, 0, 1, 2, 20),
    startTicks: fc.integer({ min: 0, max: 3 }),
    ackTicks: fc.integer({ min: 0, max: 3 }),
  })
  // A single pod never gives way: that is told, and waits.
  .filter(({ fields, replicas, spare }) => replicas > 1 || (spare > 0 && rolloutOf(fields).capacityMode !== 'Swap'));

const deaths = fc.array(fc.option(fc.nat({ max: 4 }), { nil: undefined, freq: 2 }), { maxLength: 80 });

type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

function clusterOf({ fields, replicas, spare, startTicks, ackTicks }: World): ModelCluster {
  const rollout = rolloutOf(fields);
  return rollingOut({ rollout, replicas, places: replicas + spare, startTicks, ackTicks });
}

/** In which the last pods come and go after a rollout is over. */
const SETTLING_TICKS = 20;

const isOver = (cluster: ModelCluster) => () =>
  (cluster.progress?.stage === 'Done' || cluster.progress?.stage === 'Returned') &&
  cluster.progress.target === cluster.target &&
  cluster.routes.length === 1;

/** Indices of the steps that a rollout was in, as they were persisted. */
const stepsOf = (log: readonly Written[]) =>
  log
    .filter(({ decision }) => decision.progress.stage === 'Stepping')
    .map(({ decision }) => decision.progress.step)
    .filter((step, index, all) => step !== all[index - 1]);

describe('a rollout', { timeout: 120_000 }, () => {
  test('ends with the new revision alone, having been in every step once and in order, whenever the operator dies', () => {
    fc.assert(
      fc.property(world, deaths, (start, dying) => {
        const cluster = clusterOf(start);
        const log = run(cluster, { until: isOver(cluster), deaths: dying, ticks: 600 });
        run(cluster, { ticks: SETTLING_TICKS });
        expect(cluster.progress?.stage).toBe('Done');
        expect(cluster.weights.get('b')).toBe(100);
        expect(cluster.ready('b')).toBe(start.replicas);
        expect(cluster.ready('a')).toBe(0);
        // A decision that was not written was never made.
        const persisted = stepsOf(log.filter((_, tick) => dying[tick] !== 0));
        const { steps } = cluster.rollout;
        expect(persisted).toEqual(isStepped(cluster.rollout.strategy) ? steps.map((_, index) => index) : [0]);
      }),
      { numRuns: 120 },
    );
  });

  test('holds each step for its time after every router applied it', () => {
    fc.assert(
      fc.property(world, deaths, (start, dying) => {
        const cluster = clusterOf(start);
        const log = run(cluster, { until: isOver(cluster), deaths: dying, ticks: 600 });
        for (const [index, { decision, snapshot }] of log.entries()) {
          const after = log[index + 1]?.decision.progress;
          const { progress } = decision;
          if (after === undefined || dying[index] === 0 || progress.stage !== 'Stepping') continue;
          if (after.step === progress.step && after.stage === 'Stepping') continue;
          const step = snapshot.rollout.steps[progress.step];
          if (typeof step?.hold !== 'number' || step.hold === 0) continue;
          const next = log[index + 1]?.snapshot.nowMs ?? 0;
          expect(next - (progress.heldSinceMs ?? next)).toBeGreaterThanOrEqual(step.hold);
        }
      }),
      { numRuns: 80 },
    );
  });

  test('ends whatever is evicted, scaled or wanted instead in between', () => {
    const happening = fc.record({
      tick: fc.nat({ max: 60 }),
      what: fc.constantFrom(
        'evict a',
        'evict b',
        'scale',
        'third',
        'back',
        'b again',
        'Rolling',
        'BlueGreen',
        'Canary',
      ),
      count: fc.integer({ min: 2, max: 7 }),
    });
    fc.assert(
      fc.property(world, deaths, fc.array(happening, { maxLength: 6 }), (start, dying, happenings) => {
        const cluster = clusterOf(start);
        const happens = (tick: number) => {
          for (const { what, count } of happenings.filter((each) => each.tick === tick)) {
            if (what === 'evict a') cluster.evict('a');
            if (what === 'evict b') cluster.evict('b');
            if (what === 'scale' && start.replicas > 1 && start.spare > 2) cluster.replicas = count;
            if (what === 'third') cluster.target = 'c';
            if (what === 'back') cluster.target = 'a';
            if (what === 'b again') cluster.target = 'b';
            if (/^[A-Z]/.test(what)) {
              cluster.rollout = rolloutOf({ strategy: what, capacity: quick, ...(what === 'Canary' && unjudgedSteps) });
            }
          }
        };
        run(cluster, { ticks: 61, deaths: dying, happens });
        run(cluster, { until: isOver(cluster), ticks: 800 });
        run(cluster, { ticks: SETTLING_TICKS });
        expect(cluster.progress?.stage).toBe('Done');
        expect(cluster.weights.get(cluster.target)).toBe(100);
        expect(cluster.ready(cluster.target)).toBe(cluster.replicas);
      }),
      { numRuns: 120 },
    );
  });

  test('goes back to where it came from when the new revision fails at any time, and stays there', () => {
    fc.assert(
      fc.property(
        world,
        deaths,
        fc.nat({ max: 40 }),
        fc.constantFrom('crash', 'worse', 'hard'),
        (start, dying, at, how) => {
          fc.pre(isStepped(rolloutOf(start.fields).strategy));
          const cluster = clusterOf(start);
          const happens = (tick: number) => {
            if (tick !== at || cluster.progress?.stage === 'Done') return;
            if (how === 'crash') cluster.fail('b');
            else cluster.verdict = 'Unhealthy';
            cluster.breaksHardLimit = how === 'hard';
          };
          run(cluster, { until: isOver(cluster), deaths: dying, happens, ticks: 800 });
          const stage = cluster.progress?.stage;
          if (stage === 'Done') return;
          expect(stage).toBe('Returned');
          run(cluster, { ticks: SETTLING_TICKS });
          expect(cluster.progress?.stage).toBe('Returned');
          expect(cluster.weights.get('a')).toBe(100);
          expect([cluster.ready('a'), cluster.ready('b')]).toEqual([start.replicas, 0]);
        },
      ),
      { numRuns: 120 },
    );
  });
});
