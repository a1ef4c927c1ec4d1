import { cel, text } from '../schema.ts';

/** From 0% to 100%. */
export const PERCENTAGE_PATTERN = '^(100([.]0+)?|[0-9]{1,2}([.][0-9]+)?)%$';

/** A share from 0% to 100%, as a string with its unit. */
export function percentage(options: { description: string; default?: string }) {
  return text(16, {
    ...options,
    ...cel({
      rule: `self.matches('${PERCENTAGE_PATTERN}')`,
      message: 'must be a percentage from 0% to 100%, such as 1% or 0.5%',
    }),
  });
}

/**
 * A percentage as a share from 0 to 1.
 * @throws {RangeError} for a text that is not a percentage; the API server lets none through
 */
export function percentageShare(percentage: string): number {
  if (!new RegExp(PERCENTAGE_PATTERN).test(percentage)) {
    throw new RangeError(`"${percentage}" is not a percentage from 0% to 100%`);
  }
  return Number(percentage.slice(0, -1)) / 100;
}
