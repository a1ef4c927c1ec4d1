import { describe, expect, test } from 'vitest';
import { decide } from './decide.ts';
import { durationText } from './duration-text.ts';
import { rollingOut, rolloutOf, run } from './testing/invariants.ts';
import type { ModelCluster } from './testing/model-cluster.ts';
import type { RolloutSnapshot } from './types.ts';

const rollout = rolloutOf({
  strategy: 'Canary',
  steps: [
    { weight: 10, hold: '5m' },
    { weight: 50, hold: 'UntilPromoted' },
  ],
  keepPrevious: '10m',
});

/** At weight 10, in the hold of the first of three steps. */
function held(): ModelCluster {
  const cluster = rollingOut({ rollout });
  run(cluster, { until: () => cluster.progress?.heldSinceMs !== undefined });
  return cluster;
}

const told = (cluster: ModelCluster, change: Partial<RolloutSnapshot> = {}) =>
  decide({ ...cluster.snapshot(), ...change }).report;

describe('what is told of a rollout', () => {
  test('while pods start and routers follow, is how far they are', () => {
    const cluster = rollingOut({ rollout });
    expect(told(cluster)).toMatchObject({
      outcome: 'Progressing',
      stable: 'a',
      canary: 'b',
      step: '1/3',
      actionTarget: '@b#1',
      message: 'step 1 of 3 (weight 10): 0 of 1 pods of b ready',
    });
    run(cluster, { until: () => cluster.weights.get('b') === 10 });
    expect(told(cluster).message).toBe(
      'step 1 of 3 (weight 10): 1 of 1 pods of b ready; 1 of 2 routers have not applied it',
    );
  });

  test('while a step is held, is for how long, and what the verdict says', () => {
    const cluster = held();
    const sinceMs = cluster.progress?.heldSinceMs ?? 0;
    const verdict = {
      kind: 'InsufficientData' as const,
      message: '312 of 500 requests',
      sinceMs,
      breaksHardLimit: false,
    };
    expect(told(cluster, { verdict })).toMatchObject({
      message: 'step 1 of 3 (weight 10): held for 5m; 312 of 500 requests',
      holdUntilMs: sinceMs + 300_000,
    });
    expect(told(cluster, { verdict: undefined }).message).toBe(
      'step 1 of 3 (weight 10): held for 5m; nothing has been measured yet',
    );
  });

  test('while it is paused, is why, and what a person can do', () => {
    const cluster = held();
    cluster.action = 'pause@b#1';
    cluster.reconcile();
    expect(told(cluster)).toMatchObject({
      outcome: 'Paused',
      message: 'step 1 of 3 (weight 10) paused: Requested: paused on request; now Healthy; resume, promote or abort',
    });
  });

  test('while the model of the spec is looked for, is that it waits', () => {
    expect(told(held(), { isTargetKnown: false }).message).toContain(
      'waits until the model that the spec asks for is known',
    );
  });

  test('after it was taken back, is why and what tries it again', () => {
    const cluster = held();
    cluster.verdict = 'Unhealthy';
    cluster.reconcile();
    expect(told(cluster).message).toMatch(
      /^going back to a \(AnalysisFailed: measured\): 4 of 4 pods of revision a ready/,
    );
    run(cluster, { until: () => cluster.progress?.stage === 'Returned' });
    expect(told(cluster)).toMatchObject({
      outcome: 'RolledBack',
      stable: 'a',
      canary: undefined,
      step: undefined,
      actionTarget: '@b#0',
      message:
        'revision b was taken back (AnalysisFailed: measured) and a has all of the traffic; ' +
        'it is tried again when spec.rollout changes, or by retry',
    });
  });

  test('after it is over, is who has the traffic, and for how long the one before is kept', () => {
    const cluster = held();
    cluster.action = 'promote-full@b#1';
    run(cluster, { until: () => cluster.progress?.stage === 'Keeping' });
    expect(told(cluster)).toMatchObject({
      outcome: 'Complete',
      stable: 'b',
      message: 'revision b has all of the traffic; a keeps its pods for 10m',
    });
  });

  test('is not that it is complete while routers send to the one before, also where a person ended the last step', () => {
    const cluster = held();
    for (const action of ['promote-full@b#1', 'promote@b#3', 'promote@b#0']) {
      cluster.action = action;
      cluster.reconcile();
      cluster.pass();
    }
    expect(told(cluster)).toMatchObject({
      outcome: 'Progressing',
      message: expect.stringMatching(/^all of the traffic moves to revision b: \d of 4 pods of revision b ready/),
    });
    run(cluster, { until: () => told(cluster).outcome === 'Complete' });
    expect(cluster.routes.map(({ weights }) => weights.get('b'))).toEqual([100]);
    run(cluster, { until: () => cluster.progress?.stage === 'Done' });
  });
});

describe('the next look', () => {
  test('is at the end of the hold, or at the deadline of the data, whichever comes first', () => {
    const cluster = held();
    const sinceMs = cluster.progress?.heldSinceMs ?? 0;
    const at = (change: Partial<RolloutSnapshot>) => decide({ ...cluster.snapshot(), ...change }).lookAgainAtMs;
    expect(at({})).toBe(sinceMs + 300_000);
    expect(at({ rollout: { ...rollout, analysisDeadlineMs: 60_000 } })).toBe(sinceMs + 60_000);
  });

  test('is at the end of what is kept', () => {
    const cluster = held();
    cluster.action = 'promote-full@b#1';
    run(cluster, { until: () => cluster.progress?.stage === 'Keeping' });
    const decision = decide(cluster.snapshot());
    expect(decision.lookAgainAtMs).toBe((decision.progress.keptSinceMs ?? 0) + 600_000);
  });

  test('is when something changes, where no time is waited for', () => {
    const cluster = rollingOut({ rollout });
    cluster.target = 'a';
    expect(decide(cluster.snapshot()).lookAgainAtMs).toBeUndefined();
  });
});

test.each([
  [250, '250ms'],
  [1_000, '1s'],
  [90_000, '1m30s'],
  [7_200_000, '2h'],
])('%d ms are told as %s', (ms, text) => expect(durationText(ms)).toBe(text));
