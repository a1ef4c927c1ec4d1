import { describe, expect, test } from 'vitest';
import { decide } from '../../rollout/decide.ts';
import type { Progress } from '../../rollout/progress.ts';
import type { ModelDeployment } from '../kinds.ts';
import { OWNER, revisionOf, specOf } from '../testing/spec.ts';
import type { Diagnosis } from './diagnose.ts';
import type { LiveRouter } from './routing/acknowledgement.ts';
import { newScope, type Scope } from './scope.ts';
import { snapshotOf } from './snapshot.ts';
import { report } from './status.ts';

const model = { uri: 's3://models/churn/model.onnx', sha256: 'a'.repeat(64) };
const old = revisionOf('churn-old');
const fresh = (ready: number) => revisionOf('churn-new', { replicas: 1, ready });

/** A scope as the phases leave it, with the target `churn-new`. */
function scopeOf(change: Partial<Scope>, spec: object = { replicas: 3 }): Scope {
  const object = {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name: 'churn', namespace: 'shop', generation: 4 },
    spec: specOf({ model, ...spec }),
  } as ModelDeployment;
  const scope = { ...newScope(object, OWNER, 0), model: { kind: 'resolved', model } as const, ...change };
  const existing = scope.revisions.find(({ name }) => name === 'churn-new');
  const others = scope.revisions.filter((revision) => revision !== existing);
  if (scope.refusal !== undefined || scope.model.kind !== 'resolved') return scope;
  const target = { name: 'churn-new', existing, model };
  return { ...scope, target, old: others, decision: decide(snapshotOf(scope, target)) };
}

/** What a rollout from `churn-old` to `churn-new` remembers. */
const progressOf = (change: Partial<Progress> = {}): Progress => ({
  sequence: 1,
  target: 'churn-new',
  from: 'churn-old',
  stage: 'Stepping',
  startedAtMs: 0,
  step: 0,
  steps: '',
  ...change,
});
const failed: Diagnosis = { kind: 'failed', reason: 'LoadFailed', message: 'bad bytes' };
const capacity: Diagnosis = { kind: 'capacity', reason: 'Unschedulable', message: '0/4 nodes are available' };

function shown(scope: Scope) {
  const { fields, conditions } = report(scope);
  return {
    phase: fields.phase,
    ...Object.fromEntries(conditions.map(({ type, status, reason }) => [type, `${status} ${reason}`])),
  };
}

