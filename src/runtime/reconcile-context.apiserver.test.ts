import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLogger, type Logger, transports } from 'winston';
import { ownKubeconfig } from '../../e2e/cluster/own-control-plane.ts';
import { OperatorMetrics } from '../telemetry/operator-metrics.ts';
import type { EventInput } from './events.ts';
import { EVENTS } from './kubernetes-resources.ts';
import { DONE, type Result, TerminalError, WaitingError } from './outcome.ts';
import { identityOf } from './prune.ts';
import type { ControllerDefinition } from './reconcile-context.ts';
import { CONFIG_MAPS, configMap, eventually, NAMESPACES } from './testing/cluster.ts';
import {
  CHILD,
  controller,
  DEPLOYMENTS,
  type Deployment,
  desiredDeployment,
  ManagerFixture,
} from './testing/manager-fixture.ts';
import { controllerReference } from './types.ts';

const kubeconfig = ownKubeconfig();
let fixture: ManagerFixture;

function loggerInto(logged: { level: string; message: string }[]): Logger {
  const stream = new Writable({
    write: (line: Buffer, _encoding, done) => {
      logged.push(JSON.parse(line.toString()));
      done();
    },
  });
  return createLogger({ level: 'debug', transports: [new transports.Stream({ stream })] });
}

beforeEach(async () => {
  fixture = await ManagerFixture.make(kubeconfig);
});
afterEach(() => fixture.close());

