import { describe, expect, test } from 'vitest';
import { decide } from './decide.ts';
import { rollingOut, rolloutOf, run } from './testing/invariants.ts';
import { type ModelCluster, TICK_MS, type Written } from './testing/model-cluster.ts';

const unjudged = { metrics: [] };
const capacity = { provisionTimeout: '3s' };
const quick = (...steps: object[]) => rolloutOf({ strategy: 'Canary', steps, analysis: unjudged, capacity });
const judged = (...steps: object[]) =>
  rolloutOf({ strategy: 'Canary', steps, analysis: { deadline: '60s' }, capacity });

const distinct = <T>(values: readonly T[]) => values.filter((each, index) => each !== values[index - 1]);
const stagesOf = (log: readonly Written[]) =>
  distinct(log.map(({ decision: { progress, report } }) => report.step ?? progress.stage));
const weightsOf = (log: readonly Written[], name = 'b') =>
  distinct(log.map(({ decision }) => decision.route?.weights.get(name) ?? 0));
const podsOf = (log: readonly Written[]) =>
  distinct(log.map(({ decision: { replicas } }) => `${replicas.get('a') ?? 0}+${replicas.get('b') ?? 0}`));
const reasonsOf = (log: readonly Written[]) =>
  log.flatMap(({ decision }) => decision.events.map(({ reason }) => reason));

const stage = (cluster: ModelCluster) => cluster.progress?.stage;
const isOver = (cluster: ModelCluster) => () =>
  (stage(cluster) === 'Done' || stage(cluster) === 'Returned') && cluster.progress?.target === cluster.target;
const settle = (cluster: ModelCluster) => run(cluster, { ticks: 15 });
const untilWeight = (cluster: ModelCluster, weight: number) => () =>
  cluster.weights.get('b') === weight && cluster.routes.length === 1;

