import { setTimeout as delay } from 'node:timers/promises';

const INTERVAL_MS = 100;
const TIMEOUT_MS = 30_000;

/**
 * Resolves to a count that grew, once windows and buffers on the way are full and it does not grow any more.
 * @throws Error where it goes on, or never begins.
 */
export async function steady(count: () => number): Promise<number> {
  let last = 0;
  for (const endMs = performance.now() + TIMEOUT_MS; performance.now() < endMs; await delay(INTERVAL_MS)) {
    const before = last;
    last = count();
    if (last > 0 && last === before) return last;
  }
  throw new Error(`not steady within ${TIMEOUT_MS} ms, at ${last}`);
}
