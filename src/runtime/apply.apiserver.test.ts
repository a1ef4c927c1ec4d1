import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../e2e/cluster/own-control-plane.ts';
import type { DesiredObject } from './apply.ts';
import { DONE, TerminalError } from './outcome.ts';
import { configMap, eventually } from './testing/cluster.ts';
import { applying, controller, DEPLOYMENTS, desiredDeployment, ManagerFixture } from './testing/manager-fixture.ts';
import { defineResource } from './types.ts';

const kubeconfig = ownKubeconfig();
let fixture: ManagerFixture;

beforeEach(async () => {
  fixture = await ManagerFixture.make(kubeconfig);
});
afterEach(() => fixture.close());

/** Makes the API server set the replicas of every Deployment of the namespace, whatever is sent. */
async function overrideReplicas(replicas: number): Promise<() => Promise<void>> {
  const { namespace } = fixture;
  const kind = (name: string, plural: string) =>
    defineResource({ group: 'admissionregistration.k8s.io', version: 'v1', kind: name, plural, namespaced: false });
  const policies = kind('MutatingAdmissionPolicy', 'mutatingadmissionpolicies');
  const bindings = kind('MutatingAdmissionPolicyBinding', 'mutatingadmissionpolicybindings');
  const meta = { apiVersion: 'admissionregistration.k8s.io/v1', metadata: { name: namespace } };
  await fixture.user.client.create(policies, {
    ...meta,
    kind: 'MutatingAdmissionPolicy',
    spec: {
      matchConstraints: {
        resourceRules: [
          { apiGroups: ['apps'], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources: ['deployments'] },
        ],
      },
      mutations: [
        {
          patchType: 'ApplyConfiguration',
          applyConfiguration: { expression: `Object{spec: Object.spec{replicas: ${replicas}}}` },
        },
      ],
      reinvocationPolicy: 'Never',
    },
  });
  await fixture.user.client.create(bindings, {
    ...meta,
    kind: 'MutatingAdmissionPolicyBinding',
    spec: {
      policyName: namespace,
      matchResources: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } },
    },
  });
  const probe = { ...configMap(namespace, 'probe', {}), metadata: { namespace, name: 'probe', uid: 'x' } };
  await eventually('the policy to take effect', async () => {
    const made = await fixture.user.client.create(DEPLOYMENTS, {
      ...desiredDeployment(probe),
      apiVersion: 'apps/v1',
      kind: 'Deployment',
    });
    await fixture.user.client.delete(DEPLOYMENTS, { namespace, name: 'probe' });
    return made.spec?.replicas === replicas;
  });
  return async () => {
    await fixture.user.client.delete(bindings, { name: namespace });
    await fixture.user.client.delete(policies, { name: namespace });
  };
}

