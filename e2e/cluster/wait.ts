import { setTimeout as delay } from 'node:timers/promises';

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly intervalMs?: number;
}

/**
 * Asks until the answer is `true`. An answer that is a string, or an error thrown, is the reason why not yet.
 * @throws Error with the last reason after `timeoutMs`.
 */
export async function waitFor(
  what: string,
  ask: () => Promise<true | string>,
  { timeoutMs, intervalMs = 100 }: WaitOptions,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask().catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    if (answer === true) return;
    if (performance.now() >= deadlineMs) throw new Error(`${what}: not within ${timeoutMs / 1000} s: ${answer}`);
    await delay(intervalMs);
  }
}
