import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import type { EventInput } from './events.ts';
import { EVENTS, LEASES } from './kubernetes-resources.ts';
import { LeadershipLostError, type ManagerOptions } from './manager.ts';
import { DONE, type Result, TerminalError, WaitingError } from './outcome.ts';
import { identityOf } from './prune.ts';
import type { ControllerDefinition, ReconcileContext } from './reconcile-context.ts';
import { AuditedCluster, CONFIG_MAPS, type ConfigMap, configMap, eventually, startManager } from './testing/cluster.ts';
import { controllerReference, defineResource, type KubeObject } from './types.ts';

/** Nobody else acts on them here: no controller manager runs. */
interface Deployment extends KubeObject {
  readonly spec?: {
    readonly replicas?: number;
    readonly template?: { readonly spec?: { readonly containers?: readonly { readonly image?: string }[] } };
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly readyReplicas?: number;
  };
}

const DEPLOYMENTS = defineResource<Deployment>({
  group: 'apps',
  version: 'v1',
  kind: 'Deployment',
  plural: 'deployments',
  namespaced: true,
});

const kubeconfig = inject('kubeconfig');
/** What the test does, beside what the manager under test does through a client of its own. */
let user: AuditedCluster;
let namespace: string;

beforeAll(() => {
  user = new AuditedCluster(kubeconfig, {}, 'kubectl-edit');
});
afterAll(() => user.close());
beforeEach(async () => {
  namespace = await user.createNamespace();
});

const primaries = { role: 'primary' };
const children = { role: 'child' };
const createPrimary = (name: string, data: Record<string, string> = {}) =>
  user.client.create(CONFIG_MAPS, configMap(namespace, name, data, primaries));

/** Both primaries and what they own are ConfigMaps, told apart by a label. */
function controller(
  reconcile: (object: ConfigMap, context: ReconcileContext) => Promise<Result>,
  change: Partial<ControllerDefinition<ConfigMap>> = {},
): ControllerDefinition {
  const definition: ControllerDefinition<ConfigMap> = {
    name: 'test',
    primary: { resource: CONFIG_MAPS },
    owns: [{ resource: CONFIG_MAPS }, { resource: DEPLOYMENTS }],
    watches: [],
    reconcile: async (object, context) =>
      object.metadata.labels?.role === 'primary' ? await reconcile(object, context) : DONE,
    ...change,
  };
  return definition as ControllerDefinition;
}

function start(definition: ControllerDefinition, options: Partial<ManagerOptions> = {}) {
  const cluster = new AuditedCluster(kubeconfig);
  const running = startManager({
    client: cluster.client,
    controllers: [definition],
    namespaces: [namespace],
    ...options,
  });
  return {
    ...running,
    cluster,
    end: async () => {
      const outcome = await running.stop();
      await cluster.close();
      return outcome;
    },
  };
}

/** A Deployment with what a server defaults and normalises: quantities, ports, probes, volumes. */
function desiredDeployment(owner: ConfigMap, image = 'example.dev/server:1') {
  const name = owner.metadata.name;
  return {
    metadata: {
      namespace: owner.metadata.namespace ?? '',
      name,
      labels: children,
      ownerReferences: [controllerReference(owner)],
    },
    spec: {
      replicas: Number(owner.data?.replicas ?? 1),
      selector: { matchLabels: { app: name } },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: 0 } },
      template: {
        metadata: { labels: { app: name }, annotations: { empty: '' } },
        spec: {
          securityContext: {},
          containers: [
            {
              name: 'server',
              image,
              args: ['serve', '--port=8080'],
              env: [
                { name: 'A', value: '' },
                { name: 'B', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
              ],
              ports: [{ containerPort: 8080 }, { name: 'metrics', containerPort: 9090, protocol: 'TCP' }],
              resources: {
                requests: { cpu: '1000m', memory: '1024Mi' },
                limits: { memory: '1.5Gi', 'nvidia.com/gpu': 1 },
              },
              readinessProbe: { httpGet: { path: '/ready', port: 'metrics' }, periodSeconds: 5 },
              volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
            },
          ],
          tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists' }],
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              whenUnsatisfiable: 'ScheduleAnyway',
              labelSelector: { matchLabels: { app: name } },
            },
          ],
          volumes: [{ name: 'tmp', emptyDir: {} }],
        },
      },
    },
  };
}

function applying(image?: string): ControllerDefinition {
  return controller(async (object, context) => {
    await context.apply(DEPLOYMENTS, desiredDeployment(object, image));
    return DONE;
  });
}

