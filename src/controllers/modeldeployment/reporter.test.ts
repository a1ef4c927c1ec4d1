import { describe, expect, test } from 'vitest';
import type { ModelDeploymentStatus } from '../../api/v1alpha1/model-deployment-status.ts';
import { decide } from '../../rollout/decide.ts';
import type { EventInput } from '../../runtime/events.ts';
import type { ReconcileContext } from '../../runtime/reconcile-context.ts';
import type { ModelDeployment } from '../kinds.ts';
import { OWNER, revisionOf, specOf } from '../testing/spec.ts';
import type { Diagnosis } from './diagnose.ts';
import { Reporter } from './reporter.ts';
import { newScope, type Scope, type Target } from './scope.ts';
import { snapshotOf } from './snapshot.ts';

const model = { uri: 's3://models/churn/', sha256: 'a'.repeat(64) };

const broken: Diagnosis = { kind: 'waiting', reason: 'ReconcileError', message: 'the API server answered 500' };
const denied: Diagnosis = { kind: 'failed', reason: 'AdmissionDenied', message: 'policy says no' };

/** An object whose status is what was written last, seen at a time with so many ready pods of three. */
class Watched {
  status: ModelDeploymentStatus | undefined;
  writes = 0;
  readonly events: EventInput[] = [];
  readonly #reporter = new Reporter();

  ready(): string {
    const ready = this.status?.conditions?.find(({ type }) => type === 'Ready');
    return `${ready?.status} ${ready?.reason}`;
  }

  async tell(nowMs: number, ready: number, change: Partial<Scope> = {}): Promise<Scope> {
    const metadata = { name: 'churn', namespace: 'shop', generation: 1 };
    const spec = specOf({ model, replicas: 3 });
    const object = {
      apiVersion: 'x/v1',
      kind: 'ModelDeployment',
      metadata,
      spec,
      status: this.status,
    } as unknown as ModelDeployment;
    const existing = revisionOf('churn-1', { ready });
    const target: Target = change.target ?? { name: 'churn-1', existing, model };
    const observed: Scope = {
      ...newScope(object, OWNER, nowMs),
      model: { kind: 'resolved', model },
      revisions: [existing],
      target,
    };
    const scope: Scope = { ...observed, decision: decide(snapshotOf(observed, target)), ...change };
    const context: Pick<ReconcileContext, 'key' | 'writeStatus' | 'event'> = {
      key: 'shop/churn',
      writeStatus: async (_resource, written, status) => {
        this.writes += 1;
        this.status = status as ModelDeploymentStatus;
        return written;
      },
      event: (_regarding, event) => this.events.push(event),
    };
    await this.#reporter.tell(scope, context as ReconcileContext);
    return scope;
  }
}

describe('status is written', () => {
  test('when it says something else, and not again when it says the same', async () => {
    const object = new Watched();
    await object.tell(0, 0);
    await object.tell(5_000, 0);
    expect(object.writes).toBe(1);
  });

  test('at most once a second while only numbers move, and the last of them is not forgotten', async () => {
    const object = new Watched();
    await object.tell(10_000, 1);
    expect((await object.tell(10_300, 2)).lookAgainAtMs).toBe(11_000);
    expect(object.status?.readyReplicas).toBe(1);
    await object.tell(11_000, 2);
    expect(object.status?.readyReplicas).toBe(2);
  });

  test('while only numbers move though the clock was put back', async () => {
    const object = new Watched();
    await object.tell(7_200_000, 1);
    await object.tell(10_000, 2);
    expect(object.status?.readyReplicas).toBe(2);
  });

  test('at once when what it means changes', async () => {
    const object = new Watched();
    await object.tell(10_000, 0);
    await object.tell(10_001, 3);
    expect(object.status?.phase).toBe('Ready');
  });

  test('without doubting what was known when an error comes before anything is decided', async () => {
    const object = new Watched();
    await object.tell(0, 3);
    const undecided = { model: { kind: 'unknown' }, decision: undefined, target: undefined } as const;
    await object.tell(2_000, 0, { ...undecided, problem: broken });
    expect(object.status).toMatchObject({ phase: 'Ready', readyReplicas: 3 });
    const told = object.status?.conditions?.map(({ type, status, reason }) => `${type}=${status} ${reason}`);
    expect(told).toContain('Ready=True Serving');
    expect(told).toContain('Progressing=True ReconcileError');
  });

  test('in full when an error comes after it was decided what is wanted, so that Ready does not stay', async () => {
    const object = new Watched();
    await object.tell(0, 3);
    const v7 = { name: 'churn-7', existing: undefined, model };
    await object.tell(2_000, 3, { problem: broken, target: v7 });
    expect(object.ready()).toBe('False ReconcileError');
    await object.tell(4_000, 3, { problem: denied, target: v7 });
    expect(object.ready()).toBe('False AdmissionDenied');
    expect(object.status).toMatchObject({ phase: 'Failed', readyReplicas: 3 });
  });

  test('in full when the Job that finds the digest is refused, and when a refusal has a name', async () => {
    const object = new Watched();
    await object.tell(0, 3);
    const nothing = { decision: undefined, target: undefined };
    await object.tell(2_000, 3, { ...nothing, model: { kind: 'resolving', uri: 's3://x/' }, problem: broken });
    expect(object.ready()).toBe('False ReconcileError');
    await object.tell(4_000, 3, { ...nothing, model: { kind: 'unknown' }, problem: denied });
    expect(object.ready()).toBe('False AdmissionDenied');
    expect(object.status?.rollout?.message).toContain('policy says no; revision churn-1 serves on with 3 pods');
  });

  test('Ready stays when all that was wanted serves and something beside it is refused, which Progressing tells', async () => {
    const object = new Watched();
    await object.tell(0, 3);
    await object.tell(2_000, 3, { problem: denied });
    expect(object.ready()).toBe('True Serving');
    const progressing = object.status?.conditions?.find(({ type }) => type === 'Progressing');
    expect(progressing).toMatchObject({ status: 'False', reason: 'AdmissionDenied' });
  });
});

test('an Event is told when it becomes ready and when it fails, once each', async () => {
  const object = new Watched();
  const failed = [{ kind: 'failed', reason: 'LoadFailed', message: 'bad bytes' } as const];
  for (const at of [0, 5_000]) await object.tell(at, 0, { diagnoses: failed });
  for (const at of [10_000, 15_000]) await object.tell(at, 3);
  expect(object.events.map(({ type, reason }) => `${type} ${reason}`)).toEqual(['Warning LoadFailed', 'Normal Ready']);
});
