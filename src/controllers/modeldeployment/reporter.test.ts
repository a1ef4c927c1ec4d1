import { describe, expect, test } from 'vitest';
import type { ModelDeploymentStatus } from '../../api/v1alpha1/model-deployment-status.ts';
import type { EventInput } from '../../runtime/events.ts';
import type { ReconcileContext } from '../../runtime/reconcile-context.ts';
import type { ModelDeployment } from '../kinds.ts';
import { OWNER, revisionOf, specOf } from '../testing/spec.ts';
import { planReplicas } from './plan.ts';
import { Reporter } from './reporter.ts';
import { newScope, type Scope } from './scope.ts';

const model = { uri: 's3://models/churn/', sha256: 'a'.repeat(64) };

/** An object whose status is what was written last, seen at a time with so many ready pods of three. */
class Watched {
  status: ModelDeploymentStatus | undefined;
  writes = 0;
  readonly events: EventInput[] = [];
  readonly #reporter = new Reporter();

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
    const plan = planReplicas({ spec, target: existing, old: [], oldPods: 0 });
    const scope: Scope = {
      ...newScope(object, OWNER, nowMs),
      model: { kind: 'resolved', model },
      revisions: [existing],
      target: { name: 'churn-1', existing, model },
      plan,
      ...change,
    };
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

  test('at once when what it means changes', async () => {
    const object = new Watched();
    await object.tell(10_000, 0);
    await object.tell(10_001, 3);
    expect(object.status?.phase).toBe('Ready');
  });

  test('without doubting what was known when something cannot be looked at', async () => {
    const object = new Watched();
    await object.tell(0, 3);
    await object.tell(2_000, 0, { problem: 'the API server answered 500', plan: undefined, target: undefined });
    expect(object.status).toMatchObject({ phase: 'Ready', readyReplicas: 3 });
    const told = object.status?.conditions?.map(({ type, status, reason }) => `${type}=${status} ${reason}`);
    expect(told).toContain('Ready=True Serving');
    expect(told).toContain('Progressing=True ReconcileError');
  });
});

test('an Event is told when it becomes ready and when it fails, once each', async () => {
  const object = new Watched();
  const failed = [{ kind: 'failed', reason: 'LoadFailed', message: 'bad bytes' } as const];
  for (const at of [0, 5_000]) await object.tell(at, 0, { diagnoses: failed });
  for (const at of [10_000, 15_000]) await object.tell(at, 3);
  expect(object.events.map(({ type, reason }) => `${type} ${reason}`)).toEqual(['Warning LoadFailed', 'Normal Ready']);
});
