import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { FakeClock } from '../../testing/fake-clock.ts';
import type { Endpoint, EndpointAddress, EndpointWaiter } from '../types.ts';
import { EndpointPool } from './endpoint-pool.ts';

const pods = (...names: readonly string[]): EndpointAddress[] =>
  names.map((address) => ({ address, ports: { http: 8080 } }));

function startPool(names: readonly string[], { maxInFlight = 100, maxWaiting = 10 } = {}) {
  const clock = new FakeClock();
  const room = { waiting: 0, max: maxWaiting };
  const pool = new EndpointPool({ clock, maxInFlight, room });
  pool.update(pods(...names));
  const take = (): Endpoint => {
    const endpoint = pool.take();
    if (endpoint === undefined) throw new Error('the pool has no room');
    return endpoint;
  };
  const fail = (address: string, result: 'failed' | 'unreachable', times = 1): void => {
    for (let time = 0; time < times; time++) {
      const others = pool.size === 0 ? [] : takeUntil(pool, address);
      const last = others.pop();
      if (last === undefined) throw new Error(`${address} has no room`);
      pool.release(last, result);
      for (const other of others) pool.release(other, 'neutral');
    }
  };
  return { clock, room, pool, take, fail };
}

const waiter = (granted: (endpoint: Endpoint) => void, stranded = () => undefined): EndpointWaiter => ({
  granted,
  stranded,
});

/** Takes endpoints until the one at `address`, which is last, comes. */
function takeUntil(pool: EndpointPool, address: string): Endpoint[] {
  const taken: Endpoint[] = [];
  for (;;) {
    const endpoint = pool.take();
    if (endpoint === undefined || taken.length > 1000) throw new Error(`${address} never comes`);
    taken.push(endpoint);
    if (endpoint.address === address) return taken;
  }
}

describe('least outstanding requests', () => {
  it('equals take turns', () => {
    const { take } = startPool(['a', 'b', 'c']);
    expect(Array.from({ length: 6 }, () => take().address)).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
  });

  it('equals take turns when each request ends before the next one comes, too', () => {
    const { take, pool } = startPool(['a', 'b', 'c']);
    const picked = Array.from({ length: 6 }, () => {
      const endpoint = take();
      pool.release(endpoint, 'ok');
      return endpoint.address;
    });
    expect(picked).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
  });

  it('the endpoint with the fewest requests in flight is next', () => {
    const { take, pool } = startPool(['a', 'b', 'c']);
    const taken = [take(), take(), take(), take(), take(), take()];
    for (const endpoint of taken) if (endpoint.address === 'b') pool.release(endpoint, 'ok');
    expect([take().address, take().address]).toEqual(['b', 'b']);
  });

  it('in-flight requests of endpoints never differ by more than one while none ends', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 0, max: 60 }), (size, requests) => {
        const { pool, take } = startPool(Array.from({ length: size }, (_, index) => `pod-${index}`));
        const taken = new Set(Array.from({ length: requests }, take));
        const counts = [...taken].map(({ inFlight }) => inFlight);
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(requests);
        expect(pool.inFlight).toBe(requests);
        if (requests >= size) expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('an endpoint that is full is passed over, and one that is excepted too', () => {
    const { pool, take } = startPool(['a', 'b'], { maxInFlight: 1 });
    const a = take();
    expect(pool.take(a)?.address).toBe('b');
    expect(pool.take()).toBeUndefined();
    pool.release(a, 'ok');
    expect(pool.take(a)).toBeUndefined();
    expect(pool.take()?.address).toBe('a');
  });

  it('an endpoint that was not taken cannot be given back', () => {
    const { pool, take } = startPool(['a']);
    const a = take();
    pool.release(a, 'ok');
    expect(() => pool.release(a, 'ok')).toThrow('a is released but was not taken');
  });
});

