const UNITS: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
];

/** A time as people say it, in its two largest units: `3d4h`, `2m10s`, `0s`. Rounded to whole seconds. */
export function elapsed(ms: number): string {
  let leftMs = Math.max(0, Math.round(ms / 1000) * 1000);
  const first = UNITS.findIndex(([, unitMs]) => leftMs >= unitMs);
  if (first < 0) return '0s';
  let shown = '';
  for (const [unit, unitMs] of UNITS.slice(first, first + 2)) {
    const count = Math.floor(leftMs / unitMs);
    if (count > 0) shown += `${count}${unit}`;
    leftMs -= count * unitMs;
  }
  return shown;
}
