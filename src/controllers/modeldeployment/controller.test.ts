import { expect, test } from 'vitest';
import { ApiError } from '../../runtime/api-error.ts';
import type { DesiredObject } from '../../runtime/apply.ts';
import { PartialFailureError } from '../../runtime/outcome.ts';
import type { CacheReader, ReconcileContext } from '../../runtime/reconcile-context.ts';
import { silentLogger } from '../../runtime/testing/cluster.ts';
import { FakeClock } from '../../runtime/testing/fake-clock.ts';
import type { KubeObject, Resource } from '../../runtime/types.ts';
import type { ModelDeployment } from '../kinds.ts';
import { specOf } from '../testing/spec.ts';
import { modelDeploymentController } from './controller.ts';

const clock = new FakeClock();
const controller = modelDeploymentController({
  serverImage: 'fairlead',
  serverImageCuda: 'fairlead-cuda',
  workers: 1,
  clock,
  fetchCounts: async () => '{}',
  runQuery: async () => {
    throw new Error('not used');
  },
});

const model = { uri: 's3://models/churn/', sha256: 'a'.repeat(64) };
const object = {
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'ModelDeployment',
  metadata: { name: 'churn', namespace: 'shop', uid: 'u-1', generation: 1 },
  spec: specOf({ model, replicas: 3 }),
} as ModelDeployment;

const nothing: CacheReader = {
  get: () => undefined,
  list: () => [],
  ownedBy: () => [],
  byIndex: () => [],
  isInstalled: () => false,
};

/** What a first reconcile, which begins a rollout, throws where the API server answers with `error` to what `refuses` names. */
async function thrownWhere(refuses: (resource: Resource, verb: 'apply' | 'writeStatus') => boolean, error: ApiError) {
  const answer = (verb: 'apply' | 'writeStatus', resource: Resource) => {
    if (refuses(resource, verb)) throw error;
  };
  const context: Partial<ReconcileContext> = {
    key: 'shop/churn',
    log: silentLogger,
    signal: new AbortController().signal,
    cache: nothing,
    now: () => clock.now(),
    wake: () => undefined,
    apply: async <T extends KubeObject>(resource: Resource<T>, desired: DesiredObject) => {
      answer('apply', resource);
      return desired as unknown as T;
    },
    prune: async () => 0,
    writeStatus: async (resource, written) => {
      answer('writeStatus', resource);
      return written;
    },
    event: () => undefined,
  };
  return await controller.reconcile(object, context as ReconcileContext).catch((thrown: unknown) => thrown);
}

const forbidden = new ApiError('PATCH /x', 403, { reason: 'Forbidden', message: 'no right' });
const broken = new ApiError('PATCH /x', 500, { reason: 'InternalError', message: 'failed calling webhook' });

test.each([
  ['a kind that is written last is forbidden', (kind: string) => kind === 'PodDisruptionBudget', forbidden],
  ['a webhook of such a kind is down', (kind: string) => kind === 'PodDisruptionBudget', broken],
  ['its status cannot be written', (_kind: string, verb: string) => verb === 'writeStatus', broken],
])('a rollout is looked at again every 10 s, and no sooner, where %s', async (_rule, refuses, error) => {
  const thrown = await thrownWhere(({ kind }, verb) => refuses(kind, verb), error);
  expect(thrown).toBeInstanceOf(PartialFailureError);
  expect(thrown).toMatchObject({ cause: error, withinMs: 10_000 });
});