describe('waiting', () => {
  it('who waits is served in order as endpoints get free, and no more wait than may', () => {
    const { pool, take, room } = startPool(['a'], { maxInFlight: 1, maxWaiting: 2 });
    const a = take();
    const served: string[] = [];
    const [first, second, third] = ['first', 'second', 'third'].map((name) => waiter(() => served.push(name)));
    if (first === undefined || second === undefined || third === undefined) throw new Error('unreachable');
    expect([pool.wait(first), pool.wait(second), pool.wait(third)]).toEqual([true, true, false]);
    pool.release(a, 'ok');
    expect(served).toEqual(['first']);
    expect({ waiting: pool.waiting, room }).toEqual({ waiting: 1, room: { waiting: 1, max: 2 } });
  });

  it('who leaves is not served', () => {
    const { pool, take, room } = startPool(['a'], { maxInFlight: 1 });
    const a = take();
    const served: string[] = [];
    const [first, second] = ['first', 'second'].map((name) => waiter(() => served.push(name)));
    if (first === undefined || second === undefined) throw new Error('unreachable');
    pool.wait(first);
    pool.wait(second);
    pool.leave(first);
    pool.leave(first);
    pool.release(a, 'ok');
    expect({ served, waiting: room.waiting }).toEqual({ served: ['second'], waiting: 0 });
  });

  it('endpoints that come, and limits that grow, serve who waits', () => {
    const { pool, room } = startPool([], { maxInFlight: 1 });
    const served: string[] = [];
    pool.wait(waiter(({ address }) => served.push(address)));
    pool.wait(waiter(({ address }) => served.push(address)));
    pool.update(pods('a'));
    expect(served).toEqual(['a']);
    pool.configure({ maxInFlight: 2, room });
    expect(served).toEqual(['a', 'a']);
  });

  it('who waits when the last endpoint goes is told so once, and waits no more', () => {
    const { pool, take, room } = startPool(['a', 'b'], { maxInFlight: 1 });
    const taken = [take(), take()];
    const told: string[] = [];
    const second = waiter(
      () => told.push('granted'),
      () => void told.push('second'),
    );
    pool.wait(
      waiter(
        () => told.push('granted'),
        () => {
          told.push('first');
          pool.leave(second);
        },
      ),
    );
    pool.wait(second);
    pool.update(pods('b'));
    expect(told).toEqual([]);
    pool.update([]);
    for (const endpoint of taken) pool.release(endpoint, 'ok');
    pool.update(pods('c'));
    expect({ told, waiting: pool.waiting, room: room.waiting }).toEqual({ told: ['first'], waiting: 0, room: 0 });
  });

  describe('for an endpoint that is passed over', () => {
    const passOver = (maxInFlight = 1) => {
      const { pool, take, ...rest } = startPool(['a', 'b'], { maxInFlight });
      const [a, b] = [take(), take()];
      pool.release(b, 'unreachable');
      return { pool, a, served: [] as string[], ...rest };
    };

    it('who waits is served as soon as it is free again, and the others go on waiting', async () => {
      const { pool, a, clock, served } = passOver();
      pool.wait(waiter(({ address }) => served.push(`first ${address}`)));
      pool.wait(waiter(({ address }) => served.push(`second ${address}`)));
      await clock.advance(999);
      expect(served).toEqual([]);
      await clock.advance(1);
      expect({ served, timers: clock.waiting }).toEqual({ served: ['first b'], timers: 0 });
      pool.release(a, 'ok');
      expect(served).toEqual(['first b', 'second a']);
    });

    it('who waited before it was passed over is served then, too', async () => {
      const { pool, take, clock } = startPool(['a', 'b'], { maxInFlight: 1 });
      const [, b] = [take(), take()];
      const served: string[] = [];
      pool.wait(waiter(({ address }) => served.push(address)));
      pool.release(b, 'unreachable');
      expect(served).toEqual([]);
      await clock.advance(1_000);
      expect(served).toEqual(['b']);
    });

    it('the first that is free again serves, whichever was passed over first', async () => {
      const { pool, take, fail, clock } = startPool(['a', 'b', 'c'], { maxInFlight: 1 });
      fail('a', 'unreachable');
      await clock.advance(1_000);
      fail('a', 'unreachable');
      const [b, c] = [take(), take()];
      const served: string[] = [];
      pool.wait(waiter(({ address }) => served.push(address)));
      pool.wait(waiter(({ address }) => served.push(address)));
      await clock.advance(500);
      pool.release(b, 'unreachable');
      await clock.advance(1_000);
      expect(served).toEqual(['b']);
      await clock.advance(500);
      expect({ served, inFlight: c.inFlight, timers: clock.waiting }).toEqual({
        served: ['b', 'a'],
        inFlight: 1,
        timers: 0,
      });
    });

    it('a request that comes does not overtake who waits', async () => {
      const { pool, clock, served } = passOver();
      const late = clock.nowMs() + 1_000;
      pool.wait(waiter(({ address }) => served.push(address)));
      vi.spyOn(clock, 'nowMs').mockReturnValue(late);
      expect(pool.take()).toBeUndefined();
      await clock.advance(1_000);
      expect(served).toEqual(['b']);
    });

    it('no timer is left when nobody waits any more', () => {
      const { pool, a, clock, served } = passOver();
      const leaving = waiter(() => undefined);
      pool.wait(leaving);
      expect(clock.waiting).toBe(1);
      pool.leave(leaving);
      expect(clock.waiting).toBe(0);
      pool.wait(waiter(({ address }) => served.push(address)));
      pool.release(a, 'ok');
      expect({ served, timers: clock.waiting }).toEqual({ served: ['a'], timers: 0 });
    });
  });

  it('moves to the room of a new route', () => {
    const { pool, room } = startPool([], { maxInFlight: 1 });
    pool.wait(waiter(() => undefined));
    const next = { waiting: 3, max: 5 };
    pool.configure({ maxInFlight: 1, room: next });
    expect([room.waiting, next.waiting]).toEqual([0, 4]);
  });
});

