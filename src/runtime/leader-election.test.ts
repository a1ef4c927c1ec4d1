import { describe, expect, test, vi } from 'vitest';
import { createLogger } from 'winston';
import { ApiClient } from './api-client.ts';
import { ApiError, ConnectionError } from './api-error.ts';
import type { ApiRequest, Transport } from './kube-transport.ts';
import type { Lease } from './kubernetes-resources.ts';
import { LeaderElector } from './leader-election.ts';
import { StoppedError } from './outcome.ts';
import { FakeClock, settle } from './testing/fake-clock.ts';

/** An API server that knows one Lease, and can be cut off. */
class LeaseServer implements Transport {
  lease: Lease | undefined;
  writes = 0;
  /** What every request meets: an answer, an error, silence, or silence after it was carried out. */
  mode: 'up' | 'down' | 'silent' | 'answer-lost' = 'up';

  async json(request: ApiRequest): Promise<unknown> {
    const { mode } = this;
    if (mode === 'silent') return await silence(request);
    const answer = this.#answer(request);
    return mode === 'answer-lost' ? await silence(request) : answer;
  }

  #answer(request: ApiRequest): unknown {
    if (this.mode === 'down') throw new ConnectionError(request.path, new Error('refused'));
    if (request.method === 'GET') {
      if (this.lease === undefined) throw new ApiError(request.path, 404, { reason: 'NotFound' });
      return structuredClone(this.lease);
    }
    const sent = request.body as Lease;
    const current = this.lease?.metadata.resourceVersion;
    if (request.method === 'POST' && current !== undefined)
      throw new ApiError(request.path, 409, { reason: 'AlreadyExists' });
    if (request.method === 'PUT' && sent.metadata.resourceVersion !== current) {
      throw new ApiError(request.path, 409, { reason: 'Conflict' });
    }
    this.writes += 1;
    this.lease = {
      ...structuredClone(sent),
      metadata: { ...sent.metadata, resourceVersion: String(100 + this.writes) },
    };
    return structuredClone(this.lease);
  }

  stream(): AsyncIterable<Uint8Array> {
    throw new Error('leases are not watched');
  }

  async close(): Promise<void> {}
}

/** As of a connection whose peer is gone: nothing comes until the request is cut off. */
function silence({ path, signal }: ApiRequest): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal?.addEventListener('abort', () => reject(new ConnectionError(path, signal.reason)));
  });
}

function candidate(server: LeaseServer, clock: FakeClock, identity: string) {
  const told: boolean[] = [];
  const elector = new LeaderElector({
    client: new ApiClient(server, 'test'),
    clock,
    random: () => 0.5,
    logger: createLogger({ silent: true }),
    namespace: 'n',
    name: 'lease',
    identity,
    onLeading: (leads) => told.push(leads),
  });
  const stop = new AbortController();
  let state = 'waiting';
  const done = (async () => {
    await elector.acquire(stop.signal);
    if (stop.signal.aborted) return;
    state = 'leading';
    state = await elector.hold(stop.signal);
  })();
  return { elector, stop, told, done, state: () => state };
}

