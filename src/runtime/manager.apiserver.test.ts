import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../e2e/cluster/own-control-plane.ts';
import { LEASES } from './kubernetes-resources.ts';
import { LeadershipLostError } from './manager.ts';
import { DONE } from './outcome.ts';
import { eventually } from './testing/cluster.ts';
import { applying, controller, DEPLOYMENTS, desiredDeployment, ManagerFixture } from './testing/manager-fixture.ts';

const kubeconfig = ownKubeconfig();
let fixture: ManagerFixture;

beforeEach(async () => {
  fixture = await ManagerFixture.make(kubeconfig);
});
afterEach(() => fixture.close());

describe('several replicas', () => {
  const worker = (log: string[], name: string) =>
    controller(async (object, context) => {
      log.push(name);
      await context.apply(DEPLOYMENTS, desiredDeployment(object));
      return DONE;
    });

  test('only one works; when it stops, the next takes over at once and writes nothing twice', async () => {
    // Long, so that who takes over at once was given the lease and did not see it run out.
    const timing = { leaseDurationMs: 60_000, renewDeadlineMs: 40_000, retryPeriodMs: 400 };
    const leaderElection = { client: fixture.user.client, namespace: fixture.namespace, name: 'replicas', timing };
    const log: string[] = [];
    await fixture.createPrimary('p');
    const a = fixture.start(worker(log, 'a'), { leaderElection });
    await eventually('a to work', () => log.includes('a'));
    const b = fixture.start(worker(log, 'b'), { leaderElection });
    await eventually('b to have its caches', () => b.manager.hasSynced);
    await fixture.createPrimary('q');
    await eventually('the child of q', () => fixture.exists('q'));
    expect(new Set(log)).toEqual(new Set(['a']));
    expect([a.manager.leads, b.manager.leads]).toEqual([true, false]);
    // The lease has connections of its own, so that no reconcile can hold a renewal up.
    expect([...a.cluster.calls, ...b.cluster.calls].filter(({ path }) => path.includes('/leases'))).toEqual([]);

    const startMs = performance.now();
    expect(await a.end()).toBe('stopped');
    await eventually('b to work', () => log.includes('b'));
    expect(performance.now() - startMs).toBeLessThan(timing.leaseDurationMs / 2);
    await b.idle();
    expect(b.cluster.writes).toEqual([]);
    await b.end();
  });

  test('a leader whose lease is taken stops writing, also what it is in the middle of, and ends with an error', async () => {
    const timing = { leaseDurationMs: 3_000, renewDeadlineMs: 2_000, retryPeriodMs: 400 };
    const leaderElection = { client: fixture.user.client, namespace: fixture.namespace, name: 'taken', timing };
    const inTheMiddle = Promise.withResolvers<void>();
    const taken = Promise.withResolvers<void>();
    let late: unknown;
    await fixture.createPrimary('p');
    const running = fixture.start(
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
    await fixture.user.client.mergePatch(
      LEASES,
      { namespace: fixture.namespace, name: 'taken' },
      { spec: { holderIdentity: 'someone-else', renewTime: '2030-01-01T00:00:00.000000Z' } },
    );
    expect(await running.ended).toBeInstanceOf(LeadershipLostError);
    taken.resolve();
    await eventually('the refusal', () => late !== undefined);
    expect(String(late)).toContain('may not write');
    expect(await fixture.exists('p')).toBe(false);
    expect(running.cluster.writes).toEqual([]);
    await running.end();
  });
});

describe('probes and metrics', () => {
  test('ready follows the caches, and metrics carry the names that dashboards know', async () => {
    await fixture.createPrimary('p');
    const running = fixture.start(applying(), {
      healthPort: 0,
      metricsPort: 0,
      leaderElection: { client: fixture.user.client, namespace: fixture.namespace, name: 'probes' },
    });
    await eventually('the child', () => fixture.exists('p'));
    // A reconcile is counted when it is over.
    await running.idle();
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
