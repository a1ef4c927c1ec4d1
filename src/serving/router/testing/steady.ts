import { expect } from 'vitest';

/** Resolves to a count that grew, once windows and buffers on the way are full and it does not grow any more. */
export async function steady(count: () => number): Promise<number> {
  let last = 0;
  await expect
    .poll(
      () => {
        const before = last;
        last = count();
        return last > 0 && last === before;
      },
      { interval: 100, timeout: 5_000 },
    )
    .toBe(true);
  return last;
}
