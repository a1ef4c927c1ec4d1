import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { ROUTER_NAME } from '../../api/names.ts';
import { eventually } from '../../runtime/testing/cluster.ts';
import { CONFIG_MAPS, DEPLOYMENTS, SERVICES } from '../resources.ts';
import { digest, loadFails, model, NAME, served, serves, tenants } from '../testing/tenant.ts';
import { leadOf } from './routing/lead.ts';

const kubeconfig = ownKubeconfig();
const tenant = tenants(kubeconfig, { beforeEach, afterEach });

/** Steps that nothing but the routers' word holds up. */
const walk = {
  rollout: { strategy: 'Canary', steps: [{ smoke: {} }, { weight: 10 }, { weight: 50 }], analysis: { metrics: [] } },
};
/** The same, which waits at weight 10 for a person. */
const held = {
  rollout: {
    strategy: 'Canary',
    steps: [{ weight: 10, hold: 'UntilPromoted' }, { weight: 50 }],
    analysis: { metrics: [] },
  },
};

const lead = async () => leadOf(await tenant().cluster.get(SERVICES, NAME))?.to;
const weightIs = (weight: number) => (object: { status?: { canary?: { weight?: number }; rollout?: object } }) =>
  object.status?.canary?.weight === weight;
const act = (text: string) => tenant().annotate({ 'fairlead.dev/action': text });
const actionOf = async (verb: string) => {
  const object = await tenant().until(
    'it says what an action has to name',
    ({ status }) => status?.rollout?.action !== undefined,
  );
  return `${verb}${object.status?.rollout?.action ?? ''}`;
};

describe('routers', () => {
  test('appear with the first ModelDeployment that needs them, take over its Service once they all apply its route, and go with the last', async () => {
    const { cluster } = tenant();
    cluster.routers.follows = () => false;
    tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 2, ...walk });
    await tenant().until('it serves', ({ status }) => status?.readyReplicas === 2);
    await eventually(
      'two routers run',
      async () => (await cluster.get(DEPLOYMENTS, ROUTER_NAME))?.status?.replicas === 2,
    );
    expect(await lead()).toBe('servers');
    cluster.routers.follows = () => true;
    await tenant().untilReady();
    expect(await lead()).toBe('routers');
    await tenant().change({ rollout: null });
    await tenant().untilReady();
    expect(await lead()).toBe('servers');
    // Clients may still come by routers for a moment.
    expect(await cluster.get(CONFIG_MAPS, `${NAME}-route`)).toBeDefined();
    expect(await cluster.get(DEPLOYMENTS, ROUTER_NAME)).toBeDefined();
    expect(cluster.routers.lost).toEqual([]);
  });

  test('are pulled with the pull secrets of all that they route, also of those that come later', async () => {
    const pullSecrets = async () => {
      const deployment = await tenant().cluster.get(DEPLOYMENTS, ROUTER_NAME);
      const pod = deployment?.spec?.template?.spec as { imagePullSecrets?: readonly { name: string }[] } | undefined;
      return pod?.imagePullSecrets?.map(({ name }) => name);
    };
    tenant().startOperator();
    await tenant().create({ model: model('1'), traffic: {}, pod: { imagePullSecrets: [{ name: 'mirror' }] } });
    await tenant().untilReady();
    expect(await pullSecrets()).toEqual(['mirror']);
    await tenant().create({ model: model('1'), traffic: {}, pod: { imagePullSecrets: [{ name: 'hub' }] } }, 'other');
    await eventually('both', async () => (await pullSecrets())?.join() === 'hub,mirror');
    await tenant().change({ pod: null }, 'other');
    await eventually('the first alone', async () => (await pullSecrets())?.join() === 'mirror');
  });

  test('have a pair of ports for each ModelDeployment, and the Service leads to it', async () => {
    tenant().startOperator();
    for (const name of ['a', 'b', 'c']) await tenant().create({ model: model('1'), traffic: {} }, name);
    for (const name of ['a', 'b', 'c']) await tenant().untilReady(name);
    const ports = ['a', 'b', 'c'].map((name) => tenant().cluster.routers.applied.get(name)?.at(-1)?.ports.http ?? 0);
    expect(new Set(ports).size).toBe(3);
    for (const [index, name] of ['a', 'b', 'c'].entries()) {
      const service = leadOf(await tenant().cluster.get(SERVICES, name));
      expect(service).toEqual({ to: 'routers', ports: { http: ports[index], grpc: (ports[index] ?? 0) + 1 } });
    }
  });
});