describe('a controller', () => {
  test('prunes what its primary owns and no longer wants, and nothing of others', async () => {
    const primary = await fixture.createPrimary('p', { children: 'a,b,c' });
    const stranger = configMap(fixture.namespace, 'p-stranger', {}, CHILD);
    await fixture.user.client.create(CONFIG_MAPS, stranger);
    const running = fixture.start(
      controller(async (object, context) => {
        const names = (object.data?.children ?? '').split(',');
        const keep = new Set<string>();
        for (const name of names) {
          const desired = {
            metadata: {
              namespace: fixture.namespace,
              name: `p-${name}`,
              labels: CHILD,
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
      (await fixture.user.client.list(CONFIG_MAPS, { namespace: fixture.namespace, selector: CHILD })).items
        .map(({ metadata }) => metadata.name)
        .sort();
    await eventually('three children', async () => (await names()).join() === 'p-a,p-b,p-c,p-stranger');
    await fixture.user.client.mergePatch(CONFIG_MAPS, primary.metadata, { data: { children: 'b' } });
    await eventually('one child', async () => (await names()).join() === 'p-b,p-stranger');
    await running.end();
  });

  test('holds a deletion with its finalizer until it has cleaned up, and forgets the object after', async () => {
    const finalizer = 'example.dev/cleanup';
    const seen: string[] = [];
    const running = fixture.start(
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
    await fixture.createPrimary('p');
    const get = () => fixture.user.client.get(CONFIG_MAPS, { namespace: fixture.namespace, name: 'p' });
    await eventually('the finalizer', async () => (await get()).metadata.finalizers?.includes(finalizer) === true);
    await fixture.user.client.delete(CONFIG_MAPS, { namespace: fixture.namespace, name: 'p' });
    await eventually('the end', () => seen.includes(`forgot ${fixture.namespace}/p`));
    expect(seen[0]).toBe('cleaned');
    await expect(get()).rejects.toMatchObject({ status: 404 });
    await running.end();
  });

  test('writes a status only when it differs, and not over one that it has not seen', async () => {
    await fixture.user.client.create(DEPLOYMENTS, {
      ...desiredDeployment({
        ...configMap(fixture.namespace, 'd', {}),
        metadata: { namespace: fixture.namespace, name: 'd', uid: 'x' },
      }),
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
    const running = fixture.start(definition as ControllerDefinition);
    await eventually('the status', async () => (await fixture.getDeployment('d')).status?.readyReplicas === 1);
    await running.idle();
    running.cluster.forgetCalls();
    running.manager.resync();
    await running.idle();
    expect(running.cluster.writes).toEqual([]);

    replicas = 2;
    let once = true;
    between = async () => {
      // Someone writes between our reading and our writing.
      if (once)
        await fixture.user.client.mergePatch(
          DEPLOYMENTS,
          { namespace: fixture.namespace, name: 'd' },
          { status: { observedGeneration: 5 } },
          'status',
        );
      once = false;
    };
    attempts = 0;
    running.manager.resync();
    await eventually('the second status', async () => (await fixture.getDeployment('d')).status?.readyReplicas === 2);
    expect((await fixture.getDeployment('d')).status).toMatchObject({ observedGeneration: 5, replicas: 2 });
    expect(attempts).toBeGreaterThan(1);
    // More than once where the watch is slow to tell of the other's write.
    expect(running.cluster.writes.map(({ status }) => status)).toContain(409);
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
    const running = fixture.start(
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
    for (const way of Object.keys(ways)) await fixture.createPrimary(way.toLowerCase(), { way });
    await eventually('retries of what fails', () =>
      ['throws', 'throwsAtOnce', 'string', 'nothing', 'waiting'].every((way) => (counts.get(way) ?? 0) >= 4),
    );
    expect(counts.get('terminal')).toBe(1);
    expect(counts.get('fine')).toBe(1);
    await fixture.user.client.mergePatch(
      CONFIG_MAPS,
      { namespace: fixture.namespace, name: 'fine' },
      { data: { more: 'yes' } },
    );
    await eventually('the good one again', () => counts.get('fine') === 2);
    expect(await running.end()).toBe('stopped');
  });

  test('leaves off from what is refused because its namespace is being deleted, and logs it once', async () => {
    const { namespace, user } = fixture;
    const logged: { level: string; message: string }[] = [];
    const metrics = new OperatorMetrics();
    let attempts = 0;
    const running = fixture.start(
      controller(async (object, context) => {
        attempts += 1;
        await context.apply(DEPLOYMENTS, desiredDeployment(object));
        return DONE;
      }),
      { logger: loggerInto(logged), metrics },
    );
    await running.idle();
    // No namespace controller runs here: it stays as it is, with all that is in it.
    await fixture.createPrimary('before');
    await eventually('its child', () => fixture.exists('before'));
    await running.idle();
    attempts = 0;
    await user.client.delete(NAMESPACES, { name: namespace });
    await user.client.delete(DEPLOYMENTS, { namespace, name: 'before' });
    await eventually('an attempt', () => attempts === 1);
    await user.client.mergePatch(CONFIG_MAPS, { namespace, name: 'before' }, { data: { some: 'change' } });
    await eventually('another attempt, after a change', () => attempts === 2);
    await running.idle();
    expect(attempts).toBe(2);
    const told = logged.filter(({ message }) => message.includes('its namespace is being deleted'));
    expect(told.map(({ level }) => level)).toEqual(['info', 'debug']);
    expect(logged.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([]);
    expect(await metrics.registry.getSingleMetricAsString('controller_runtime_reconcile_errors_total')).not.toMatch(
      /^[^#].* [1-9]/m,
    );
    await running.end();
  });

  test('tells events that the API server accepts, counted as a series when they repeat', async () => {
    const event: EventInput = { type: 'Warning', reason: 'Tested', action: 'Testing', note: 'it happened' };
    const running = fixture.start(
      controller(async (object, context) => {
        context.event(object, event);
        return DONE;
      }),
    );
    await fixture.createPrimary('p');
    const events = async () => (await fixture.user.client.list(EVENTS, { namespace: fixture.namespace })).items;
    await eventually('the event', async () => (await events()).length > 0);
    running.manager.resync();
    await running.idle();
    // An end writes what was told and not written yet.
    await running.end();
    expect(await events()).toMatchObject([
      { reason: 'Tested', note: 'it happened', regarding: { kind: 'ConfigMap', name: 'p' } },
    ]);
  });
});
