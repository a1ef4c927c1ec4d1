import { expect, test } from 'vitest';
import { Measuring } from './measuring.ts';

/** Measurements that end when the test says so. */
function played(firstAtMs = 0) {
  const measuring = new Measuring<number>(firstAtMs);
  const begun: (PromiseWithResolvers<number> & { readonly signal: AbortSignal })[] = [];
  const stop = new AbortController();
  const seen = { done: 0 };
  const advance = (nowMs: number) =>
    measuring.advance({
      nowMs,
      intervalMs: 10,
      stop: stop.signal,
      measure: (signal) => {
        const one = { ...Promise.withResolvers<number>(), signal };
        begun.push(one);
        return one.promise;
      },
      whenDone: () => {
        seen.done += 1;
      },
    });
  return { measuring, begun, stop, seen, advance };
}

/** Lets what has been settled be seen. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('one is begun when it is due, and none beside it, however long it takes', async () => {
  const { advance, begun } = played(5);
  expect(advance(0)).toBe(5);
  expect(advance(5)).toBeUndefined();
  expect(advance(500)).toBeUndefined();
  expect(begun).toHaveLength(1);
});

test('what it gave is told of, taken once, and the next one is due an interval after it began', async () => {
  const { measuring, advance, begun, seen } = played();
  advance(0);
  expect(measuring.take()).toBeUndefined();
  begun[0]?.resolve(7);
  await settled();
  expect(seen.done).toBe(1);
  expect(advance(3)).toBeUndefined();
  expect(measuring.take()).toBe(7);
  expect(measuring.take()).toBeUndefined();
  expect(advance(3)).toBe(10);
  expect(advance(10)).toBeUndefined();
  expect(begun).toHaveLength(2);
});

test('what it threw is thrown at whoever takes it, and the next one is begun all the same', async () => {
  const { measuring, advance, begun } = played();
  advance(0);
  begun[0]?.reject(new Error('a mistake'));
  await settled();
  expect(() => measuring.take()).toThrow('a mistake');
  expect(measuring.take()).toBeUndefined();
  advance(10);
  expect(begun).toHaveLength(2);
});

test('one that is cancelled is cut short, and nothing comes of it', async () => {
  const { measuring, advance, begun, seen } = played();
  advance(0);
  measuring.cancel();
  expect(begun[0]?.signal.aborted).toBe(true);
  begun[0]?.resolve(7);
  await settled();
  expect(seen.done).toBe(0);
  expect(measuring.take()).toBeUndefined();
});

test('a stop of the process cuts it short', () => {
  const { advance, begun, stop } = played();
  advance(0);
  stop.abort();
  expect(begun[0]?.signal.aborted).toBe(true);
});

test('one is begun though the clock was set back since the one before, or before the first', async () => {
  const { measuring, advance, begun } = played();
  advance(7_200_000);
  begun[0]?.resolve(7);
  await settled();
  measuring.take();
  advance(7_200_003);
  expect(begun).toHaveLength(1);
  advance(20);
  expect(begun).toHaveLength(2);

  const first = played(7_200_000);
  first.advance(20);
  expect(first.begun).toHaveLength(1);
});