/** Makes the API server set the replicas of every Deployment of the namespace, whatever is sent. */
async function overrideReplicas(namespace: string, replicas: number): Promise<() => Promise<void>> {
  const kind = (name: string, plural: string) =>
    defineResource({ group: 'admissionregistration.k8s.io', version: 'v1', kind: name, plural, namespaced: false });
  const policies = kind('MutatingAdmissionPolicy', 'mutatingadmissionpolicies');
  const bindings = kind('MutatingAdmissionPolicyBinding', 'mutatingadmissionpolicybindings');
  const meta = { apiVersion: 'admissionregistration.k8s.io/v1', metadata: { name: namespace } };
  await user.client.create(policies, {
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
  await user.client.create(bindings, {
    ...meta,
    kind: 'MutatingAdmissionPolicyBinding',
    spec: {
      policyName: namespace,
      matchResources: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } },
    },
  });
  const probe = { ...configMap(namespace, 'probe', {}), metadata: { namespace, name: 'probe', uid: 'x' } };
  await eventually('the policy to take effect', async () => {
    const made = await user.client.create(DEPLOYMENTS, {
      ...desiredDeployment(probe),
      apiVersion: 'apps/v1',
      kind: 'Deployment',
    });
    await user.client.delete(DEPLOYMENTS, { namespace, name: 'probe' });
    return made.spec?.replicas === replicas;
  });
  return async () => {
    await user.client.delete(bindings, { name: namespace });
    await user.client.delete(policies, { name: namespace });
  };
}

const getDeployment = (name: string) => user.client.get(DEPLOYMENTS, { namespace, name });
const exists = (name: string) =>
  getDeployment(name).then(
    () => true,
    () => false,
  );
const idle = (running: { manager: { isIdle: boolean; hasSynced: boolean } }) =>
  eventually('an idle manager', async () => {
    if (!running.manager.hasSynced || !running.manager.isIdle) return false;
    await new Promise((resolve) => setTimeout(resolve, 150));
    return running.manager.isIdle;
  });

