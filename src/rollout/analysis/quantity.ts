import type { Unit } from './verdict.ts';

const significant = (value: number) => String(Number(value.toPrecision(3)));

/** For people: 0.3%, 21 ms, 12/s. Three digits. */
export function quantity(value: number, unit: Unit): string {
  if (!Number.isFinite(value)) return value > 0 ? 'any' : 'none';
  switch (unit) {
    case 'Share':
      return `${significant(value * 100)}%`;
    case 'Seconds':
      return Math.abs(value) < 1 ? `${significant(value * 1_000)} ms` : `${significant(value)} s`;
    case 'PerSecond':
      return `${significant(value)}/s`;
    case 'None':
      return significant(value);
  }
}
