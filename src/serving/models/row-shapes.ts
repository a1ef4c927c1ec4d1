import { type Flow, fromFront, type NodeFlow, type Rows, rows } from './row-flow.ts';

/** Where the axis of the rows is once others are added, taken away or folded. */

/** `axes` are new, counted in the result. */
export function withAxes(x: Rows, axes: readonly number[]): Rows {
  const rank = x.rank + axes.length;
  const added = new Set(axes.map((axis) => fromFront(axis, rank)));
  const kept = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => !added.has(axis));
  return rows(rank, kept[x.axis] ?? x.axis, x.isLeading);
}

/** `axes` go, or stay with size 1; undefined where the rows' is one of them. */
export function withoutAxes(x: Rows, axes: readonly number[], areKept: boolean): Rows | undefined {
  const gone = new Set(axes.map((axis) => fromFront(axis, x.rank)));
  if (gone.has(x.axis)) return undefined;
  if (areKept) return rows(x.rank, x.axis, x.isLeading);
  const before = [...gone].filter((axis) => axis < x.axis).length;
  return rows(x.rank - gone.size, x.axis - before, x.isLeading);
}

/**
 * Rows that lie one after the other in memory stay whole where the first dimension grows with their number: by its name,
 * or as what is left over. What is left over for one row alone is a whole number, and for more rows as many times that,
 * provided that one row always has the same shape.
 */
export function reshaped(node: NodeFlow): Flow | undefined {
  const x = node.rows(0);
  const shape = node.integers('shape') ?? node.fixed(1)?.elements;
  if (x?.isLeading !== true || shape === undefined || (node.integer('allowzero') ?? 0) !== 0) return undefined;
  const [first, ...others] = shape;
  if (others.includes('rows')) return undefined;
  // A zero, or a number not known, may stand for the dimension of `x` in that place.
  if (x.axis !== 0 && shape.some((element) => element === 0 || element === undefined)) return undefined;
  const isWhole = first === 'rows' || first === 0 || (first === -1 && node.hasOneRowShape);
  return isWhole ? rows(shape.length, 0) : undefined;
}