describe('a controller that applies', () => {
  test('writes once, then nothing at rest, through forced resyncs, and after a restart of the operator', async () => {
    for (let index = 0; index < 5; index++) await createPrimary(`p${index}`);
    const first = start(applying());
    await eventually(
      'all children',
      async () => (await user.client.list(DEPLOYMENTS, { namespace })).items.length === 5,
    );
    await idle(first);
    expect(first.cluster.writes.map(({ method }) => method)).toEqual(Array(5).fill('PATCH'));

    first.cluster.forgetCalls();
    for (let round = 0; round < 3; round++) {
      first.manager.resync();
      await idle(first);
    }
    expect(first.cluster.calls.filter(({ method }) => method !== 'WATCH')).toEqual([]);
    expect(await first.end()).toBe('stopped');

    const second = start(applying());
    await idle(second);
    second.manager.resync();
    await idle(second);
    expect(second.cluster.writes).toEqual([]);
    await second.end();
  });

  test('puts back a field that someone edits, takes over nothing that it did not set', async () => {
    await createPrimary('p');
    const running = start(applying());
    await eventually('the child', () => exists('p'));
    const edits: [string, object][] = [
      ['replicas', { spec: { replicas: 7 } }],
      ['a label', { metadata: { labels: { role: 'stolen' } } }],
      ['our own annotation', { metadata: { annotations: { 'example.dev/applied': 'forged' } } }],
      ['an atomic list', { spec: { template: { spec: { tolerations: [] } } } }],
    ];
    for (const [what, edit] of edits) {
      const before = await getDeployment('p');
      const edited = await user.client.mergePatch(DEPLOYMENTS, { namespace, name: 'p' }, edit);
      expect(edited.metadata.resourceVersion, what).not.toBe(before.metadata.resourceVersion);
      await eventually(
        `${what} to be put back`,
        async () => JSON.stringify((await getDeployment('p')).spec) === JSON.stringify(before.spec),
      );
    }
    await eventually('the label', async () => (await getDeployment('p')).metadata.labels?.role === 'child');

    await idle(running);
    running.cluster.forgetCalls();
    await user.client.mergePatch(
      DEPLOYMENTS,
      { namespace, name: 'p' },
      { metadata: { annotations: { note: 'mine' } }, spec: { paused: true } },
    );
    await idle(running);
    expect(running.cluster.writes).toEqual([]);
    expect((await getDeployment('p')).metadata.annotations).toMatchObject({ note: 'mine' });
    await running.end();
  });

  test('removes a field that is no longer desired, and makes again what was deleted', async () => {
    await createPrimary('p');
    let withPaused = true;
    const running = start(
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
      ((await getDeployment('p')).spec as { minReadySeconds?: number } | undefined)?.minReadySeconds;
    await eventually('the child', () => exists('p'));
    expect(await minReady()).toBe(9);
    withPaused = false;
    running.manager.resync();
    await eventually('the field to go', async () => (await minReady()) === undefined);
    const { uid } = (await getDeployment('p')).metadata;
    await user.client.delete(DEPLOYMENTS, { namespace, name: 'p' });
    await eventually('a new one', async () => (await exists('p')) && (await getDeployment('p')).metadata.uid !== uid);
    await running.end();
  });

  test('does not apply for ever what an admission policy changes on the way in', async () => {
    const remove = await overrideReplicas(namespace, 3);
    await createPrimary('p');
    const running = start(applying());
    await eventually('the child', () => exists('p'));
    expect((await getDeployment('p')).spec?.replicas).toBe(3);
    await idle(running);
    expect(running.cluster.writes).toHaveLength(1);
    running.manager.resync();
    await idle(running);
    expect(running.cluster.writes).toHaveLength(1);
    await user.client.mergePatch(
      DEPLOYMENTS,
      { namespace, name: 'p' },
      { spec: { template: { spec: { tolerations: [] } } } },
    );
    await eventually('an edit to be put back all the same', () => running.cluster.writes.length === 2);
    await running.end();
    await remove();
  });

  test('leaves an object of the same name that belongs to someone else as it is, and says whose it is', async () => {
    const stranger = {
      ...configMap(namespace, 'stranger', {}),
      metadata: { namespace, name: 'stranger', uid: 'other' },
    };
    const theirs = desiredDeployment(stranger);
    await user.client.create(DEPLOYMENTS, {
      ...theirs,
      metadata: { ...theirs.metadata, name: 'p' },
      apiVersion: 'apps/v1',
      kind: 'Deployment',
    });
    const before = await getDeployment('p');
    await createPrimary('p');
    const errors: unknown[] = [];
    const running = start(
      controller(async (object, context) => {
        try {
          await context.apply(DEPLOYMENTS, desiredDeployment(object));
        } catch (error) {
          errors.push(error);
          throw error;
        }
        return DONE;
      }),
    );
    await eventually('the refusal', () => errors.length > 0);
    expect(errors[0]).toBeInstanceOf(TerminalError);
    expect(String(errors[0])).toContain('already exists and belongs to ConfigMap stranger');
    expect((await getDeployment('p')).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
    await running.end();
  });
});

describe('a controller', () => {
  test('prunes what its primary owns and no longer wants, and nothing of others', async () => {
    const primary = await createPrimary('p', { children: 'a,b,c' });
    const stranger = configMap(namespace, 'p-stranger', {}, children);
    await user.client.create(CONFIG_MAPS, stranger);
    const running = start(
      controller(async (object, context) => {
        const names = (object.data?.children ?? '').split(',');
        const keep = new Set<string>();
        for (const name of names) {
          const desired = {
            metadata: {
              namespace,
              name: `p-${name}`,
              labels: children,
              ownerReferences: [controllerReference(object)],
            },
            data: { name },
          };
          keep.add(identityOf(CONFIG_MAPS, await context.apply(CONFIG_MAPS, desired)));
        }
        await context.prune(object, [CONFIG_MAPS, DEPLOYMENTS], keep);
        return DONE;
      }),
    );
    const names = async () =>
      (await user.client.list(CONFIG_MAPS, { namespace, selector: children })).items
        .map(({ metadata }) => metadata.name)
        .sort();
    await eventually('three children', async () => (await names()).join() === 'p-a,p-b,p-c,p-stranger');
    await user.client.mergePatch(CONFIG_MAPS, primary.metadata, { data: { children: 'b' } });
    await eventually('one child', async () => (await names()).join() === 'p-b,p-stranger');
    await running.end();
  });

  test('holds a deletion with its finalizer until it has cleaned up, and forgets the object after', async () => {
    const finalizer = 'example.dev/cleanup';
    const seen: string[] = [];
    const running = start(
      controller(
        async (object, context) => {
          if (object.metadata.deletionTimestamp === undefined) {
            await context.addFinalizer(CONFIG_MAPS, object, finalizer);
            return DONE;
          }
          seen.push('cleaned');
          await context.removeFinalizer(CONFIG_MAPS, object, finalizer);
          return DONE;
        },
        { forget: (key) => seen.push(`forgot ${key}`) },
      ),
    );
    await createPrimary('p');
    const get = () => user.client.get(CONFIG_MAPS, { namespace, name: 'p' });
    await eventually('the finalizer', async () => (await get()).metadata.finalizers?.includes(finalizer) === true);
    await user.client.delete(CONFIG_MAPS, { namespace, name: 'p' });
    await eventually('the end', () => seen.includes(`forgot ${namespace}/p`));
    expect(seen[0]).toBe('cleaned');
    await expect(get()).rejects.toMatchObject({ status: 404 });
    await running.end();
  });

  test('writes a status only when it differs, and not over one that it has not seen', async () => {
    await user.client.create(DEPLOYMENTS, {
      ...desiredDeployment({ ...configMap(namespace, 'd', {}), metadata: { namespace, name: 'd', uid: 'x' } }),
      apiVersion: 'apps/v1',
      kind: 'Deployment',
    });
    let replicas = 1;
    let between: () => Promise<unknown> = async () => undefined;
    let attempts = 0;
    const definition: ControllerDefinition<Deployment> = {
      name: 'status',
      primary: { resource: DEPLOYMENTS },
      owns: [],
      watches: [],
      reconcile: async (object, context) => {
        attempts += 1;
        await between();
        await context.writeStatus(DEPLOYMENTS, object, { ...object.status, replicas, readyReplicas: replicas });
        return DONE;
      },
    };
    const running = start(definition as ControllerDefinition);
    await eventually('the status', async () => (await getDeployment('d')).status?.readyReplicas === 1);
    await idle(running);
    running.cluster.forgetCalls();
    running.manager.resync();
    await idle(running);
    expect(running.cluster.writes).toEqual([]);

    replicas = 2;
    let once = true;
    between = async () => {
      // Someone writes between our reading and our writing.
      if (once)
        await user.client.mergePatch(
          DEPLOYMENTS,
          { namespace, name: 'd' },
          { status: { observedGeneration: 5 } },
          'status',
        );
      once = false;
    };
    attempts = 0;
    running.manager.resync();
    await eventually('the second status', async () => (await getDeployment('d')).status?.readyReplicas === 2);
    expect((await getDeployment('d')).status).toMatchObject({ observedGeneration: 5, replicas: 2 });
    expect(attempts).toBeGreaterThan(1);
    expect(running.cluster.writes.filter(({ status }) => status === 409)).toHaveLength(1);
    await running.end();
  });

  test('is not stopped by objects whose reconcile fails in every way, nor by a mapper that throws', async () => {
    const counts = new Map<string, number>();
    const ways: Record<string, () => Promise<Result>> = {
      fine: async () => DONE,
      throws: async () => {
        throw new Error('boom');
      },
      throwsAtOnce: () => {
        throw new TypeError('x is undefined');
      },
      string: () => Promise.reject('not an error'),
      nothing: () => Promise.reject(undefined),
      terminal: async () => {
        throw new TerminalError('never');
      },
      waiting: async () => {
        throw new WaitingError('soon', 50);
      },
    };
    const running = start(
      controller(
        (object) => {
          const way = object.data?.way ?? '';
          counts.set(way, (counts.get(way) ?? 0) + 1);
          return (ways[way] ?? ways.fine ?? (async () => DONE))();
        },
        {
          workers: 2,
          watches: [
            {
              resource: CONFIG_MAPS,
              map: (object) => {
                if (object.metadata.name === 'throws') throw new Error('a mapper with a bug');
                return [];
              },
            },
          ],
        },
      ),
    );
    for (const way of Object.keys(ways)) await createPrimary(way.toLowerCase(), { way });
    await eventually('retries of what fails', () =>
      ['throws', 'throwsAtOnce', 'string', 'nothing', 'waiting'].every((way) => (counts.get(way) ?? 0) >= 4),
    );
    expect(counts.get('terminal')).toBe(1);
    expect(counts.get('fine')).toBe(1);
    await user.client.mergePatch(CONFIG_MAPS, { namespace, name: 'fine' }, { data: { more: 'yes' } });
    await eventually('the good one again', () => counts.get('fine') === 2);
    expect(await running.end()).toBe('stopped');
  });

  test('tells events that the API server accepts, counted as a series when they repeat', async () => {
    const event: EventInput = { type: 'Warning', reason: 'Tested', action: 'Testing', note: 'it happened' };
    const running = start(
      controller(async (object, context) => {
        context.event(object, event);
        return DONE;
      }),
    );
    await createPrimary('p');
    const events = async () => (await user.client.list(EVENTS, { namespace })).items;
    await eventually('the event', async () => (await events()).length > 0);
    running.manager.resync();
    await idle(running);
    expect(await events()).toMatchObject([
      { reason: 'Tested', note: 'it happened', regarding: { kind: 'ConfigMap', name: 'p' } },
    ]);
    await running.end();
  });
});

describe('several replicas', () => {
  const timing = { leaseDurationMs: 3_000, renewDeadlineMs: 2_000, retryPeriodMs: 400 };
  const worker = (log: string[], name: string) =>
    controller(async (object, context) => {
      log.push(name);
      await context.apply(DEPLOYMENTS, desiredDeployment(object));
      return DONE;
    });

  test('only one works; when it stops, the next takes over at once and writes nothing twice', async () => {
    const leaderElection = { client: user.client, namespace, name: 'replicas', timing };
    const log: string[] = [];
    await createPrimary('p');
    const a = start(worker(log, 'a'), { leaderElection });
    await eventually('a to work', () => log.includes('a'));
    const b = start(worker(log, 'b'), { leaderElection });
    await eventually('b to have its caches', () => b.manager.hasSynced);
    await createPrimary('q');
    await eventually('the child of q', () => exists('q'));
    expect(new Set(log)).toEqual(new Set(['a']));
    expect([a.manager.leads, b.manager.leads]).toEqual([true, false]);
    // The lease has connections of its own, so that no reconcile can hold a renewal up.
    expect([...a.cluster.calls, ...b.cluster.calls].filter(({ path }) => path.includes('/leases'))).toEqual([]);

    const startMs = performance.now();
    expect(await a.end()).toBe('stopped');
    await eventually('b to work', () => log.includes('b'));
    expect(performance.now() - startMs).toBeLessThan(2_500);
    await idle(b);
    expect(b.cluster.writes).toEqual([]);
    await b.end();
  });

  test('a leader whose lease is taken stops writing, also what it is in the middle of, and ends with an error', async () => {
    const leaderElection = { client: user.client, namespace, name: 'taken', timing };
    const inTheMiddle = Promise.withResolvers<void>();
    const taken = Promise.withResolvers<void>();
    let late: unknown;
    await createPrimary('p');
    const running = start(
      controller(async (object, context) => {
        inTheMiddle.resolve();
        await taken.promise;
        await context.apply(DEPLOYMENTS, desiredDeployment(object)).catch((error: unknown) => {
          late = error;
        });
        return DONE;
      }),
      { leaderElection },
    );
    await inTheMiddle.promise;
    // Another process that believes it leads writes the lease.
    await user.client.mergePatch(
      LEASES,
      { namespace, name: 'taken' },
      { spec: { holderIdentity: 'someone-else', renewTime: '2030-01-01T00:00:00.000000Z' } },
    );
    expect(await running.ended).toBeInstanceOf(LeadershipLostError);
    taken.resolve();
    await eventually('the refusal', () => late !== undefined);
    expect(String(late)).toContain('may not write');
    expect(await exists('p')).toBe(false);
    expect(running.cluster.writes).toEqual([]);
    await running.end();
  });
});

describe('probes and metrics', () => {
  test('ready follows the caches, and metrics carry the names that dashboards know', async () => {
    await createPrimary('p');
    const running = start(applying(), {
      healthPort: 0,
      metricsPort: 0,
      leaderElection: { client: user.client, namespace, name: 'probes' },
    });
    await eventually('the child', () => exists('p'));
    const { health, metrics } = running.manager.ports;
    const get = async (port: number | undefined, path: string) => await fetch(`http://127.0.0.1:${port}${path}`);
    expect((await get(health, '/healthz')).status).toBe(200);
    expect((await get(health, '/readyz')).status).toBe(200);
    expect((await get(health, '/secrets')).status).toBe(404);
    const text = await (await get(metrics, '/metrics')).text();
    for (const line of [
      /^controller_runtime_reconcile_total\{controller="test",result="success"\} \d/m,
      /^controller_runtime_max_concurrent_reconciles\{controller="test"\} 4/m,
      /^controller_runtime_active_workers\{controller="test"\} \d/m,
      /^controller_runtime_reconcile_time_seconds_bucket\{le="\+Inf",controller="test"\} \d/m,
      /^workqueue_depth\{name="test"\} 0/m,
      /^workqueue_adds_total\{name="test"\} \d/m,
      /^leader_election_master_status\{name="probes"\} 1/m,
      /^process_resident_memory_bytes \d/m,
    ]) {
      expect(text).toMatch(line);
    }
    expect(await running.end()).toBe('stopped');
    await expect(get(health, '/healthz')).rejects.toThrow();
  });
});