describe('a canary', () => {
  test('walks its steps one after the other, each once routers applied it, and never sends to a revision without a ready pod', async () => {
    const { cluster } = tenant();
    tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 4, ...walk });
    await tenant().untilReady();
    cluster.forgetExtremes();
    await tenant().change({ model: model('2') });
    await tenant().until('the new model', serves('2'));
    expect(cluster.routers.weights(NAME)).toEqual(['100', '10/90', '50/50', '100/0', '100']);
    expect(cluster.routers.lost).toEqual([]);
    expect(cluster.extremes.leastReady).toBeGreaterThanOrEqual(4);
    expect((await tenant().running()).filter(isModel).map(served)).toEqual([digest('2')]);
  });

  test('takes nothing away, and no further step, while a router does not apply the route', async () => {
    const { cluster } = tenant();
    tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 4, ...held });
    await tenant().untilReady();
    let stubborn: string | undefined;
    cluster.routers.follows = (name) => {
      stubborn ??= name;
      return name !== stubborn;
    };
    await tenant().change({ model: model('2') });
    const waiting = await tenant().until(
      'it waits for a router',
      ({ status }) => status?.route?.message?.startsWith('1 of 2 routers have not applied') === true,
    );
    expect(waiting.status?.stable).toMatchObject({ replicas: 4, ready: 4 });
    cluster.routers.follows = () => true;
    await tenant().until('weight 10 is applied', ({ status }) => status?.route?.acknowledged === true);
  });

  test('that cannot load is taken back and not tried again, until a person says retry', async () => {
    const { cluster } = tenant();
    tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 2, ...walk });
    await tenant().untilReady();
    tenant().play({ pod: (each) => (served(each) === digest('2') ? loadFails('ExampleMismatch') : 'ready') });
    await tenant().change({ model: model('2') });
    const { status } = await tenant().until('it is taken back', (object) => object.status?.phase === 'RolledBack');
    expect(status).toMatchObject({
      failedRevision: { reason: 'ExampleMismatch' },
      stable: { ready: 2 },
      rollout: { message: expect.stringContaining('because of ExampleMismatch') },
    });
    expect((await tenant().running()).filter(isModel).map(served)).toEqual([digest('1')]);
    expect(cluster.routers.lost).toEqual([]);
    tenant().play({ pod: () => 'ready' });
    const failed = status?.failedRevision?.revision ?? '';
    await eventually(
      'its pods are gone',
      async () => (await cluster.get(DEPLOYMENTS, failed))?.status?.replicas === undefined,
    );
    await act(await actionOf('retry'));
    const after = await tenant().until('the new model', serves('2'));
    expect(after.status?.lastHandledAction).toMatchObject({ result: 'Done' });
    expect(after.status?.failedRevision).toBeUndefined();
  });
});

describe('a person', () => {
  beforeEach(async () => {
    tenant().startOperator();
    await tenant().create({ model: model('1'), replicas: 4, ...held });
    await tenant().untilReady();
    await tenant().change({ model: model('2') });
    await tenant().until('weight 10', weightIs(10));
  });

  test('promotes a step that waits for it', async () => {
    await act(await actionOf('promote'));
    const { status } = await tenant().until('the new model', serves('2'));
    expect(status?.lastHandledAction).toMatchObject({ action: expect.stringMatching(/^promote@/), result: 'Done' });
    expect(tenant().cluster.routers.weights(NAME)).toContain('50/50');
  });

  test('aborts, and the revision before has all of the traffic again', async () => {
    await act(await actionOf('abort'));
    const { status } = await tenant().until('it is taken back', (object) => object.status?.phase === 'RolledBack');
    expect(status?.failedRevision?.reason).toBeDefined();
    await eventually('only the old pods are left', async () =>
      (await tenant().running()).filter(isModel).every((each) => served(each) === digest('1')),
    );
    expect(tenant().cluster.routers.lost).toEqual([]);
  });

  test('pauses and resumes', async () => {
    await act(await actionOf('pause'));
    await tenant().until('Paused', (object) => object.status?.phase === 'Paused');
    await act(await actionOf('resume'));
    await tenant().until('it goes on', (object) => object.status?.phase === 'Progressing');
  });

  test('changes the spec back, and the new revision leaves without a trace of failure', async () => {
    await tenant().change({ model: model('1') });
    const { status } = await tenant().until('the old model', serves('1'));
    expect(status?.failedRevision).toBeUndefined();
    expect(tenant().cluster.routers.lost).toEqual([]);
  });

  test('changes the spec to a third version, which the stable revision gives way to, and not the second', async () => {
    await tenant().change({ model: model('3') });
    const during = await tenant().until(
      'the third at weight 10',
      (object) => weightIs(10)(object) && object.status?.model?.sha256 === digest('3'),
    );
    expect(during.status?.stable).toMatchObject({ ready: 4 });
    await act(await actionOf('promote'));
    await tenant().until('the third model', serves('3'));
    expect(tenant().cluster.routers.lost).toEqual([]);
  });

  test('undoes what was promoted', async () => {
    await act(await actionOf('promote'));
    const { status } = await tenant().until('the new model', serves('2'));
    await act(`undo@${status?.stable?.revision}#0`);
    await tenant().until(
      'the old model serves',
      ({ status: now }) => now?.phase === 'RolledBack' && now.stable?.ready === 4,
    );
    expect(tenant().cluster.routers.lost).toEqual([]);
  });
});

const isModel = (deployment: { metadata: { name: string } }) => deployment.metadata.name !== ROUTER_NAME;
