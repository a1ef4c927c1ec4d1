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

/** Waits until definitions of resources that were just applied are established; `kubectl` adds where they are. */
export async function untilEstablished(kubectl: (...args: string[]) => Promise<unknown>): Promise<void> {
  const isSo = async () => {
    await kubectl('wait', '--for=condition=Established', '--timeout=30s');
    return true as const;
  };
  // It fails at once where one has no conditions yet.
  await waitFor('definitions are established', isSo, { timeoutMs: 60_000 });
}