describe('phase and conditions', () => {
  const cases: { rule: string; scope: Scope; expected: Record<string, string> }[] = [
    {
      rule: 'the wanted revision serves alone',
      scope: scopeOf({ revisions: [revisionOf('churn-new')] }),
      expected: {
        phase: 'Ready',
        Accepted: 'True Accepted',
        Verified: 'True DigestVerified',
        CapacityAvailable: 'True Sufficient',
        Available: 'True PodsReady',
        Progressing: 'False Complete',
        Ready: 'True Serving',
      },
    },
    {
      rule: 'nothing runs yet',
      scope: scopeOf({}),
      expected: {
        phase: 'Pending',
        Available: 'False RollingOut',
        Progressing: 'True RollingOut',
        Ready: 'False RollingOut',
      },
    },
    {
      rule: 'the new revision loads while the old one serves',
      scope: scopeOf({ revisions: [fresh(0), old] }),
      expected: { phase: 'Progressing', Available: 'True PodsReady', Ready: 'False RollingOut' },
    },
    {
      rule: 'the new revision cannot load while the old one serves',
      scope: scopeOf({ revisions: [fresh(0), old], diagnoses: [failed] }),
      expected: {
        phase: 'Failed',
        Available: 'True PodsReady',
        Progressing: 'False LoadFailed',
        Ready: 'False LoadFailed',
      },
    },
    {
      rule: 'there is no room for the new revision',
      scope: scopeOf({ revisions: [fresh(0), old], diagnoses: [capacity] }),
      expected: { phase: 'Progressing', CapacityAvailable: 'False Unschedulable', Progressing: 'True Unschedulable' },
    },
    {
      rule: 'there is no room for the first pods',
      scope: scopeOf({ revisions: [fresh(0)], diagnoses: [capacity] }),
      expected: { phase: 'Pending', Available: 'False Unschedulable' },
    },
    {
      rule: 'one pod of the wanted revision fails and the others serve',
      scope: scopeOf({ revisions: [revisionOf('churn-new', { ready: 2 })], diagnoses: [failed] }),
      expected: { phase: 'Progressing', Available: 'True PodsReady', Ready: 'False LoadFailed' },
    },
    {
      rule: 'all pods crash after the rollout',
      scope: scopeOf({
        revisions: [revisionOf('churn-new', { ready: 0 })],
        diagnoses: [failed],
        progress: progressOf({ stage: 'Done' }),
      }),
      expected: { phase: 'Failed', Available: 'False LoadFailed', Ready: 'False LoadFailed' },
    },
    {
      rule: 'a pod is missing after the rollout, and comes back',
      scope: scopeOf({ revisions: [revisionOf('churn-new', { ready: 2 })], progress: progressOf({ stage: 'Done' }) }),
      expected: { phase: 'Progressing', Available: 'True PodsReady', Ready: 'False PodsNotReady' },
    },
    {
      rule: 'more pods are asked for after the rollout than there is room for',
      scope: scopeOf({
        revisions: [revisionOf('churn-new', { ready: 2 })],
        diagnoses: [capacity],
        progress: progressOf({ stage: 'Done' }),
      }),
      expected: { phase: 'Progressing', CapacityAvailable: 'False Unschedulable', Ready: 'False Unschedulable' },
    },
    {
      rule: 'the spec is refused while something serves',
      scope: scopeOf({ revisions: [old], refusal: { reason: 'InvalidPod', message: 'no' } }),
      expected: {
        phase: 'Failed',
        Accepted: 'False InvalidPod',
        Available: 'True PodsReady',
        Progressing: 'False InvalidPod',
      },
    },
    {
      rule: 'the revision that has the traffic again is lost',
      scope: scopeOf({
        revisions: [fresh(0)],
        progress: progressOf({ stage: 'Returned', failure: { reason: 'Aborted', message: 'on request', atMs: 0 } }),
        diagnoses: [{ kind: 'failed', reason: 'RevisionLost', message: 'gone' }],
      }),
      expected: {
        phase: 'Failed',
        Available: 'False RevisionLost',
        Progressing: 'False RevisionLost',
        Ready: 'False RevisionLost',
      },
    },
    {
      rule: 'the model is not in the registry',
      scope: scopeOf({ model: { kind: 'failed', reason: 'ModelNotFound', message: 'no alias' } }),
      expected: {
        phase: 'Failed',
        Ready: 'False ModelNotFound',
        Available: 'False ModelNotFound',
        Verified: 'Unknown ModelNotFound',
      },
    },
    {
      rule: 'a Job looks for the digest',
      scope: scopeOf({ model: { kind: 'resolving', uri: 's3://x/y' } }),
      expected: { phase: 'Pending', Ready: 'False ResolvingModel', Progressing: 'True ResolvingModel' },
    },
    {
      rule: 'the Job has no room',
      scope: scopeOf({ model: { kind: 'resolving', uri: 's3://x/y', why: capacity } }),
      expected: { phase: 'Pending', Ready: 'False Unschedulable', CapacityAvailable: 'False Unschedulable' },
    },
    {
      rule: 'the registry forgot a model that serves',
      scope: scopeOf({
        revisions: [revisionOf('churn-new')],
        model: { kind: 'resolved', model, gone: 'Model churn is gone' },
      }),
      expected: { phase: 'Ready', Ready: 'True ModelGone' },
    },
    {
      rule: 'the wanted revision serves and its autoscaler has no metrics',
      scope: scopeOf({ revisions: [revisionOf('churn-new')], autoscalerFailure: 'its autoscaler does not scale it' }),
      expected: { phase: 'Ready', Ready: 'True AutoscalerFailing', Progressing: 'False Complete' },
    },
    {
      rule: 'no pod is wanted',
      scope: scopeOf({ revisions: [revisionOf('churn-new', { replicas: 0, ready: 0, current: 0 })] }, { replicas: 0 }),
      expected: { phase: 'Ready', Available: 'False ScaledToZero', Ready: 'True ScaledToZero' },
    },
    {
      rule: 'the API server cannot be reached',
      scope: scopeOf({
        revisions: [old],
        problem: { kind: 'waiting', reason: 'ReconcileError', message: 'connection refused' },
      }),
      expected: { phase: 'Progressing', Ready: 'False ReconcileError', Available: 'True PodsReady' },
    },
  ];
  test.each(cases)('$rule', ({ scope, expected }) => {
    expect(shown(scope)).toMatchObject(expected);
  });

  test('never Ready while an old revision has pods that serve', () => {
    const target = revisionOf('churn-new');
    const late = revisionOf('churn-old', { replicas: 0, ready: 1 });
    expect(shown(scopeOf({ revisions: [target, late], progress: progressOf() }))).toMatchObject({
      Ready: 'False RollingOut',
    });
  });
});

