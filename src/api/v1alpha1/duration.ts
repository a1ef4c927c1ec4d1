import { cel, text } from '../schema.ts';

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
export const DURATION_PATTERN = '^([0-9]+([.][0-9]+)?(ms|s|m|h))+$';

/**
 * A Kubernetes duration between two others, both included.
 * @param limits durations, such as `1ms` and `10s`
 */
export function duration(limits: { min: string; max: string }, options: { description: string; default?: string }) {
  const { min, max } = limits;
  return text(32, {
    ...options,
    ...cel({
      rule: `self.matches('${DURATION_PATTERN}') && duration(self) >= duration('${min}') && duration(self) <= duration('${max}')`,
      message: `must be a duration from ${min} to ${max}, such as 2ms, 30s, 5m or 1h30m`,
    }),
  });
}

/**
 * A duration in whole milliseconds.
 * @throws {RangeError} for a text that is not a duration; the API server lets none through
 */
export function durationMs(duration: string): number {
  if (!new RegExp(DURATION_PATTERN).test(duration)) {
    throw new RangeError(`"${duration}" is not a duration such as 2ms, 30s, 5m or 1h30m`);
  }
  let total = 0;
  for (const [, amount, unit] of duration.matchAll(/([0-9.]+)(ms|s|m|h)/g)) {
    total += Number(amount) * (UNIT_MS[unit ?? ''] ?? Number.NaN);
  }
  // 4.1 times 60,000 is not quite a whole number.
  return Math.round(total);
}
