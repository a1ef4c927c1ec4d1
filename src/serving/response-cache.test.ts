import { expect, test } from 'vitest';
import { cacheKey, ResponseCache } from './response-cache.ts';
import type { Tensor } from './tensor.ts';
import { rowsOfTwo } from './testing/fake-session.ts';

const x = rowsOfTwo(1);
const text = (...texts: string[]): Tensor => ({
  name: 't',
  datatype: 'BYTES',
  shape: [texts.length],
  data: texts.map((value) => Buffer.from(value)),
});

test('the same question has the same key', () => {
  expect(cacheKey([x], ['y'])).toBe(cacheKey([{ ...x, data: x.data.slice() }], ['y']));
});

test.each<[string, readonly Tensor[], readonly string[]]>([
  ['another value', [rowsOfTwo(1, 1)], ['y']],
  ['another shape', [{ ...x, shape: [2, 1] }], ['y']],
  ['another name', [{ ...x, name: 'z' }], ['y']],
  [
    'another datatype of the same bytes',
    [{ ...x, datatype: 'INT32', data: new Int32Array((x.data as Float32Array).buffer) }],
    ['y'],
  ],
  ['other outputs', [x], ['y', 'z']],
  ['minus zero', [{ ...x, data: Float32Array.of(-0, 1) }], ['y']],
])('%s has another key', (_, inputs, outputNames) => {
  expect(cacheKey(inputs, outputNames)).not.toBe(cacheKey([x], ['y']));
});

test('strings that are only split differently have different keys', () => {
  expect(cacheKey([text('ab', 'c')], ['y'])).not.toBe(cacheKey([text('a', 'bc')], ['y']));
});

test('an answer is forgotten after its time, or when more recent ones need its place', () => {
  let nowMs = 1;
  const cache = new ResponseCache({ maxEntries: 2, ttlMs: 100, maxBytes: 1e6 }, () => nowMs);
  cache.set('a', [x]);
  nowMs = 100;
  expect(cache.get('a')).toEqual([x]);
  nowMs = 102;
  expect(cache.get('a')).toBeUndefined();
  for (const key of ['b', 'c', 'd']) cache.set(key, [x]);
  expect(['b', 'c', 'd'].map((key) => cache.get(key) !== undefined)).toEqual([false, true, true]);
});

test('a cached answer holds no memory of the batch it came from', () => {
  const batch = new Float32Array(1000);
  const cache = new ResponseCache({ maxEntries: 1, ttlMs: 100, maxBytes: 1e6 }, () => 0);
  cache.set('a', [{ ...x, data: batch.subarray(2, 4) }]);
  const [cached = x] = cache.get('a') ?? [];
  expect((cached.data as Float32Array).buffer.byteLength).toBe(8);
});

test('a cached text holds no memory of the pool it was made in', () => {
  const cache = new ResponseCache({ maxEntries: 1, ttlMs: 100, maxBytes: 1e6 }, () => 0);
  cache.set('a', [text('positive')]);
  const [cached = x] = cache.get('a') ?? [];
  const [value] = cached.data as readonly Uint8Array[];
  expect(value).toEqual(new TextEncoder().encode('positive'));
  expect(value?.buffer.byteLength).toBe(8);
});

test('an answer counts with what keeps it, so that small ones do not outgrow the memory', () => {
  const cache = new ResponseCache({ maxEntries: 1_000_000, ttlMs: 100, maxBytes: 100_000 }, () => 0);
  const small: Tensor = { name: 'y', datatype: 'BOOL', shape: [1], data: Uint8Array.of(1) };
  for (let index = 0; index < 1000; index++) cache.set(String(index), [small]);
  const kept = Array.from({ length: 1000 }, (_, index) => index).filter(
    (index) => cache.get(String(index)) !== undefined,
  );
  expect(kept.length).toBeGreaterThan(50);
  expect(kept.length).toBeLessThan(100);
});
