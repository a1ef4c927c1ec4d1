import { describe, expect, test } from 'vitest';
import { actionText, parseAction } from './action.ts';
import { rollingOut, rolloutOf, run } from './testing/invariants.ts';
import type { ModelCluster } from './testing/model-cluster.ts';

const rollout = rolloutOf({
  strategy: 'Canary',
  steps: [
    { weight: 10, hold: '60s' },
    { weight: 50, hold: 'UntilPromoted' },
    { weight: 80, hold: '60s' },
  ],
  analysis: { metrics: [] },
  keepPrevious: '60s',
});

/** At the second of four steps, at weight 50. */
function atSecondStep(): ModelCluster {
  const cluster = rollingOut({ rollout });
  ask(cluster, 'promote@b#1');
  run(cluster, { until: () => cluster.weights.get('b') === 50 && cluster.routes.length === 1 });
  return cluster;
}

/** What came of an action, and where the rollout is then. */
function ask(cluster: ModelCluster, action: string) {
  cluster.action = action;
  const { progress, events } = cluster.reconcile().decision;
  const { result, message } = progress.lastAction ?? {};
  return { result, message, progress, reasons: events.map(({ reason }) => reason) };
}

describe('the text of an action', () => {
  test('is VERB@REVISION#STEP', () => {
    expect(parseAction('promote-full@churn-9c1d#3')).toEqual({ verb: 'promote-full', revision: 'churn-9c1d', step: 3 });
    expect(actionText({ verb: 'undo', revision: 'churn-9c1d', step: 0 })).toBe('undo@churn-9c1d#0');
  });
  test.each([
    '',
    'promote',
    'promote@b',
    'promote@b#',
    'promote@b#-1',
    'delete@b#1',
    'promote@B#1',
    ' promote@b#1',
    'promote@b#1\n',
  ])('%j asks for nothing', (text) => expect(parseAction(text)).toBeUndefined());
});