describe('a canary', () => {
  test('goes through its steps in order, each held once every router applies it, and then has everything', () => {
    const cluster = rollingOut({ rollout: quick({ smoke: {} }, { weight: 10, hold: '5s' }, { weight: 50 }) });
    const log = run(cluster, { until: isOver(cluster) });
    expect(stagesOf(log)).toEqual(['1/4', '2/4', '3/4', '4/4', 'Keeping', 'Done']);
    expect(weightsOf(log)).toEqual([0, 10, 50, 100]);
    expect(reasonsOf(log)).toEqual([
      'RolloutStarted',
      'StepStarted',
      'StepStarted',
      'StepStarted',
      'Promoted',
      'RolloutComplete',
    ]);
  });

  test('is as large as its share, and the stable revision stays as warm as it was until all has left it', () => {
    const cluster = rollingOut({ rollout: quick({ smoke: {} }, { weight: 10 }, { weight: 50 }) });
    const log = [...run(cluster, { until: isOver(cluster) }), ...settle(cluster)];
    expect(podsOf(log)).toEqual(['4+1', '4+2', '4+4', '0+4']);
  });

  test('takes the place of stable pods one for one on a full cluster, and its weight goes with them', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 50 }), places: 4 });
    const log = run(cluster, { until: isOver(cluster) });
    settle(cluster);
    expect(weightsOf(log)).toEqual([0, 33, 50, 66, 100]);
    for (const { snapshot } of log) {
      const ready = snapshot.revisions.reduce((sum, each) => sum + Math.min(each.ready, each.replicas), 0);
      expect(ready).toBeGreaterThanOrEqual(3);
    }
    expect([cluster.ready('a'), cluster.ready('b')]).toEqual([0, 4]);
  });

  test('of one pod on a full cluster waits, says what is missing, and goes on when there is room', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 50 }), replicas: 1, places: 1 });
    const log = run(cluster, { ticks: 30 });
    expect(log.at(-1)?.decision.report).toMatchObject({
      outcome: 'Progressing',
      shortfall: { reason: 'InsufficientCapacity' },
      message: expect.stringContaining('0 of 1 pods of b ready; needs room for 1 pod: 1 of 1 pods in use'),
    });
    expect(cluster.ready('a')).toBe(1);
  });

  test('of one pod gives way where the user allows the interruption', () => {
    const rollout = rolloutOf({
      strategy: 'Canary',
      steps: [{ weight: 50 }],
      analysis: unjudged,
      capacity,
      maxUnavailable: 1,
    });
    const cluster = rollingOut({ rollout, replicas: 1, places: 1 });
    run(cluster, { until: isOver(cluster) });
    settle(cluster);
    expect([cluster.ready('a'), cluster.ready('b')]).toEqual([0, 1]);
  });

  test('loses weight with the pods that are evicted, and gets it back with them, without another hold', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 50, hold: '20s' }) });
    run(cluster, { until: untilWeight(cluster, 50) });
    run(cluster, { ticks: 3 });
    const held = cluster.progress?.heldSinceMs;
    cluster.evict('b');
    const log = run(cluster, { until: () => stage(cluster) === 'Stepping' && cluster.progress?.step === 1 });
    expect(weightsOf(log).slice(0, 2)).toEqual([25, 50]);
    expect(held).toBeDefined();
    expect(log.at(-1)?.snapshot.nowMs).toBe((held ?? 0) + 20 * TICK_MS);
  });

  test('without a ready pod has no weight at once', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 50, hold: '20s' }) });
    run(cluster, { until: untilWeight(cluster, 50) });
    cluster.evict('b');
    cluster.evict('b');
    expect(cluster.reconcile().decision.route?.weights).toEqual(new Map([['a', 100]]));
  });

  test('comes first in its route: users of a sticky route only move into it', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 10, hold: '20s' }) });
    run(cluster, { until: untilWeight(cluster, 10) });
    expect([...cluster.weights.keys()]).toEqual(['b', 'a']);
  });

  test('starts again at the first step for a third version, and the stable revision stays', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 10, hold: '5s' }, { weight: 50, hold: '5s' }) });
    run(cluster, { until: untilWeight(cluster, 50) });
    cluster.target = 'c';
    const log = run(cluster, { until: isOver(cluster) });
    settle(cluster);
    expect(weightsOf(log, 'b')).toEqual([0]);
    expect(weightsOf(log, 'c')).toEqual([0, 10, 50, 100]);
    expect(log[0]?.decision.events).toEqual([
      { type: 'Normal', reason: 'RolloutStarted', message: 'revision c is to take over from a, instead of b' },
    ]);
    expect(cluster.ready('b')).toBe(0);
  });

  test('goes when the spec goes back to the stable revision, which is no failure', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 50, hold: '60s' }) });
    run(cluster, { until: untilWeight(cluster, 50) });
    cluster.target = 'a';
    const log = [...run(cluster, { until: isOver(cluster) }), ...settle(cluster)];
    expect(weightsOf(log)).toEqual([0]);
    expect(log.at(-1)?.decision.report.outcome).toBe('Complete');
    expect(cluster.ready('b')).toBe(0);
  });

  test('goes on at the same weight when the steps change in the middle', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 10 }, { weight: 50, hold: '60s' }) });
    run(cluster, { until: untilWeight(cluster, 50) });
    cluster.rollout = quick({ smoke: {} }, { weight: 5 }, { weight: 40 }, { weight: 60 });
    const log = run(cluster, { until: isOver(cluster) });
    expect(weightsOf(log)).toEqual([50, 60, 100]);
  });

  test('waits while the model that the spec asks for is not known', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 10 }, { weight: 50 }) });
    run(cluster, { until: untilWeight(cluster, 10) });
    cluster.isTargetKnown = false;
    run(cluster, { ticks: 20 });
    expect(cluster.weights.get('b')).toBe(10);
    cluster.isTargetKnown = true;
    run(cluster, { until: isOver(cluster) });
  });

  test('protects nobody where nothing is wanted', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 10, hold: 'UntilPromoted' }) });
    cluster.replicas = 0;
    run(cluster, { until: isOver(cluster) });
    expect(stage(cluster)).toBe('Done');
  });

  test('stands still while nothing is wanted any more, and goes on where it was', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 50, hold: '60s' }) });
    run(cluster, { until: untilWeight(cluster, 50) });
    cluster.replicas = 0;
    run(cluster, { ticks: 100 });
    expect([cluster.ready('a'), cluster.ready('b')]).toEqual([0, 0]);
    expect(cluster.progress).toMatchObject({ stage: 'Stepping', step: 0 });
    cluster.replicas = 4;
    run(cluster, { until: isOver(cluster) });
    expect(cluster.weights.get('b')).toBe(100);
  });

  test('that is the first revision ever has no steps', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 10, hold: 'UntilPromoted' }) });
    expect(cluster.progress).toMatchObject({ target: 'a', stage: 'Done' });
  });
});

