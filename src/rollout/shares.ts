/** Whole percentages that add up to 100. */

/**
 * Shares in proportion to ready pods, by the largest remainders.
 * @param otherwise who gets all of it where no pod is ready
 */
export function readyShares(
  revisions: readonly { readonly name: string; readonly ready: number }[],
  otherwise: string,
): ReadonlyMap<string, number> {
  const total = revisions.reduce((sum, { ready }) => sum + ready, 0);
  if (total === 0) return new Map([[otherwise, 100]]);
  const exact = revisions.map(({ name, ready }) => ({ name, percent: (100 * ready) / total }));
  const shares = new Map(exact.map(({ name, percent }) => [name, Math.floor(percent)]));
  let left = 100 - [...shares.values()].reduce((sum, share) => sum + share, 0);
  const byRemainder = exact.toSorted((a, b) => (b.percent % 1) - (a.percent % 1));
  for (const { name } of byRemainder) {
    if (left === 0) break;
    shares.set(name, (shares.get(name) ?? 0) + 1);
    left -= 1;
  }
  return shares;
}
