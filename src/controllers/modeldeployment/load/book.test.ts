import { describe, expect, test } from 'vitest';
import type { CountsSnapshot } from '../../../api/counts.ts';
import { LOAD_INTERVAL_MS } from '../../../rollout/load.ts';
import { CountsReader, type CountsReading } from '../counts/reader.ts';
import { LoadBook, loadOf } from './book.ts';

const source = (name: string) => ({ uid: name, name, address: name });
const snapshot = (load: CountsSnapshot['load']): CountsSnapshot => ({
  instance: 'i',
  inFlight: 0,
  revisions: {},
  ...(load && { load }),
});
const told = (load: CountsSnapshot['load']): CountsReading => ({ source: source('a'), snapshot: snapshot(load) });
const failed: CountsReading = { source: source('b'), failure: 'no answer' };
const all = () => true;

describe('requests in flight of a ModelDeployment', () => {
  test.each<[rule: string, readings: CountsReading[], inFlight: number, isWhole: boolean]>([
    [
      'are those at all routers, of all of its revisions',
      [told({ m: { a: 3, b: 2 } }), told({ m: { a: 4 } })],
      9,
      true,
    ],
    ['are not those of others', [told({ m: { a: 3 }, other: { c: 9 } })], 3, true],
    ['are none at a router that has no route of it yet', [told({}), told({ m: { a: 3 } })], 3, true],
    ['are a part of them where a router does not tell', [failed, told({ m: { a: 3 } })], 3, false],
    ['are a part of them where a router is too old to tell', [told(undefined), told({ m: { a: 3 } })], 3, false],
    ['are not known where there is no router', [], 0, false],
  ])('%s', (_, readings, inFlight, isWhole) => {
    expect(loadOf(readings, 'm', all, 7)).toEqual({ atMs: 7, inFlight, isWhole });
  });

  test('are not the copies that a mirror makes', () => {
    const counts = (revision: string) => revision !== 'copied';
    expect(loadOf([told({ m: { serves: 3, copied: 40 } })], 'm', counts, 0).inFlight).toBe(3);
  });
});

test('the book reads once an interval without being waited for, and answers by what it has read', async () => {
  let nowMs = 0;
  let reads = 0;
  let inFlight = 64;
  const fetch = async () => {
    reads += 1;
    return JSON.stringify(snapshot({ churn: { 'churn-1': inFlight } }));
  };
  const key = 'shop/churn';
  const { signal } = new AbortController();
  const book = new LoadBook(new CountsReader({ fetch, clock: { monotonic: () => nowMs } }));
  const pods = () => book.podsFor(key, 8, 1, nowMs);
  const advance = () => book.advance({ key, routers: [source('a')], counts: all, nowMs, signal });
  expect(pods()).toBe(1);
  expect([advance(), advance()]).toEqual([1_000, 1_000]);
  expect(pods()).toBe(1);
  await expect.poll(pods).toBe(8);
  nowMs = 1_000;
  expect(advance()).toBe(LOAD_INTERVAL_MS);
  nowMs = LOAD_INTERVAL_MS;
  inFlight = 640;
  expect(advance()).toBe(LOAD_INTERVAL_MS + 1_000);
  await expect.poll(pods).toBe(40);
  expect(reads).toBe(2);
  book.forget(key);
  expect(book.podsFor(key, 8, 3, nowMs)).toBe(3);
});

test('the book reads again though the clock was set back', async () => {
  const asked: number[] = [];
  const fetch = async () => JSON.stringify(snapshot({ churn: { 'churn-1': asked.push(0) } }));
  const book = new LoadBook(new CountsReader({ fetch, clock: { monotonic: () => asked.length * 1_000 } }));
  const { signal } = new AbortController();
  const advance = (nowMs: number) =>
    book.advance({ key: 'shop/churn', routers: [source('a')], counts: all, nowMs, signal });
  advance(7_200_000);
  await expect.poll(() => advance(7_200_001)).toBe(7_200_000 + LOAD_INTERVAL_MS);
  advance(0);
  expect(asked).toHaveLength(2);
});
