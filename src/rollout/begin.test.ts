import { describe, expect, test } from 'vitest';
import { progressText } from './progress.ts';
import { rollingOut, rolloutOf, run } from './testing/invariants.ts';
import type { ModelCluster, Written } from './testing/model-cluster.ts';

const unjudged = { metrics: [] };
const canary = (...steps: object[]) => rolloutOf({ strategy: 'Canary', steps, analysis: unjudged });
const shadow = (...steps: object[]) => rolloutOf({ strategy: 'Shadow', steps, analysis: unjudged });
const smoke = { smoke: {}, hold: 'UntilPromoted' };
const mirror = (percent: number) => ({ mirror: `${percent}%`, hold: 'UntilPromoted' });
const weight = (percent: number) => ({ weight: percent, hold: 'UntilPromoted' });

function never(): never {
  throw new Error('a rollout is remembered');
}

const isHeld = (cluster: ModelCluster) => () => cluster.progress?.heldSinceMs !== undefined;
const isOver = (cluster: ModelCluster) => () =>
  cluster.progress?.target === cluster.target &&
  (cluster.progress.stage === 'Done' || cluster.progress.stage === 'Returned');
const reasonsOf = (log: readonly Written[]) =>
  log.flatMap(({ decision }) => decision.events.map(({ reason }) => reason));

/** In the hold of a step, by number. */
function heldAt(number: number, rollout: ReturnType<typeof rolloutOf>): ModelCluster {
  const cluster = rollingOut({ rollout });
  run(cluster, { until: isHeld(cluster) });
  for (let step = 1; step < number; step++) {
    cluster.action = `promote@b#${step}`;
    cluster.reconcile();
    run(cluster, { until: isHeld(cluster) });
  }
  run(cluster, { ticks: 3 });
  return cluster;
}

const whereabouts = (cluster: ModelCluster) => ({
  step: (cluster.progress?.step ?? 0) + 1,
  stage: cluster.progress?.stage,
  weight: cluster.weights.get('b') ?? 0,
  mirror: cluster.routes.at(-1)?.mirror?.percent,
});

describe('steps that change in the middle', () => {
  test.each([
    ['a mirror goes on where smoke is left out', 2, shadow(smoke, mirror(10)), shadow(mirror(20)), [1, 0, 20]],
    ['a mirror stays one', 2, canary(smoke, mirror(10), weight(10)), canary(mirror(10), weight(10)), [1, 0, 10]],
    ['smoke stays smoke', 1, canary(smoke, weight(10)), canary(smoke, mirror(5), weight(10)), [1, 0, undefined]],
    ['weights become copies for Shadow', 1, canary(weight(10), weight(50)), shadow(smoke, mirror(10)), [2, 0, 10]],
    [
      'all are lowered',
      2,
      canary(weight(10), weight(25), weight(50)),
      canary(weight(5), weight(20)),
      [2, 20, undefined],
    ],
    ['the first is lowered', 1, canary(weight(10), weight(50)), canary(weight(5), weight(50)), [1, 5, undefined]],
    [
      'one comes in between',
      2,
      canary(weight(10), weight(50)),
      canary(weight(10), weight(40), weight(60)),
      [2, 40, undefined],
    ],
    ['one comes before', 1, canary(weight(10)), canary(smoke, weight(5), weight(10)), [3, 10, undefined]],
    [
      'the first gives more: nothing guards it',
      1,
      canary(weight(10), weight(50)),
      canary(weight(30)),
      [1, 30, undefined],
    ],
  ] as const)('go on at the last that gives no more than the one before: %s', (_, number, before, after, place) => {
    const cluster = heldAt(number, before);
    cluster.rollout = after;
    run(cluster, { ticks: 60 });
    const [step, share, copies] = place;
    expect(whereabouts(cluster)).toEqual({ step, stage: 'Stepping', weight: share, mirror: copies });
  });

  test('hold the one that they go on at anew, and go on with the hold of one that is still there', () => {
    const cluster = heldAt(2, canary(weight(10), weight(50)));
    const { heldSinceMs } = cluster.progress ?? {};
    cluster.rollout = canary(weight(10), weight(20), weight(50), weight(80));
    run(cluster, { ticks: 3 });
    expect(cluster.progress).toMatchObject({ step: 2, heldSinceMs });
    const editedAtMs = cluster.snapshot().nowMs;
    cluster.rollout = canary(weight(10), weight(40));
    run(cluster, { until: () => cluster.weights.get('b') === 40 });
    expect(cluster.progress).toMatchObject({ step: 1 });
    expect(cluster.progress?.heldSinceMs).toBeGreaterThanOrEqual(editedAtMs);
  });

  test('pass by no step of the same share: of several the first is held', () => {
    const before = canary(mirror(10), { mirror: '10%' }, weight(10));
    const cluster = heldAt(1, before);
    cluster.rollout = canary(mirror(10), { mirror: '10%' }, weight(20));
    run(cluster, { ticks: 30 });
    expect(whereabouts(cluster)).toMatchObject({ step: 1, weight: 0, mirror: 10 });
  });

  test('come one after the other where there were none: Rolling that becomes a Canary starts at the first', () => {
    const cluster = rollingOut({ rollout: rolloutOf({ strategy: 'Rolling' }) });
    run(cluster, { until: () => (cluster.weights.get('b') ?? 0) >= 25 });
    cluster.rollout = canary(weight(10), weight(50));
    run(cluster, { ticks: 60 });
    expect(whereabouts(cluster)).toMatchObject({ step: 1, weight: 10 });
  });

  test('leave a paused rollout paused, and give nothing more', () => {
    const cluster = heldAt(1, canary(weight(10), weight(50)));
    cluster.action = 'pause@b#1';
    run(cluster, { ticks: 2 });
    cluster.rollout = canary(weight(30));
    run(cluster, { ticks: 30 });
    expect(cluster.weights.get('b')).toBe(10);
    cluster.rollout = shadow(mirror(10));
    run(cluster, { ticks: 30 });
    expect(cluster.weights.get('b') ?? 0).toBe(0);
    expect(cluster.progress?.pause?.reason).toBe('Requested');
  });
});