describe('an action', () => {
  test.each([
    ['promote@b#2', { step: 2, stage: 'Stepping' }],
    ['promote-full@b#2', { step: 3, stage: 'Stepping' }],
    ['pause@b#2', { step: 1, pause: { reason: 'Requested' } }],
    ['abort@b#2', { stage: 'Returning', failure: { reason: 'Aborted' } }],
    ['undo@b#2', { stage: 'Returning', failure: { reason: 'Undone' } }],
  ])('%s is done', (action, expected) => {
    const { result, progress, reasons } = ask(atSecondStep(), action);
    expect(result).toBe('Done');
    expect(progress).toMatchObject({ ...expected, lastAction: { action, by: 'dana' } });
    expect(reasons).toContain('ActionDone');
  });

  test.each([
    ['promote-full@b#1', 'the rollout is at step 2 of 4'],
    ['promote@b#3', 'the rollout is at step 2 of 4'],
    ['promote@c#2', 'it is about revision c, and the wanted one is b'],
    ['abort@a#2', 'it is about revision a, and the wanted one is b'],
    ['resume@b#2', 'it is not paused'],
    ['retry@b#2', 'revision b has not been taken back'],
    [
      'delete@b#2',
      'not VERB@REVISION#STEP with one of the verbs promote, promote-full, pause, resume, abort, retry, undo',
    ],
  ])('%s is refused with the reason: %s', (action, message) => {
    const cluster = atSecondStep();
    const before = cluster.progress;
    const asked = ask(cluster, action);
    expect(asked).toMatchObject({ result: 'Refused', message });
    expect(asked.reasons).toEqual(['ActionRefused']);
    expect(asked.progress).toMatchObject({ step: before?.step, stage: before?.stage });
  });

  test.each(['pause@b#1', 'abort@b#1', 'undo@b#1'])(
    '%s holds or takes back wherever it has got to meanwhile',
    (action) => {
      expect(ask(atSecondStep(), action).result).toBe('Done');
    },
  );

  test('is handled once, however often it is seen and whenever the operator dies', () => {
    const cluster = atSecondStep();
    cluster.action = 'promote@b#2';
    run(cluster, { ticks: 20, deaths: [0, 0, 1, 2, undefined, 0, 1] });
    expect(cluster.progress?.step).toBe(2);
  });

  test('with another count behind it is another one', () => {
    const cluster = atSecondStep();
    ask(cluster, 'pause@b#2');
    ask(cluster, 'resume@b#2');
    run(cluster, { ticks: 2 });
    expect(ask(cluster, 'pause@b#2').result).toBe('Done');
    expect(ask(cluster, 'resume@b#2.2').result).toBe('Done');
    expect(ask(cluster, 'resume@b#2.3')).toMatchObject({ result: 'Refused', message: 'it is not paused' });
  });

  test('that is still written there does not act on the next rollout', () => {
    const cluster = atSecondStep();
    ask(cluster, 'abort@b#2');
    run(cluster, { until: () => cluster.progress?.stage === 'Returned' });
    cluster.target = 'c';
    const log = run(cluster, { ticks: 20 });
    expect(log.flatMap(({ decision }) => decision.events.map(({ reason }) => reason))).not.toContain('ActionRefused');
    expect(cluster.weights.get('c')).toBe(10);
  });

  test('that pauses holds the rollout until it is resumed, and its time goes on', () => {
    const cluster = rollingOut({ rollout });
    run(cluster, { until: () => cluster.weights.get('b') === 10 && cluster.routes.length === 1 });
    ask(cluster, 'pause@b#1');
    run(cluster, { ticks: 80 });
    expect(cluster.progress).toMatchObject({ step: 0, stage: 'Stepping' });
    ask(cluster, 'resume@b#1');
    run(cluster, { until: () => cluster.weights.get('b') === 50, ticks: 20 });
  });

  describe('that resumes', () => {
    const steps = [{ weight: 10, hold: '20s' }];
    function pausedBy(verdict: ModelCluster['verdict']): ModelCluster {
      const judged = rolloutOf({ strategy: 'Canary', steps, analysis: { deadline: '60s' } });
      const cluster = rollingOut({ rollout: judged });
      cluster.verdict = verdict;
      run(cluster, { until: () => cluster.progress?.pause !== undefined });
      return cluster;
    }

    test.each([['Inconclusive'], ['Error']] as const)(
      'after %s drops what was measured, and holds and judges the step from the start',
      (verdict) => {
        const cluster = pausedBy(verdict);
        const before = cluster.snapshot();
        const asked = ask(cluster, 'resume@b#1');
        expect(asked).toMatchObject({
          result: 'Done',
          message: `goes on: what was measured is ${verdict}, so that the step is held and measured from the start`,
          reasons: ['ActionDone'],
        });
        expect(asked.progress.pause).toBeUndefined();
        expect(cluster.progress?.heldSinceMs).toBe(before.nowMs);
        cluster.verdict = 'Healthy';
        run(cluster, { ticks: 20 });
        expect(cluster.progress?.step).toBe(0);
        run(cluster, { until: () => cluster.progress?.step === 1, ticks: 2 });
      },
    );

    test('is paused again where it is found Inconclusive again', () => {
      const cluster = pausedBy('Inconclusive');
      ask(cluster, 'resume@b#1');
      run(cluster, { ticks: 1 });
      expect(cluster.progress?.pause?.reason).toBe('Inconclusive');
      expect(ask(cluster, 'resume@b#1.2').result).toBe('Done');
    });

    test('after too little data goes on with what there is, for the whole deadline again', () => {
      const cluster = pausedBy('InsufficientData');
      const { heldSinceMs } = cluster.progress ?? {};
      expect(ask(cluster, 'resume@b#1')).toMatchObject({ result: 'Done', message: 'goes on' });
      run(cluster, { ticks: 50 });
      expect(cluster.progress).toMatchObject({ heldSinceMs, step: 0 });
      expect(cluster.progress?.pause).toBeUndefined();
      cluster.verdict = 'Healthy';
      run(cluster, { until: () => cluster.progress?.step === 1, ticks: 2 });
    });

    test('what a person paused measures nothing anew', () => {
      const cluster = rollingOut({ rollout });
      run(cluster, { until: () => cluster.progress?.heldSinceMs !== undefined });
      const { heldSinceMs } = cluster.progress ?? {};
      ask(cluster, 'pause@b#1');
      run(cluster, { ticks: 10 });
      ask(cluster, 'resume@b#1');
      expect(cluster.progress?.heldSinceMs).toBe(heldSinceMs);
    });
  });

  describe('that pauses, where new pods take the place of old ones,', () => {
    const onFullNode = () => rollingOut({ rollout: { ...rollout, provisionTimeoutMs: 3_000 }, places: 4 });

    test('takes no old pod away for one that waits for room, and goes on when it is resumed', () => {
      const cluster = onFullNode();
      run(cluster, { ticks: 2 });
      ask(cluster, 'pause@b#1');
      const log = run(cluster, { ticks: 30 });
      expect([cluster.ready('a'), cluster.ready('b')]).toEqual([4, 0]);
      expect(log.filter(({ decision }) => decision.claim !== undefined)).toHaveLength(0);
      expect(cluster.revisions.get('b')?.pods.map(({ state }) => state)).toEqual(['pending']);
      ask(cluster, 'resume@b#1');
      run(cluster, { until: () => cluster.weights.get('b') === 10, ticks: 30 });
    });

    test('keeps what has been swapped', () => {
      const cluster = onFullNode();
      run(cluster, { until: () => cluster.weights.get('b') === 10 });
      const before = [cluster.ready('a'), cluster.ready('b')];
      expect(before).toEqual([3, 1]);
      ask(cluster, 'pause@b#1');
      run(cluster, { ticks: 80 });
      expect([cluster.ready('a'), cluster.ready('b')]).toEqual(before);
    });
  });

  test('promote resumes what is paused', () => {
    const cluster = atSecondStep();
    ask(cluster, 'pause@b#2');
    expect(ask(cluster, 'promote@b#2').progress).toMatchObject({ step: 2 });
    expect(cluster.progress?.pause).toBeUndefined();
  });

  test('promote after the last step gives up what is kept', () => {
    const cluster = atSecondStep();
    ask(cluster, 'promote-full@b#2');
    run(cluster, { until: () => cluster.progress?.stage === 'Keeping' });
    expect(ask(cluster, 'promote@b#0').progress.stage).toBe('Done');
  });

  test('undo goes back after the rollout is over, onto pods that are ready', () => {
    const cluster = atSecondStep();
    ask(cluster, 'promote-full@b#2');
    run(cluster, { until: () => cluster.progress?.stage === 'Keeping' });
    ask(cluster, 'promote@b#0');
    run(cluster, { ticks: 10 });
    expect(cluster.ready('a')).toBe(0);
    ask(cluster, 'undo@b#0');
    run(cluster, { until: () => cluster.progress?.stage === 'Returned' });
    expect(cluster.weights).toEqual(new Map([['a', 100]]));
    expect(ask(cluster, 'promote@b#0')).toMatchObject({
      result: 'Refused',
      message: 'revision b was taken back: retry starts it again',
    });
  });

  test('has nothing to go back to where there never was another revision', () => {
    const cluster = rollingOut({ rollout });
    cluster.target = 'a';
    expect(ask(cluster, 'undo@a#0')).toMatchObject({
      result: 'Refused',
      message: 'there is no revision to go back to',
    });
    expect(ask(cluster, 'abort@a#0').message).toBe('the rollout is complete: undo takes it back');
  });

  test('takes a Rolling update back too', () => {
    const cluster = rollingOut({ rollout: rolloutOf({ strategy: 'Rolling' }), startTicks: 3 });
    run(cluster, { until: () => cluster.ready('b') === 2 });
    ask(cluster, 'abort@b#0');
    run(cluster, { until: () => cluster.progress?.stage === 'Returned' });
    run(cluster, { ticks: 10 });
    expect([cluster.ready('a'), cluster.ready('b')]).toEqual([4, 0]);
  });
});