describe('a canary that is judged', () => {
  test('goes on when it is Healthy and its hold is over, whichever comes last', () => {
    const cluster = rollingOut({ rollout: judged({ weight: 10, hold: '5s' }) });
    cluster.verdict = 'InsufficientData';
    run(cluster, { until: untilWeight(cluster, 10) });
    run(cluster, { ticks: 20 });
    expect(cluster.progress?.step).toBe(0);
    cluster.verdict = 'Healthy';
    run(cluster, { until: isOver(cluster) });
    expect(stage(cluster)).toBe('Done');
  });

  test.each([
    ['InsufficientData', 60, 'InsufficientData'],
    ['Inconclusive', 1, 'Inconclusive'],
    ['Error', 1, 'AnalysisError'],
  ] as const)('pauses when it is %s for %d s, and never passes', (verdict, ticks, reason) => {
    const cluster = rollingOut({ rollout: judged({ weight: 10 }) });
    cluster.verdict = verdict;
    run(cluster, { until: () => cluster.progress?.heldSinceMs !== undefined });
    run(cluster, { ticks: ticks - 1 });
    expect(cluster.progress?.pause).toBeUndefined();
    const log = run(cluster, { ticks: 30 });
    expect(cluster.progress?.pause?.reason).toBe(reason);
    expect(log.at(-1)?.decision.report).toMatchObject({ outcome: 'Paused', step: '1/2' });
    expect(cluster.weights.get('b')).toBe(10);
  });

  test('does not take a verdict on an earlier step for one on this', () => {
    const cluster = rollingOut({ rollout: judged({ weight: 10 }, { weight: 50, hold: '5s' }) });
    run(cluster, { until: untilWeight(cluster, 50) });
    run(cluster, { ticks: 2 });
    const snapshot = cluster.snapshot();
    const worse = { kind: 'Unhealthy' as const, message: 'worse', breaksHardLimit: false };
    const stageAfter = (sinceMs: number) => decide({ ...snapshot, verdict: { ...worse, sinceMs } }).progress.stage;
    expect(stageAfter(1)).toBe('Stepping');
    expect(stageAfter(snapshot.progress?.heldSinceMs ?? 0)).toBe('Returning');
  });

  test('is taken back at once when it is Unhealthy, also while it is paused, and freed when routers know', () => {
    const cluster = rollingOut({ rollout: judged({ weight: 50, hold: 'UntilPromoted' }) });
    run(cluster, { until: untilWeight(cluster, 50) });
    cluster.action = 'pause@b#1';
    run(cluster, { ticks: 3 });
    cluster.verdict = 'Unhealthy';
    const log = [...run(cluster, { until: isOver(cluster) }), ...settle(cluster)];
    expect(weightsOf(log)).toEqual([0]);
    expect(podsOf(log)).toEqual(['4+2', '4+0']);
    expect(log.at(-1)?.decision.report).toMatchObject({ outcome: 'RolledBack', stable: 'a', canary: undefined });
    expect(cluster.progress?.failure).toMatchObject({ reason: 'AnalysisFailed', message: 'measured' });
  });

  test('asks for what it is to be judged by, since when, and of whom', () => {
    const cluster = rollingOut({ rollout: judged({ weight: 10, analyse: ['errors'], hold: '9s' }) });
    const log = run(cluster, { until: isOver(cluster) });
    const asked = log.flatMap(({ decision }) => (decision.analyse === undefined ? [] : [decision.analyse]));
    expect(asked[0]).toEqual({
      canary: 'b',
      stable: 'a',
      metrics: ['errors'],
      sinceMs: asked[0]?.sinceMs,
      isMirrored: false,
      limitsOnly: false,
    });
    expect(new Set(asked.map(({ sinceMs }) => sinceMs)).size).toBe(1);
  });
});

