import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeClock, settle } from './testing/fake-clock.ts';
import { WorkQueue, type WorkQueueOptions } from './work-queue.ts';

function fixture(options: Partial<WorkQueueOptions> = {}) {
  const clock = new FakeClock();
  const runs: string[] = [];
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const told = {
    depth: 0,
    added: 0,
    retried: 0,
    queued: [] as number[],
    worked: [] as number[],
    panics: [] as unknown[],
  };
  const queue = new WorkQueue({
    clock,
    workers: 1,
    process: async (key) => {
      runs.push(key);
      await gates.get(key)?.promise;
    },
    onPanic: (_key, error) => told.panics.push(error),
    metrics: {
      depth: (waiting) => {
        told.depth = waiting;
      },
      added: () => told.added++,
      retried: () => told.retried++,
      queued: (seconds) => told.queued.push(seconds),
      worked: (seconds) => told.worked.push(seconds),
    },
    ...options,
  });
  const hold = (key: string): PromiseWithResolvers<void> => {
    const gate = Promise.withResolvers<void>();
    gates.set(key, gate);
    return gate;
  };
  return { clock, queue, runs, told, hold };
}

describe('a work queue', () => {
  test('processes a key once however often it was added while it waited', async () => {
    const { queue, runs } = fixture();
    queue.add('a');
    queue.add('b');
    queue.add('a');
    queue.start();
    await settle();
    expect(runs).toEqual(['a', 'b']);
  });

  test('runs a key that was added during its run once more after it', async () => {
    const { queue, runs, hold } = fixture({ workers: 4 });
    const gate = hold('a');
    queue.start();
    queue.add('a');
    queue.add('a');
    queue.add('a');
    await settle();
    expect(runs).toEqual(['a']);
    gate.resolve();
    await settle();
    expect(runs).toEqual(['a', 'a']);
    expect(queue.isIdle).toBe(true);
  });

  test('goes on after an item whose processing throws, whatever it throws', async () => {
    const { queue, runs, told } = fixture({
      process: (key) => {
        runs.push(key);
        if (key === 'sync') throw new TypeError('boom');
        // Not an Error, as careless code does.
        return key === 'odd' ? Promise.reject('a string') : Promise.resolve();
      },
    });
    queue.start();
    for (const key of ['sync', 'odd', 'fine', 'sync']) {
      queue.add(key);
      await settle();
    }
    expect(runs).toEqual(['sync', 'odd', 'fine', 'sync']);
    expect(told.panics).toHaveLength(3);
  });

  test('lets what changed go before routine work, also when routine work on it already waits', async () => {
    const { queue, runs } = fixture();
    for (const key of ['r1', 'r2', 'r3']) queue.add(key, { routine: true });
    queue.add('changed');
    queue.add('r3');
    queue.start();
    await settle();
    expect(runs).toEqual(['changed', 'r3', 'r1', 'r2']);
  });

  test('lets the rest of the process run between items that wait for nothing', async () => {
    const { queue, runs } = fixture({ workers: 4 });
    for (let item = 0; item < 1_000; item++) queue.add(`item-${item}`, { routine: true });
    queue.start();
    await new Promise((resolve) => setImmediate(resolve));
    queue.add('changed');
    await settle();
    expect(runs.indexOf('changed')).toBeGreaterThan(0);
    expect(runs.indexOf('changed')).toBeLessThan(50);
  });

  test('adds a delayed key at the earliest of its delays', async () => {
    const { queue, runs, clock } = fixture();
    queue.start();
    queue.addAfter('a', 500);
    queue.addAfter('a', 100);
    queue.addAfter('a', 300);
    await clock.advance(99);
    expect(runs).toEqual([]);
    await clock.advance(1);
    expect(runs).toEqual(['a']);
    await clock.advance(1_000);
    expect(runs).toEqual(['a']);
  });

  test('adds a delayed key at the earliest of its delays though the wall clock moves between them', async () => {
    const { queue, runs, clock } = fixture();
    queue.start();
    queue.addAfter('a', 100);
    clock.putBack(3_600_000);
    queue.addAfter('a', 500);
    await clock.advance(100);
    expect(runs).toEqual(['a']);
  });

  test('forgets a delay when the key runs before it, and keeps one that is set during the run', async () => {
    const { queue, runs, clock, hold } = fixture();
    queue.start();
    queue.addAfter('a', 1_000);
    const gate = hold('a');
    queue.add('a');
    queue.addAfter('a', 2_000);
    gate.resolve();
    await clock.advance(1_999);
    expect(runs).toEqual(['a']);
    await clock.advance(1);
    expect(runs).toEqual(['a', 'a']);
  });

  test('backs off from 5 ms to 1000 s an item, and starts over when the item is forgotten', async () => {
    const { queue, runs, clock, told } = fixture();
    queue.start();
    const waits: number[] = [];
    for (let failure = 0; failure < 20; failure++) {
      const startMs = clock.now();
      queue.addRateLimited('a');
      const before = runs.length;
      for (let step = 5; runs.length === before; step *= 2) await clock.advance(startMs + step - clock.now());
      waits.push(clock.now() - startMs);
    }
    expect(waits.slice(0, 4)).toEqual([5, 10, 20, 40]);
    expect(queue.failures('a')).toBe(20);
    expect(told.retried).toBe(20);
    queue.forget('a');
    queue.addRateLimited('a');
    const before = runs.length;
    await clock.advance(5);
    expect(runs.length).toBe(before + 1);
  });

  test('lets a hundred retries through at once and then ten a second, however many items fail', async () => {
    const { queue, runs, clock } = fixture({ workers: 8 });
    queue.start();
    for (let item = 0; item < 130; item++) queue.addRateLimited(`item-${item}`);
    await clock.advance(5);
    expect(runs.length).toBe(100);
    await clock.advance(1_000);
    expect(runs.length).toBe(110);
    await clock.advance(2_000);
    expect(runs.length).toBe(130);
  });

  test('backs off no longer than it is told', async () => {
    const { queue, runs, clock } = fixture();
    queue.start();
    for (let failure = 0; failure < 20; failure++) {
      queue.addRateLimited('a', 10_000);
      await clock.advance(10_000);
      expect(runs.length).toBe(failure + 1);
    }
  });

  test('lets what is looked at anyway take no turn of the retries of others', async () => {
    const { queue, runs, clock } = fixture({ workers: 8 });
    queue.start();
    for (let round = 0; round < 30; round++) {
      for (let item = 0; item < 200; item++) queue.addRateLimited(`item-${item}`, 10_000);
      await clock.advance(10_000);
    }
    queue.addRateLimited('other');
    await clock.advance(5);
    expect(runs.at(-1)).toBe('other');
  });

  test('stops with what runs, drops what waits, and takes nothing more', async () => {
    const { queue, runs, hold, clock } = fixture();
    const gate = hold('a');
    queue.start();
    queue.add('a');
    queue.add('b');
    queue.addAfter('c', 10);
    let stopped = false;
    const stopping = queue.stop().then(() => {
      stopped = true;
    });
    queue.add('d');
    await clock.advance(100);
    expect(stopped).toBe(false);
    gate.resolve();
    await stopping;
    expect(runs).toEqual(['a']);
    expect(clock.pendingTimers).toBe(0);
  });

  test('tells how long items waited and ran, in seconds', async () => {
    const { queue, told, clock, hold } = fixture();
    queue.add('a');
    await clock.advance(2_000);
    const gate = hold('a');
    queue.start();
    await clock.advance(500);
    gate.resolve();
    await settle();
    expect(told.queued).toEqual([2]);
    expect(told.worked).toEqual([0.5]);
    expect(told.added).toBe(1);
    expect(told.depth).toBe(0);
  });

  test('never runs a key twice at once, runs at most N at once, and never loses the last add', async () => {
    const step = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), delayMs: fc.nat(30), gapMs: fc.nat(10) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 3 }), async (steps, workers) => {
        const clock = new FakeClock();
        const running = new Set<string>();
        const lastRunMs = new Map<string, number>();
        const lastAddMs = new Map<string, number>();
        let overlap = false;
        const { queue } = fixture({
          clock,
          workers,
          process: async (key) => {
            overlap ||= running.has(key) || running.size >= workers;
            running.add(key);
            lastRunMs.set(key, clock.now());
            await new Promise<void>((resolve) => clock.after(7, resolve));
            running.delete(key);
          },
        });
        queue.start();
        for (const { key, delayMs, gapMs } of steps) {
          queue.addAfter(key, delayMs);
          if (delayMs === 0) lastAddMs.set(key, clock.now());
          await clock.advance(gapMs);
        }
        await clock.advance(10_000);
        expect(overlap).toBe(false);
        expect(queue.isIdle).toBe(true);
        for (const [key, addedMs] of lastAddMs) expect(lastRunMs.get(key) ?? 0).toBeGreaterThanOrEqual(addedMs);
      }),
      { numRuns: 60 },
    );
  });
});
