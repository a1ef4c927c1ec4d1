/** The number of `numbers` that a share `q`, from 0 to 1, of them lies below; NaN of none. */
export function quantile(numbers: readonly number[], q: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

export const milliseconds = (times: readonly number[], q: number): string => `${quantile(times, q).toFixed(1)} ms`;