describe('taking back', () => {
  test('moves weight only as stable pods become ready, and frees the pods of the other one for one', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 75, hold: 'UntilPromoted' }), replicas: 6, places: 6 });
    run(cluster, { until: untilWeight(cluster, 75) });
    expect([cluster.ready('a'), cluster.ready('b')]).toEqual([2, 4]);
    cluster.action = 'abort@b#1';
    const log = [...run(cluster, { until: isOver(cluster) }), ...settle(cluster)];
    expect(weightsOf(log).every((weight, index, all) => weight < (all[index - 1] ?? 101))).toBe(true);
    expect(weightsOf(log).length).toBeGreaterThan(3);
    expect([cluster.ready('a'), cluster.ready('b')]).toEqual([6, 0]);
  });

  test('moves all at once where the other breaks a hard limit, and lets routers shed what is too much', () => {
    const cluster = rollingOut({ rollout: judged({ weight: 75, hold: 'UntilPromoted' }), replicas: 6, places: 6 });
    run(cluster, { until: untilWeight(cluster, 75) });
    run(cluster, { ticks: 2 });
    cluster.verdict = 'Unhealthy';
    cluster.breaksHardLimit = true;
    expect(cluster.reconcile().decision.route?.weights).toEqual(new Map([['a', 100]]));
  });

  test('moves all at once where the other has no ready pod', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 75, hold: 'UntilPromoted' }), replicas: 6, places: 6 });
    run(cluster, { until: untilWeight(cluster, 75) });
    cluster.fail('b');
    expect(cluster.reconcile().decision.route?.weights).toEqual(new Map([['a', 100]]));
  });

  test('comes after pods that have room were not ready for progressDeadline', () => {
    const rollout = rolloutOf({ strategy: 'Canary', analysis: unjudged, progressDeadline: '30s' });
    const cluster = rollingOut({ rollout, startTicks: 50 });
    run(cluster, { until: isOver(cluster), ticks: 100 });
    expect(cluster.progress?.failure).toMatchObject({
      reason: 'ProgressDeadlineExceeded',
      message: '0 of 1 pods ready after 30s (progressDeadline)',
    });
  });

  test('is not tried again until another revision is wanted, or a person asks for it', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 50, hold: '5s' }) });
    cluster.fail('b');
    run(cluster, { until: isOver(cluster) });
    cluster.heal('b');
    expect(stagesOf(settle(cluster))).toEqual(['Returned']);
    cluster.action = 'retry@b#0';
    run(cluster, { until: () => stage(cluster) === 'Done' });
    expect(cluster.weights.get('b')).toBe(100);
  });

  test('that a person calls off is not begun again for pods that have failed before', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 50, hold: 'UntilPromoted' }) });
    run(cluster, { until: untilWeight(cluster, 50) });
    cluster.fail('b');
    expect(cluster.reconcile().decision.progress.stage).toBe('Returning');
    cluster.action = 'retry@b#0';
    const { decision } = cluster.reconcile();
    expect(decision.progress).toMatchObject({ stage: 'Stepping', step: 0 });
    expect(decision.events.map(({ reason }) => reason)).toEqual(['ActionDone']);
  });

  test('lets the next version start', () => {
    const cluster = rollingOut({ rollout: quick({ weight: 50, hold: '5s' }) });
    cluster.fail('b');
    run(cluster, { until: isOver(cluster) });
    cluster.target = 'c';
    run(cluster, { until: isOver(cluster) });
    expect(cluster.progress).toMatchObject({ target: 'c', from: 'a', stage: 'Done' });
  });
});