describe('outliers', () => {
  it('an endpoint is passed over after five failures in a row, for a second, then on probation for twice as long each time', async () => {
    const { clock, pool, fail } = startPool(['a', 'b', 'c']);
    fail('a', 'failed', 4);
    expect(pool.ejected).toBe(0);
    fail('a', 'failed');
    expect(pool.ejected).toBe(1);
    expect(Array.from({ length: 4 }, () => pool.take()?.address)).not.toContain('a');
    await clock.advance(1000);
    expect(pool.ejected).toBe(0);
    fail('a', 'failed');
    await clock.advance(1999);
    expect(pool.ejected).toBe(1);
    await clock.advance(1);
    expect(pool.ejected).toBe(0);
  });

  it('a success between failures starts the count anew', () => {
    const { pool, fail } = startPool(['a', 'b']);
    fail('a', 'failed', 4);
    const taken = takeUntil(pool, 'a');
    for (const endpoint of taken) pool.release(endpoint, 'ok');
    fail('a', 'failed', 4);
    expect(pool.ejected).toBe(0);
  });

  it('an endpoint that behaved for as long as it was out starts over with the shortest ejection', async () => {
    const { clock, pool, fail } = startPool(['a', 'b']);
    fail('a', 'failed', 5);
    await clock.advance(1000);
    fail('a', 'failed');
    await clock.advance(2000 + 2001);
    fail('a', 'failed', 1);
    await clock.advance(1000);
    expect(pool.ejected).toBe(0);
  });

  it('never for more than a minute', async () => {
    const { clock, pool, fail } = startPool(['a', 'b']);
    fail('a', 'failed', 4);
    for (let time = 0; time < 20; time++) {
      fail('a', 'failed');
      await clock.advance(60_000);
      expect(pool.ejected).toBe(0);
    }
  });

  it('failures never take away more than half of the endpoints', () => {
    fc.assert(
      fc.property(fc.nat({ max: 100 }), fc.integer({ min: 1, max: 6 }), (failures, size) => {
        const { pool, take } = startPool(Array.from({ length: size }, (_, index) => `pod-${index}`));
        for (let time = 0; time < failures; time++) pool.release(take(), 'failed');
        expect(pool.ejected).toBeLessThanOrEqual(size / 2);
        if (failures >= 10 * size) expect(pool.ejected).toBe(Math.floor(size / 2));
      }),
    );
  });

  it('one that cannot be reached is passed over at once', () => {
    const { pool, fail } = startPool(['a', 'b', 'c']);
    fail('a', 'unreachable');
    fail('b', 'unreachable');
    expect(Array.from({ length: 3 }, () => pool.take()?.address)).toEqual(['c', 'c', 'c']);
  });

  it('where every endpoint is passed over, none is', () => {
    const { pool, fail } = startPool(['a', 'b']);
    fail('a', 'unreachable');
    fail('b', 'unreachable');
    expect([pool.take()?.address, pool.take()?.address].sort()).toEqual(['a', 'b']);
  });

  it('what says nothing of the endpoint is not held against it', () => {
    const { pool, take } = startPool(['a', 'b']);
    for (let time = 0; time < 20; time++) pool.release(take(), 'neutral');
    expect(pool.ejected).toBe(0);
  });
});

describe('endpoints come and go', () => {
  it('those that stay keep their requests in flight; those that go are told, once', () => {
    const { pool, take } = startPool(['a', 'b']);
    const [a, b] = [take(), take()];
    const told: string[] = [];
    pool.watch({
      added: ({ address }) => told.push(`+${address}`),
      removed: ({ address }) => told.push(`-${address}`),
    });
    pool.update(pods('b', 'c', 'c'));
    expect(told).toEqual(['+a', '+b', '-a', '+c']);
    expect({ removed: a.isRemoved, kept: b.isRemoved, size: pool.size }).toEqual({
      removed: true,
      kept: false,
      size: 2,
    });
    expect(pool.take()?.address).toBe('c');
    pool.release(a, 'failed');
    pool.release(b, 'ok');
    expect(pool.inFlight).toBe(1);
  });

  it('an address with other ports is another endpoint', () => {
    const { pool, take } = startPool(['a']);
    const before = take();
    pool.update([{ address: 'a', ports: { http: 8081 } }]);
    expect(before.isRemoved).toBe(true);
    expect(pool.take()?.ports.http).toBe(8081);
  });
});