describe('a revision that was taken back', () => {
  function returned(rollout = canary({ weight: 50, hold: '5s' })): ModelCluster {
    const cluster = rollingOut({ rollout });
    cluster.fail('b');
    run(cluster, { until: isOver(cluster) });
    expect(cluster.progress?.stage).toBe('Returned');
    cluster.heal('b');
    run(cluster, { ticks: 5 });
    return cluster;
  }

  test.each([
    ['steps', canary({ weight: 40, hold: '5s' })],
    ['the hold of a step', canary({ weight: 50, hold: '6s' })],
    [
      'the deadline',
      rolloutOf({
        strategy: 'Canary',
        steps: [{ weight: 50, hold: '5s' }],
        analysis: unjudged,
        progressDeadline: '20m',
      }),
    ],
    ['the strategy', rolloutOf({ strategy: 'Rolling' })],
  ])('is tried again from the first step when spec.rollout changes: %s', (_, rollout) => {
    const cluster = returned();
    cluster.rollout = rollout;
    const log = run(cluster, { until: () => cluster.progress?.stage === 'Done' });
    expect(log[0]?.decision.events).toEqual([
      {
        type: 'Normal',
        reason: 'RolloutStarted',
        message: 'revision b is to take over from a, once more: spec.rollout has changed',
      },
    ]);
    expect(log[0]?.decision.progress).toMatchObject({ stage: 'Stepping', step: 0 });
    expect(cluster.progress?.failure).toBeUndefined();
    expect(cluster.weights.get('b')).toBe(100);
  });

  test('is not tried again for another number of pods', () => {
    const cluster = returned();
    cluster.replicas = 6;
    const log = run(cluster, { ticks: 60 });
    expect(cluster.progress?.stage).toBe('Returned');
    expect(reasonsOf(log)).toEqual([]);
  });

  test('is not tried again where a version before this one did not remember what spec.rollout was', () => {
    const cluster = returned();
    const { rolloutHash: _hash, ...known } = cluster.progress ?? never();
    const revision = cluster.revisions.get('b') ?? never();
    revision.progress = progressText(known);
    cluster.rollout = canary(weight(40));
    run(cluster, { ticks: 10 });
    expect(cluster.progress?.stage).toBe('Returned');
    cluster.rollout = canary(weight(50));
    run(cluster, { until: () => cluster.weights.get('b') === 50 });
  });

  test('goes all the way back first when spec.rollout changes meanwhile', () => {
    const cluster = rollingOut({ rollout: canary(weight(75)), replicas: 6, places: 6 });
    run(cluster, { until: () => cluster.weights.get('b') === 75 && cluster.routes.length === 1 });
    cluster.action = 'abort@b#1';
    run(cluster, { ticks: 1 });
    cluster.rollout = canary(weight(50));
    run(cluster, { until: () => cluster.progress?.stage === 'Returned' });
    expect(cluster.weights.get('b') ?? 0).toBe(0);
    run(cluster, { until: () => cluster.weights.get('b') === 50 });
  });

  test('waits until the model of the spec is known', () => {
    const cluster = returned();
    cluster.rollout = canary(weight(40));
    cluster.isTargetKnown = false;
    run(cluster, { ticks: 10 });
    expect(cluster.progress?.stage).toBe('Returned');
    cluster.isTargetKnown = true;
    run(cluster, { until: () => cluster.weights.get('b') === 40 });
  });

  test('is tried again once for one change, also where the operator dies before that is written', () => {
    const cluster = returned();
    cluster.fail('b');
    cluster.rollout = canary(weight(40));
    const deaths = [0, 0, 1];
    const begun = run(cluster, { until: () => cluster.progress?.stage === 'Stepping', deaths });
    expect(reasonsOf(begun)).toEqual(['RolloutStarted', 'RolloutStarted', 'RolloutStarted']);
    const again = run(cluster, { until: isOver(cluster) });
    expect(reasonsOf(again)).toEqual(['TakenBack', 'RolledBack']);
    expect(reasonsOf(run(cluster, { ticks: 30 }))).toEqual([]);
    expect(cluster.progress?.stage).toBe('Returned');
  });
});

