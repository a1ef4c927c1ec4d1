/**
 * How strong evidence must be so that one may look at it as often as one likes: the normal-mixture boundary (Robbins 1970),
 * which as a confidence sequence is the asymptotic one of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2021).
 */

/** Evidence, as the square of a standard score, above which a claim is made, and at which sample size it is tightest. */
export interface Boundary {
  /** Chance that a claim is ever made though it is false, however often one looks: one-sided. */
  readonly alpha: number;
  /** Effective sample size at which the boundary is as low as it can be; any value is valid. */
  readonly tightestAt: number;
}

/**
 * The least squared standard score that makes a one-sided claim after `sampleSize` effective samples:
 * (1 + m/n) (ln(1 + n/m) + 2 ln(1/2a)), where m = N / (-2 ln 2a + ln(1 - 2 ln 2a)) and N is `tightestAt`.
 * @param sampleSize any that grows in proportion to the information; above 0
 * @throws {RangeError} unless 0 < alpha < 0.5 and tightestAt > 0
 */
export function mixtureBoundary({ alpha, tightestAt }: Boundary, sampleSize: number): number {
  if (!(alpha > 0 && alpha < 0.5)) throw new RangeError(`alpha must be above 0 and below 0.5, not ${alpha}`);
  if (!(tightestAt > 0)) throw new RangeError(`tightestAt must be above 0, not ${tightestAt}`);
  if (!(sampleSize > 0)) return Number.POSITIVE_INFINITY;
  const twoSided = -2 * Math.log(2 * alpha);
  const scale = tightestAt / (twoSided + Math.log(1 + twoSided));
  const ratio = sampleSize / scale;
  return (1 + 1 / ratio) * (Math.log1p(ratio) + twoSided);
}