describe('a controller that applies', () => {
  test('writes once, then nothing at rest, through forced resyncs, and after a restart of the operator', async () => {
    for (let index = 0; index < 5; index++) await fixture.createPrimary(`p${index}`);
    const first = fixture.start(applying());
    await eventually(
      'all children',
      async () => (await fixture.user.client.list(DEPLOYMENTS, { namespace: fixture.namespace })).items.length === 5,
    );
    await first.idle();
    expect(first.cluster.writes.map(({ method }) => method)).toEqual(Array(5).fill('PATCH'));

    first.cluster.forgetCalls();
    for (let round = 0; round < 3; round++) {
      first.manager.resync();
      await first.idle();
    }
    expect(first.cluster.calls.filter(({ method }) => method !== 'WATCH')).toEqual([]);
    expect(await first.end()).toBe('stopped');

    const second = fixture.start(applying());
    await second.idle();
    second.manager.resync();
    await second.idle();
    expect(second.cluster.writes).toEqual([]);
    await second.end();
  });

  test('puts back a field that someone edits, takes over nothing that it did not set', async () => {
    await fixture.createPrimary('p');
    const running = fixture.start(applying());
    await eventually('the child', () => fixture.exists('p'));
    const edits: [string, object][] = [
      ['replicas', { spec: { replicas: 7 } }],
      ['a label', { metadata: { labels: { role: 'stolen' } } }],
      ['our own annotation', { metadata: { annotations: { 'example.dev/applied': 'forged' } } }],
      ['an atomic list', { spec: { template: { spec: { tolerations: [] } } } }],
    ];
    for (const [what, edit] of edits) {
      const before = await fixture.getDeployment('p');
      const edited = await fixture.user.client.mergePatch(
        DEPLOYMENTS,
        { namespace: fixture.namespace, name: 'p' },
        edit,
      );
      expect(edited.metadata.resourceVersion, what).not.toBe(before.metadata.resourceVersion);
      await eventually(
        `${what} to be put back`,
        async () => JSON.stringify((await fixture.getDeployment('p')).spec) === JSON.stringify(before.spec),
      );
    }
    await eventually('the label', async () => (await fixture.getDeployment('p')).metadata.labels?.role === 'child');

    await running.idle();
    running.cluster.forgetCalls();
    await fixture.user.client.mergePatch(
      DEPLOYMENTS,
      { namespace: fixture.namespace, name: 'p' },
      { metadata: { annotations: { note: 'mine' } }, spec: { paused: true } },
    );
    await running.idle();
    expect(running.cluster.writes).toEqual([]);
    expect((await fixture.getDeployment('p')).metadata.annotations).toMatchObject({ note: 'mine' });
    await running.end();
  });

  test('removes a field that is no longer desired, and makes again what was deleted', async () => {
    await fixture.createPrimary('p');
    let withPaused = true;
    const running = fixture.start(
      controller(async (object, context) => {
        const desired = desiredDeployment(object);
        await context.apply(DEPLOYMENTS, {
          ...desired,
          spec: { ...desired.spec, ...(withPaused ? { minReadySeconds: 9 } : {}) },
        });
        return DONE;
      }),
    );
    const minReady = async () =>
      ((await fixture.getDeployment('p')).spec as { minReadySeconds?: number } | undefined)?.minReadySeconds;
    await eventually('the child', () => fixture.exists('p'));
    expect(await minReady()).toBe(9);
    withPaused = false;
    running.manager.resync();
    await eventually('the field to go', async () => (await minReady()) === undefined);
    const { uid } = (await fixture.getDeployment('p')).metadata;
    await fixture.user.client.delete(DEPLOYMENTS, { namespace: fixture.namespace, name: 'p' });
    await eventually(
      'a new one',
      async () => (await fixture.exists('p')) && (await fixture.getDeployment('p')).metadata.uid !== uid,
    );
    await running.end();
  });

  test('does not apply for ever what an admission policy changes on the way in', async () => {
    const remove = await overrideReplicas(3);
    await fixture.createPrimary('p');
    const running = fixture.start(applying());
    await eventually('the child', () => fixture.exists('p'));
    expect((await fixture.getDeployment('p')).spec?.replicas).toBe(3);
    await running.idle();
    expect(running.cluster.writes).toHaveLength(1);
    running.manager.resync();
    await running.idle();
    expect(running.cluster.writes).toHaveLength(1);
    await fixture.user.client.mergePatch(
      DEPLOYMENTS,
      { namespace: fixture.namespace, name: 'p' },
      { spec: { template: { spec: { tolerations: [] } } } },
    );
    await eventually('an edit to be put back all the same', () => running.cluster.writes.length === 2);
    await running.end();
    await remove();
  });

  test('leaves an object of the same name that belongs to someone else as it is, and says whose it is', async () => {
    const theirs = desiredDeployment(owner('stranger'));
    await refuses({ ...theirs, metadata: { ...theirs.metadata, name: 'p' } }, 'ConfigMap stranger');
  });

  test('leaves an object of the same name alone that nobody owns and that differs in no field', async () => {
    const { template, strategy } = desiredDeployment(owner('p')).spec;
    const [{ name, image } = {}] = template.spec.containers;
    const spec = {
      strategy,
      selector: { matchLabels: { app: 'p' } },
      template: { metadata: { labels: { app: 'p' } }, spec: { containers: [{ name, image }] } },
    };
    await refuses({ metadata: { namespace: fixture.namespace, name: 'p' }, spec }, 'nobody');
  });

  const owner = (name: string) => ({
    ...configMap(fixture.namespace, name, {}),
    metadata: { namespace: fixture.namespace, name, uid: 'other' },
  });

  async function refuses(theirs: DesiredObject, whose: string): Promise<void> {
    await fixture.user.client.create(DEPLOYMENTS, { ...theirs, apiVersion: 'apps/v1', kind: 'Deployment' });
    const before = await fixture.getDeployment('p');
    await fixture.createPrimary('p');
    const errors: unknown[] = [];
    const reconcile: Parameters<typeof controller>[0] = async (object, context) => {
      try {
        await context.apply(DEPLOYMENTS, desiredDeployment(object));
      } catch (error) {
        errors.push(error);
        throw error;
      }
      return DONE;
    };
    const owns = [{ resource: DEPLOYMENTS, selector: { role: 'child' } }];
    const running = fixture.start(controller(reconcile, { owns }));
    await eventually('the refusal', () => errors.length > 0);
    expect(errors[0]).toBeInstanceOf(TerminalError);
    expect(String(errors[0])).toContain(`already exists and belongs to ${whose}`);
    expect((await fixture.getDeployment('p')).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
    await running.end();
  }
});