describe('a rollout whose record is lost', () => {
  const rollout = canary({ weight: 10, hold: '5s' }, { weight: 50, hold: '5s' });
  function promoted(): ModelCluster {
    const cluster = rollingOut({ rollout });
    run(cluster, { until: isOver(cluster) });
    run(cluster, { ticks: 15 });
    expect([cluster.ready('a'), cluster.ready('b')]).toEqual([0, 4]);
    return cluster;
  }
  const loseRecord = (cluster: ModelCluster, name: string) => {
    const revision = cluster.revisions.get(name);
    if (revision !== undefined) revision.progress = '{"garbage":1}';
  };

  test('leaves everything to the revision that serves, and gives none to one without pods', () => {
    const cluster = promoted();
    loseRecord(cluster, 'b');
    const log = run(cluster, { ticks: 40 });
    expect(log.map(({ decision }) => decision.route?.weights.get('b'))).toEqual(log.map(() => 100));
    expect(cluster.progress).toMatchObject({ target: 'b', stage: 'Done' });
    expect([cluster.ready('a'), cluster.ready('b')]).toEqual([0, 4]);
  });

  test('starts the wanted revision at once where its Deployment was deleted and nothing serves', () => {
    const cluster = promoted();
    cluster.revisions.delete('b');
    run(cluster, { until: () => cluster.ready('b') === 4, ticks: 10 });
    run(cluster, { until: isOver(cluster) });
    expect(cluster.ready('a')).toBe(0);
  });

  test('begins anew from the revision that had the traffic while both have pods', () => {
    const cluster = rollingOut({ rollout: canary(weight(10), weight(50)) });
    run(cluster, { until: () => cluster.weights.get('b') === 10 });
    loseRecord(cluster, 'b');
    run(cluster, { until: isHeld(cluster) });
    expect(cluster.progress).toMatchObject({ target: 'b', from: 'a', step: 0 });
  });

  test.each([
    ['green, which nobody has promoted, has as many pods', rolloutOf({ strategy: 'BlueGreen', steps: [smoke] }), 4],
    ['the canary of a single pod has one too', canary(weight(10), weight(50)), 1],
    ['both answer half of the requests', canary(weight(50)), 1],
  ])('begins anew from the one that had the traffic, by the route before the pods: %s', (_, asked, replicas) => {
    const cluster = rollingOut({ rollout: asked, replicas });
    run(cluster, { until: isHeld(cluster) });
    for (const name of ['a', 'b']) loseRecord(cluster, name);
    expect(cluster.reconcile().decision.progress).toMatchObject({ target: 'b', from: 'a', step: 0 });
  });

  test('still goes back to the stable revision that gave all of its pods away', () => {
    const one = rolloutOf({
      strategy: 'Canary',
      steps: [weight(50)],
      analysis: unjudged,
      maxUnavailable: 1,
      capacity: { mode: 'Swap' },
    });
    const cluster = rollingOut({ rollout: one, replicas: 1, places: 1 });
    run(cluster, { until: () => cluster.ready('b') === 1 && cluster.weights.get('b') === 100 });
    cluster.target = 'c';
    expect(cluster.reconcile().decision.progress).toMatchObject({ target: 'c', from: 'a' });
  });
});