describe('BlueGreen', () => {
  const blueGreen = (keepPrevious: string) => rolloutOf({ strategy: 'BlueGreen', keepPrevious, capacity });

  test('starts green in full, switches at once, and keeps blue for its time', () => {
    const cluster = rollingOut({ rollout: blueGreen('10s') });
    const log = [...run(cluster, { until: isOver(cluster) }), ...settle(cluster)];
    expect(weightsOf(log)).toEqual([0, 100]);
    expect(podsOf(log)).toEqual(['4+4', '0+4']);
    const kept = log.filter(({ decision }) => decision.progress.stage === 'Keeping');
    expect(kept.length).toBeGreaterThanOrEqual(10);
    expect(kept.at(-1)?.decision.report.outcome).toBe('Complete');
  });

  test('returns in an instant while blue is kept: by the spec or by a person', () => {
    const wanted = rollingOut({ rollout: blueGreen('1h') });
    run(wanted, { until: () => stage(wanted) === 'Keeping' });
    wanted.target = 'a';
    expect(wanted.reconcile().decision.route?.weights).toEqual(new Map([['a', 100]]));

    const asked = rollingOut({ rollout: blueGreen('1h') });
    run(asked, { until: () => stage(asked) === 'Keeping' });
    asked.action = 'undo@b#0';
    expect(asked.reconcile().decision.route?.weights).toEqual(new Map([['a', 100]]));
  });

  test('grows one for one with its share where both do not fit', () => {
    const cluster = rollingOut({ rollout: blueGreen('0s'), places: 4 });
    const log = [...run(cluster, { until: isOver(cluster) }), ...settle(cluster)];
    expect(weightsOf(log)).toEqual([0, 33, 66, 100]);
    expect([cluster.ready('a'), cluster.ready('b')]).toEqual([0, 4]);
  });
});

describe('Rolling', () => {
  test('leaves a pod Pending for a cluster autoscaler, and then has old pods give way', () => {
    const rollout = rolloutOf({ strategy: 'Rolling', capacity: { provisionTimeout: '20s' } });
    const cluster = rollingOut({ rollout, places: 4 });
    const log = run(cluster, { ticks: 20 });
    expect(log.at(-1)?.decision.report.shortfall?.reason).toBe('PendingSurge');
    expect(podsOf(log).at(-1)).toBe('4+1');
    run(cluster, { until: isOver(cluster) });
    settle(cluster);
    expect([cluster.ready('a'), cluster.ready('b')]).toEqual([0, 4]);
  });

  test('splits requests by the pods that are ready where routers stand before them', () => {
    const cluster = rollingOut({ rollout: rolloutOf({ strategy: 'Rolling', maxSurge: 1 }) });
    const log = run(cluster, { until: isOver(cluster) });
    expect(weightsOf(log)).toEqual([0, 25, 50, 75, 100]);
  });
});

describe('Shadow', () => {
  test('mirrors until a person promotes it, and then takes over', () => {
    const cluster = rollingOut({ rollout: rolloutOf({ strategy: 'Shadow', analysis: unjudged }) });
    run(cluster, { ticks: 60 });
    expect(cluster.routes.at(-1)).toMatchObject({ mirror: { revision: 'b', percent: 10 } });
    expect(cluster.weights).toEqual(new Map([['a', 100]]));
    cluster.action = 'promote@b#2';
    run(cluster, { until: isOver(cluster) });
    expect(cluster.routes.at(-1)).toMatchObject({ mirror: undefined });
    expect(cluster.weights).toEqual(new Map([['b', 100]]));
  });
});