describe('fields', () => {
  test('name the revision that had the traffic until the wanted one has all of it', () => {
    const scope = scopeOf({
      revisions: [
        revisionOf('churn-new', { replicas: 3, ready: 2 }),
        revisionOf('churn-old', { replicas: 1, ready: 1 }),
      ],
      progress: progressOf(),
    });
    expect(report(scope).fields).toMatchObject({
      stable: { revision: 'churn-old', ready: 1 },
      canary: { revision: 'churn-new', replicas: 3, ready: 2 },
      rollout: { message: expect.stringContaining('2 of 3 pods of revision churn-new ready') },
    });
  });

  test('tell no weight, since neither strategy splits the traffic', () => {
    expect(report(scopeOf({ revisions: [fresh(0), old] })).fields.canary).not.toHaveProperty('weight');
  });

  test('tell a broken new revision that the old one serves on', () => {
    const { fields } = report(scopeOf({ revisions: [fresh(0), old], diagnoses: [failed] }));
    expect(fields.rollout?.message).toBe('bad bytes; revision churn-old serves on with 3 pods');
  });

  test.each([
    [{ model }, 'model.onnx'],
    [{ model: { uri: 's3://models/churn/7/' } }, '7'],
    [{ model: { ref: { model: 'churn', alias: 'champion' } } }, 'churn@champion'],
  ])('name the model of %j in a word', (spec, expected) => {
    expect(report(scopeOf({}, spec)).fields.summary?.model).toBe(expected);
  });

  test('hold no time and are the same for the same scope', () => {
    const scope = scopeOf({ revisions: [fresh(0), old], diagnoses: [failed] });
    expect(report({ ...scope, nowMs: 1 })).toEqual(report({ ...scope, nowMs: 1e12 }));
  });
});

/** @param generation of the route that it applies; undefined: it has none */
function routerThat(generation: number | undefined): LiveRouter {
  return { name: 'r', uid: 'u', isReady: true, applied: { ...(generation && { churn: generation }) }, refused: {} };
}

describe('a rollout by steps', () => {
  const canary = { replicas: 4, rollout: { strategy: 'Canary', steps: [{ weight: 10, hold: '5m' }] } };
  const route = {
    generation: 7,
    modelDeployment: 'churn',
    ports: { http: 10_000 },
    backends: [
      { revision: 'churn-new', weight: 10, ports: { http: 8080 } },
      { revision: 'churn-old', weight: 90, ports: { http: 8080 } },
    ],
    limits: { maxBodyBytes: 1, maxQueue: 1, maxInFlight: 1, timeoutMs: 1 },
  };
  const routing: Scope['routing'] = {
    splitter: 'Router',
    lead: { to: 'routers', ports: route.ports },
    route,
    weights: new Map(route.backends.map(({ revision, weight }) => [revision, weight])),
    acknowledgement: { isComplete: true, hasReadyRouter: true, waitsFor: undefined },
    routers: [routerThat(7)],
  };
  const steps = 'w10 w100';
  const during = (progress: Partial<Progress>, change: Partial<Scope> = {}) =>
    scopeOf(
      {
        revisions: [
          revisionOf('churn-new', { replicas: 1, ready: 1 }),
          revisionOf('churn-old', { replicas: 4, ready: 4 }),
        ],
        progress: progressOf({ steps, ...progress }),
        routing,
        ...change,
      },
      canary,
    );

  test('shows its step, its weight and the route that is applied', () => {
    const { fields } = report(during({ heldSinceMs: 0 }));
    expect(fields).toMatchObject({
      phase: 'Progressing',
      stable: { revision: 'churn-old', replicas: 4, ready: 4 },
      canary: { revision: 'churn-new', replicas: 1, ready: 1, weight: 10 },
      rollout: { step: '1/2', action: '@churn-new#1', holdUntil: '1970-01-01T00:05:00Z' },
      route: { generation: 7, acknowledged: true },
    });
  });

  test('is Paused while it waits for a person, and says why', () => {
    const pause = { reason: 'Requested', message: 'pause was asked for', atMs: 0 } as const;
    const scope = during({ heldSinceMs: 0, pause });
    expect(shown(scope)).toMatchObject({ phase: 'Paused', Ready: 'False Requested', Progressing: 'False Requested' });
    expect(report(scope).fields.rollout).toMatchObject({ paused: 'Requested' });
  });

  test('is RolledBack once the revision before has all of the traffic, and remembers which one failed and why', () => {
    const failure = { reason: 'Unhealthy', message: 'errors 9% against 1%', atMs: 60_000 };
    const back = new Map([['churn-old', 100]]);
    const scope = during(
      { stage: 'Returned', failure },
      {
        revisions: [
          revisionOf('churn-new', { replicas: 0, ready: 0, current: 0 }),
          revisionOf('churn-old', { replicas: 4, ready: 4 }),
        ],
        routing: { ...routing, weights: back },
      },
    );
    expect(shown(scope)).toMatchObject({ phase: 'RolledBack', Available: 'True PodsReady', Ready: 'False Unhealthy' });
    expect(report(scope).fields).toMatchObject({
      stable: { revision: 'churn-old' },
      failedRevision: {
        revision: 'churn-new',
        reason: 'Unhealthy',
        message: 'errors 9% against 1%',
        at: '1970-01-01T00:01:00Z',
      },
    });
  });

  test.each(['Canary', 'Rolling'])('that was taken back says what retry has to name, also with %s', (strategy) => {
    const failure = { reason: 'Aborted', message: 'aborted on request', atMs: 60_000 };
    const revisions = [
      revisionOf('churn-new', { replicas: 0, ready: 0, current: 0 }),
      revisionOf('churn-old', { replicas: 4, ready: 4 }),
    ];
    const progress = progressOf({ stage: 'Returned', failure });
    const scope = scopeOf({ revisions, progress }, { rollout: { strategy } });
    expect(report(scope).fields.rollout?.action).toBe('@churn-new#0');
  });

  test('has no acknowledged route before the Service leads to routers: none of none is behind', () => {
    const nobody = { isComplete: true, hasReadyRouter: false, waitsFor: undefined };
    const scope = during(
      { stage: 'Stepping', from: 'churn-old' },
      { routing: { ...routing, lead: { to: 'servers' }, acknowledgement: nobody, routers: [] } },
    );
    expect(report(scope).fields.route).toEqual({
      generation: 7,
      acknowledged: false,
      message: 'no router is ready yet: requests go straight to the pods',
    });
  });

  test.each([
    ['not available', 'none is ready', { ...routerThat(7), isReady: false }, 'False NoReadyRouter'],
    ['not available', 'none has a route of it', routerThat(undefined), 'False NoReadyRouter'],
    ['available', 'one has not applied the newest route yet', routerThat(6), 'True PodsReady'],
  ])('is %s while clients come by routers of which %s', (_, _why, router, Available) => {
    const revisions = [revisionOf('churn-new', { replicas: 4, ready: 4 })];
    const scope = during(
      { stage: 'Done', from: 'churn-old' },
      { revisions, routing: { ...routing, routers: [router] } },
    );
    expect(shown(scope)).toMatchObject({ Available });
  });
});

