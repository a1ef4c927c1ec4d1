const MAX_STEPS = 100;

/**
 * Where a function that grows crosses 0 between two ends, by false position (Illinois), and by halving where a value is not
 * finite.
 * @param value below 0 at `low` and above it at `high`; may be infinite at either
 * @param tolerance how near, relative to the distance of the ends
 */
export function crossing(low: number, high: number, value: (at: number) => number, tolerance = 1e-8): number {
  let [below, above] = [low, high];
  let [under, over] = [value(low), value(high)];
  if (under >= 0) return low;
  if (over <= 0) return high;
  const width = tolerance * (high - low);
  let kept: 'below' | 'above' | undefined;
  for (let step = 0; step < MAX_STEPS && above - below > width; step += 1) {
    const areFinite = Number.isFinite(under) && Number.isFinite(over);
    const secant = areFinite ? above - (over * (above - below)) / (over - under) : Number.NaN;
    // A bracket that stays wide on one side for long is halved: steep ends are met so.
    const at = secant > below && secant < above && step % 4 !== 3 ? secant : (below + above) / 2;
    const found = value(at);
    if (found === 0) return at;
    if (found < 0) {
      [below, under] = [at, found];
      if (kept === 'above') over /= 2;
      kept = 'above';
    } else {
      [above, over] = [at, found];
      if (kept === 'below') under /= 2;
      kept = 'below';
    }
    if (Math.abs(found) < 1e-12) return at;
  }
  return (below + above) / 2;
}
