import { expect, test } from 'vitest';
import { KeptRequest } from './kept-request.ts';

test('a piece that comes alone, and large ones, are kept as they came', () => {
  const kept = new KeptRequest();
  const pieces = [Buffer.alloc(2_000, 1), Buffer.alloc(100_000, 2), Buffer.alloc(5, 3)];
  for (const piece of pieces) kept.append(piece);
  expect(kept.pieces.map((piece, index) => piece === pieces[index])).toEqual([true, true, true]);
});

test('pieces of one byte are put together, as each would cost a hundred of its own', () => {
  const kept = new KeptRequest();
  const bytes = Buffer.from(Array.from({ length: 20_000 }, (_, index) => index % 251));
  for (let at = 0; at < bytes.length; at++) kept.append(bytes.subarray(at, at + 1));
  expect(kept.pieces).toHaveLength(20);
  expect(Buffer.concat(kept.pieces).equals(bytes)).toBe(true);
});

test('what is kept is full beyond 256 KiB', () => {
  const kept = new KeptRequest();
  kept.append(Buffer.alloc(256 * 1024));
  expect(kept.isFull).toBe(false);
  kept.append(Buffer.alloc(1));
  expect(kept.isFull).toBe(true);
});