describe('a model that is published', () => {
  const revisions = [revisionOf('churn-new')];
  const addresses = { http: 'https://churn.example.com' };

  test('says where clients outside of the cluster reach it, as far as that is known', () => {
    const acknowledgement = { kind: 'acknowledged', generation: 1 } as const;
    const published = scopeOf({ revisions, exposure: { addresses, acknowledgement } });
    expect(report(published).fields).toMatchObject({ phase: 'Ready', address: { external: addresses } });
    expect(report(scopeOf({ revisions })).fields.address).not.toHaveProperty('external');
  });

  test.each([
    ['refused', 'RouteRefused', 'False'],
    ['waiting', 'WaitingForGateway', 'True'],
  ] as const)('is not Ready while its Gateway has its route %s, though its pods serve', (kind, reason, progressing) => {
    const acknowledgement = { kind, message: 'Gateway public says so' };
    const scope = scopeOf({ revisions, exposure: { addresses, acknowledgement } });
    expect(shown(scope)).toMatchObject({
      Ready: `False ${reason}`,
      Progressing: `${progressing} ${reason}`,
      Available: 'True PodsReady',
    });
  });
});

describe('a URI is shown without the secrets in it', () => {
  const signed = 'https://user:pass@host/churn.onnx?X-Amz-Signature=1a/2b';
  const shownModel = { uri: 'https://host/churn.onnx', sha256: model.sha256 };
  const texts = (scope: Scope) => JSON.stringify(report(scope));
  test('while its digest is looked for', () => {
    const scope = scopeOf({ model: { kind: 'resolving', uri: signed } }, { model: { uri: signed } });
    expect(texts(scope)).toContain('a Job finds out the digest of https://host/churn.onnx');
    expect(texts(scope)).not.toMatch(/pass|1a|2b/);
  });
  test('when it serves', () => {
    const resolved = { uri: signed, sha256: model.sha256 };
    const scope = scopeOf(
      { revisions: [revisionOf('churn-new')], model: { kind: 'resolved', model: resolved } },
      { model: resolved },
    );
    expect(report(scope).fields).toMatchObject({ model: shownModel, summary: { model: 'churn.onnx' } });
    expect(texts(scope)).not.toMatch(/pass|1a|2b/);
  });
});
