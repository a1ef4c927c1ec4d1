import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import type { ModelDeployment } from '../kinds.ts';
import { conditionOf, digest, loadFails, model, NAME, served, serves, tenants } from '../testing/tenant.ts';

const tenant = tenants(ownKubeconfig(), { beforeEach, afterEach });

const steps = [{ weight: 10, hold: 'UntilPromoted' }, { weight: 50 }];
const rollout = { strategy: 'Canary', steps, analysis: { metrics: [] } };
/** Refused for an expression that does not compile. */
const broken = {
  name: 'revenue',
  prometheus: { address: 'http://prometheus:9090', query: 'up' },
  success: 'result >',
};
const weightIs = (weight: number) => (object: ModelDeployment) => object.status?.canary?.weight === weight;
const isRefused = (object: ModelDeployment) => conditionOf(object, 'Accepted')?.status === 'False';
const act = (text: string) => tenant().annotate({ 'fairlead.dev/action': text });
const actionOf = (verb: string, { status }: ModelDeployment) => `${verb}${status?.rollout?.action ?? ''}`;
const last = () => tenant().cluster.routers.weights(NAME).at(-1);
const isBack = (object: ModelDeployment) => object.status?.stable?.ready === 2 && object.status?.replicas === 2;

beforeEach(async () => {
  tenant().startOperator();
  await tenant().create({ model: model('1'), replicas: 2, rollout });
  await tenant().untilReady();
  await tenant().change({ model: model('2') });
  await tenant().until('weight 10', weightIs(10));
});

describe.each<[string, object, string]>([
  ['that only a compiler can refuse', { rollout: { analysis: { metrics: [broken] } } }, 'InvalidSpec'],
  [
    'whose pods Kubernetes refuses',
    { pod: { tolerations: [{ operator: 'Exists', value: 'x', key: 'a' }] } },
    'InvalidSpec',
  ],
  [
    'that publishes by what the cluster has not',
    { traffic: { expose: { gateway: { name: 'public' } } } },
    'GatewayApiMissing',
  ],
])('while a spec %s stands in the way of a canary', (_title, change, reason) => {
  beforeEach(async () => {
    await tenant().change(change);
    await tenant().untilReason(reason, 'Accepted');
  });

  test('a person takes the canary back all the same', async () => {
    const held = await tenant().until('it says what an action has to name', ({ status }) => !!status?.rollout?.action);
    expect(held.status).toMatchObject({ canary: { weight: 10 }, stable: { ready: 2 } });
    await act(actionOf('abort', held));
    const after = await tenant().until('it is taken back', isBack);
    expect(after.status?.lastHandledAction).toMatchObject({ result: 'Done' });
    expect(isRefused(after)).toBe(true);
    expect(last()).toBe('100');
    expect(tenant().cluster.routers.lost).toEqual([]);
  });

  test('a canary that crashes is taken back', async () => {
    tenant().play({ pod: (each) => (served(each) === digest('2') ? loadFails('ExampleMismatch') : 'ready') });
    const after = await tenant().until('it is taken back', isBack);
    expect(after.status?.failedRevision).toMatchObject({ reason: 'ExampleMismatch' });
    expect(isRefused(after)).toBe(true);
    expect(last()).toBe('100');
  });
});

test('no step begins while the spec is refused, and the rollout goes on once it is not', async () => {
  await tenant().change({ rollout: { analysis: { metrics: [broken] } } });
  const held = await tenant().untilReason('InvalidSpec', 'Accepted');
  await act(actionOf('promote', held));
  await tenant().until('it was handled', ({ status }) => status?.lastHandledAction !== undefined);
  expect(tenant().cluster.routers.weights(NAME)).not.toContain('50/50');
  await tenant().change({ rollout: { analysis: { metrics: [] } } });
  await tenant().until('the new model', serves('2'));
});