describe('leader election', () => {
  test('the first candidate leads at once, and the second waits', async () => {
    const [server, clock] = [new LeaseServer(), new FakeClock()];
    const a = candidate(server, clock, 'a');
    await settle();
    const b = candidate(server, clock, 'b');
    await clock.advance(60_000);
    expect([a.state(), b.state()]).toEqual(['leading', 'waiting']);
    expect(a.elector.isLeader).toBe(true);
    expect(() => a.elector.assertMayWrite()).not.toThrow();
    expect(() => b.elector.assertMayWrite()).toThrow(StoppedError);
    expect(server.lease?.spec).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 });
  });

  test('a released lease is taken over at the next attempt', async () => {
    const [server, clock] = [new LeaseServer(), new FakeClock()];
    const a = candidate(server, clock, 'a');
    await settle();
    const b = candidate(server, clock, 'b');
    await clock.advance(5_000);
    a.stop.abort();
    await a.done;
    expect(a.state()).toBe('stopped');
    await a.elector.release();
    expect(a.elector.signal.aborted).toBe(true);
    await clock.advance(4_500);
    expect(b.state()).toBe('leading');
    expect(server.lease?.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
    expect(a.told).toEqual([true, false]);
  });

  test('a leader that died is succeeded after the lease duration, and not before', async () => {
    const [server, clock] = [new LeaseServer(), new FakeClock()];
    const a = candidate(server, clock, 'a');
    await settle();
    a.stop.abort();
    await a.done;
    const b = candidate(server, clock, 'b');
    await clock.advance(14_900);
    expect(b.state()).toBe('waiting');
    await clock.advance(4_500);
    expect(b.state()).toBe('leading');
  });

  test.each(['down', 'silent'] as const)(
    'a leader whose API server is %s stops after 10 s, before another may start',
    async (mode) => {
      const [server, clock] = [new LeaseServer(), new FakeClock()];
      const a = candidate(server, clock, 'a');
      await clock.advance(4_000);
      server.mode = mode;
      await clock.advance(9_900);
      expect(a.elector.signal.aborted).toBe(false);
      await clock.advance(200);
      expect(a.elector.signal.aborted).toBe(true);
      await a.done;
      expect(a.state()).toBe('lost');
      expect(() => a.elector.assertMayWrite()).toThrow(StoppedError);
    },
  );

  test('a short outage does not cost leadership', async () => {
    const [server, clock] = [new LeaseServer(), new FakeClock()];
    const a = candidate(server, clock, 'a');
    await clock.advance(4_000);
    server.mode = 'down';
    await clock.advance(7_000);
    server.mode = 'up';
    await clock.advance(30_000);
    expect(a.state()).toBe('leading');
    expect(a.elector.isLeader).toBe(true);
  });

  test.each(['silent', 'answer-lost'] as const)(
    'a renewal that hangs (%s) is cut off in time for another, and does not cost leadership',
    async (mode) => {
      const [server, clock] = [new LeaseServer(), new FakeClock()];
      const a = candidate(server, clock, 'a');
      await clock.advance(5_000);
      server.mode = mode;
      await clock.advance(2_000);
      // Other connections are fine; the request that hangs stays where it is.
      server.mode = 'up';
      await clock.advance(30_000);
      expect(a.state()).toBe('leading');
      expect(a.elector.isLeader).toBe(true);
    },
  );

  test('a candidate is not held up by an attempt that hangs', async () => {
    const [server, clock] = [new LeaseServer(), new FakeClock()];
    server.mode = 'silent';
    const a = candidate(server, clock, 'a');
    await clock.advance(1_000);
    server.mode = 'up';
    await clock.advance(10_000);
    expect(a.state()).toBe('leading');
  });

  test('a lease is released without its last answer, and one that hangs holds up no stop', async () => {
    const [server, clock] = [new LeaseServer(), new FakeClock()];
    const a = candidate(server, clock, 'a');
    await clock.advance(5_000);
    server.mode = 'answer-lost';
    await clock.advance(2_000);
    a.stop.abort();
    await clock.advance(5_000);
    expect(a.state()).toBe('stopped');
    server.mode = 'up';
    await a.elector.release();
    expect(server.lease?.spec).toMatchObject({ holderIdentity: '' });

    const b = candidate(server, clock, 'b');
    await settle();
    b.stop.abort();
    await b.done;
    server.mode = 'silent';
    let released = false;
    void b.elector.release().then(() => {
      released = true;
    });
    await clock.advance(5_100);
    expect(released).toBe(true);
  });

  test('a process that was frozen past its deadline may not write, even before its timers run', async () => {
    const [server, clock] = [new LeaseServer(), new FakeClock()];
    const a = candidate(server, clock, 'a');
    await clock.advance(4_000);
    clock.freeze(11_000);
    expect(a.elector.isLeader).toBe(false);
    expect(() => a.elector.assertMayWrite()).toThrow('a is not the leader and may not write');
  });

  test('a leader that finds another holder stops at once', async () => {
    const [server, clock] = [new LeaseServer(), new FakeClock()];
    const a = candidate(server, clock, 'a');
    await clock.advance(1_000);
    const { lease } = server;
    if (lease === undefined) throw new Error('no lease');
    server.lease = {
      ...lease,
      metadata: { ...lease.metadata, resourceVersion: '999' },
      spec: { ...lease.spec, holderIdentity: 'z' },
    };
    await clock.advance(8_000);
    expect(a.state()).toBe('lost');
    expect(server.lease.spec?.holderIdentity).toBe('z');
  });

  test('a renewal whose answer got lost is found to be our own', async () => {
    const [server, clock] = [new LeaseServer(), new FakeClock()];
    const a = candidate(server, clock, 'a');
    await clock.advance(1_000);
    const { lease } = server;
    if (lease === undefined) throw new Error('no lease');
    server.lease = { ...lease, metadata: { ...lease.metadata, resourceVersion: '777' } };
    await clock.advance(30_000);
    expect(a.state()).toBe('leading');
    expect(a.elector.isLeader).toBe(true);
  });

  test('a lease that somebody deleted is made again', async () => {
    const [server, clock] = [new LeaseServer(), new FakeClock()];
    const a = candidate(server, clock, 'a');
    await clock.advance(1_000);
    server.lease = undefined;
    await clock.advance(6_000);
    expect(server.lease).toMatchObject({ spec: { holderIdentity: 'a' } });
    expect(a.elector.isLeader).toBe(true);
  });

  test('of candidates that start at the same moment exactly one leads at any time', async () => {
    const [server, clock] = [new LeaseServer(), new FakeClock()];
    const all = ['a', 'b', 'c', 'd'].map((identity) => candidate(server, clock, identity));
    for (let second = 0; second < 120; second++) {
      if (second === 40) all.find((one) => one.state() === 'leading')?.stop.abort();
      await clock.advance(1_000);
      expect(all.filter((one) => one.elector.isLeader).length).toBeLessThanOrEqual(1);
    }
    expect(all.filter((one) => one.state() === 'leading')).toHaveLength(1);
  });

  test('a leader that renews for ever gathers no listeners', async () => {
    const listeners = new Map<EventTarget, number>();
    const count = (method: 'addEventListener' | 'removeEventListener', change: number) => {
      const original = EventTarget.prototype[method];
      return vi.spyOn(EventTarget.prototype, method).mockImplementation(function (
        this: EventTarget,
        ...args: unknown[]
      ) {
        listeners.set(this, (listeners.get(this) ?? 0) + change);
        Reflect.apply(original, this, args);
      });
    };
    const spies = [count('addEventListener', 1), count('removeEventListener', -1)];
    try {
      const [server, clock] = [new LeaseServer(), new FakeClock()];
      candidate(server, clock, 'a');
      await clock.advance(100_000);
      expect(server.writes).toBeGreaterThan(40);
      expect(Math.max(...listeners.values())).toBeLessThanOrEqual(2);
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  });

  test('timings that cannot work are refused with the numbers', () => {
    const timing = { leaseDurationMs: 10_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };
    const options = {
      client: new ApiClient(new LeaseServer(), 't'),
      clock: new FakeClock(),
      random: () => 0,
      logger: createLogger({ silent: true }),
    };
    expect(() => new LeaderElector({ ...options, namespace: 'n', name: 'l', identity: 'a', timing })).toThrow(
      'lease duration (10000 ms) must exceed the renew deadline (10000 ms)',
    );
  });
});
