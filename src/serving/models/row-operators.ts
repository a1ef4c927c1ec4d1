import {
  broadcast,
  type Flow,
  fixed,
  fromFront,
  isSame,
  type NodeFlow,
  numbersOf,
  type Rows,
  rows,
} from './row-flow.ts';
import { reshaped, withAxes, withoutAxes } from './row-shapes.ts';

/**
 * What comes out of an operator whose inputs are all known: one flow for every output, or one for each. Undefined where
 * its rows may depend on each other, or where this does not know better.
 */
type Rule = (node: NodeFlow) => Flow | readonly Flow[] | undefined;

/** The operators that work element by element, on inputs repeated to one shape. */
export const ELEMENTWISE: readonly string[] = (
  'Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast Ceil Celu ' +
  'Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN ' +
  'LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu ' +
  'Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor'
).split(' ');

export const REDUCTIONS: readonly string[] =
  'ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare'.split(
    ' ',
  );

/** Rows come out as they went in; every other input is the same for all. */
const likeFirst: Rule = (node) => (node.isSameFrom(1) ? node.rows(0) : undefined);

/** As `likeFirst`, of operators that take the first dimension for that of the rows, as images have it. */
const ofFirstDimension =
  (minRank: number): Rule =>
  (node) => {
    const x = node.rows(0);
    if (x?.axis !== 0 || x.rank < minRank || !node.isSameFrom(1) || node.outputCount > 1) return undefined;
    return rows(x.rank, 0);
  };

/** Of `ai.onnx.ml`, which works on a table: rows, then columns. */
const table =
  (...ranks: readonly number[]): Rule =>
  (node) => {
    const x = node.rows(0);
    return x?.axis === 0 && x.rank === 2 && node.isSameFrom(1) ? ranks.map((rank) => rows(rank, 0)) : undefined;
  };

/** Works along `axis` only, which must not be the rows'. */
const along =
  (defaultAxis: number): Rule =>
  (node) => {
    const x = node.rows(0);
    return x !== undefined && fromFront(node.integer('axis') ?? defaultAxis, x.rank) !== x.axis && node.isSameFrom(1)
      ? x
      : undefined;
  };

/** Works along `axis` and every axis after it. */
const fromAxisOn =
  (axisOf: (x: Rows) => number): Rule =>
  (node) => {
    const x = node.rows(0);
    if (x === undefined || !node.isSameFrom(1)) return undefined;
    const given = node.integer('axis');
    return x.axis < (given === undefined ? axisOf(x) : fromFront(given, x.rank)) ? x : undefined;
  };

/** Since version 13 along the last axis alone, before from the second on: both where none is given. */
const softmax = fromAxisOn(({ rank }) => Math.min(1, rank - 1));

const reduce: Rule = (node) => {
  const x = node.rows(0);
  const axes = node.numbers('axes', 1);
  if (x === undefined || axes === undefined || axes.length === 0) return undefined;
  return withoutAxes(x, axes, node.integer('keepdims') !== 0);
};

const argReduce: Rule = (node) => {
  const x = node.rows(0);
  return x && withoutAxes(x, [node.integer('axis') ?? 0], node.integer('keepdims') !== 0);
};

const matMul: Rule = (node) => {
  const [a, b] = node.inputs;
  if (a?.rank === undefined || b?.rank === undefined || a.rank < 1 || b.rank < 1) return undefined;
  if (a.kind === 'rows' && isSame(b)) {
    if (a.axis >= a.rank - 1) return undefined;
    if (b.rank === 1) return rows(a.rank - 1, a.axis);
    const rank = Math.max(a.rank, b.rank);
    return rows(rank, rank - a.rank + a.axis);
  }
  if (a.rank < 2 || b.rank < 2) return undefined;
  const inBatch = [a, b].every((flow) => (flow.kind === 'rows' ? flow.axis < flow.rank - 2 : isSame(flow)));
  return inBatch ? broadcast([a, b]) : undefined;
};

const gemm: Rule = (node) => {
  const a = node.rows(0);
  const b = node.fixed(1);
  if (a?.axis !== 0 || a.rank !== 2 || (node.integer('transA') ?? 0) !== 0 || b === undefined || !isSame(b))
    return undefined;
  return node.inputs[2] === undefined ? a : broadcast([a, node.inputs[2]]);
};

const concat: Rule = (node) => {
  const [first] = node.inputs;
  const axis = node.integer('axis');
  if (first?.kind !== 'rows' || axis === undefined || fromFront(axis, first.rank) === first.axis) return undefined;
  return node.inputs.every((x) => x?.kind === 'rows' && x.rank === first.rank && x.axis === first.axis)
    ? rows(first.rank, first.axis)
    : undefined;
};

const gather: Rule = (node) => {
  const [data, indices] = node.inputs;
  if (data?.rank === undefined || indices?.rank === undefined) return undefined;
  const axis = fromFront(node.integer('axis') ?? 0, data.rank);
  const rank = data.rank - 1 + indices.rank;
  if (isSame(data)) return indices.kind === 'rows' ? rows(rank, axis + indices.axis) : undefined;
  if (data.kind !== 'rows' || !isSame(indices) || axis === data.axis) return undefined;
  return rows(rank, data.axis < axis ? data.axis : data.axis - 1 + indices.rank);
};

const gatherElements: Rule = (node) => {
  const [data, indices] = [node.rows(0), node.rows(1)];
  if (data === undefined || data.axis !== indices?.axis || data.rank !== indices.rank) return undefined;
  return fromFront(node.integer('axis') ?? 0, data.rank) === data.axis ? undefined : data;
};

/** Takes columns; of a fixed list it takes an element for each of all the indices, as one row. */
const arrayFeatures: Rule = (node) => {
  const [data, indices] = node.inputs;
  if (data?.kind === 'rows')
    return indices !== undefined && isSame(indices) && data.axis < data.rank - 1 ? data : undefined;
  return data?.rank === 1 && isSame(data) && indices?.kind === 'rows' && indices.isLeading
    ? rows(2, 1, true)
    : undefined;
};

const slice: Rule = (node) => {
  const x = node.rows(0);
  const starts = node.integers('starts') ?? node.fixed(1)?.elements;
  const axes = node.numbers('axes', 3) ?? (node.inputs[3] === undefined ? starts?.map((_, axis) => axis) : undefined);
  if (x === undefined || axes === undefined || !node.isSameFrom(1)) return undefined;
  return axes.some((axis) => fromFront(axis, x.rank) === x.axis) ? undefined : rows(x.rank, x.axis);
};

const pad: Rule = (node) => {
  const x = node.rows(0);
  const pads = node.numbers('pads', 1);
  if (x === undefined || pads?.length !== 2 * x.rank || node.inputs[3] !== undefined || !node.isSameFrom(1))
    return undefined;
  return pads[x.axis] === 0 && pads[x.axis + x.rank] === 0 ? rows(x.rank, x.axis) : undefined;
};

const transpose: Rule = (node) => {
  const x = node.rows(0);
  if (x === undefined) return undefined;
  const axis = node.integers('perm')?.indexOf(x.axis) ?? x.rank - 1 - x.axis;
  return axis < 0 ? undefined : rows(x.rank, axis);
};

const flatten: Rule = (node) => {
  const x = node.rows(0);
  return x?.axis === 0 && fromFront(node.integer('axis') ?? 1, x.rank) >= 1 ? rows(2, 0) : undefined;
};

const cumulativeSum: Rule = (node) => {
  const x = node.rows(0);
  const [axis] = numbersOf(node.fixed(1)) ?? [];
  return x === undefined || axis === undefined || fromFront(axis, x.rank) === x.axis ? undefined : x;
};

/** Adds an axis with a place for each category. */
const oneHot: Rule = (node) => {
  const x = node.rows(0);
  if (x === undefined || !node.isSameFrom(1)) return undefined;
  const { rank, axis } = withAxes(x, [node.integer('axis') ?? -1]);
  return rows(rank, axis);
};

/** Random where it is told to train. */
const dropout: Rule = (node) => (node.inputs[2] === undefined ? likeFirst(node) : undefined);

/** Of all rows together where it is told to train. */
const batchNormalization: Rule = (node) =>
  node.integer('training_mode') === 1 ? undefined : ofFirstDimension(2)(node);

const unsqueeze: Rule = (node) => {
  const [x, axes] = [node.rows(0), node.numbers('axes', 1)];
  return x && axes && withAxes(x, axes);
};

/** Without axes it would take away whatever is 1: that of a single row. */
const squeeze: Rule = (node) => {
  const [x, axes] = [node.rows(0), node.numbers('axes', 1)];
  return x && axes && withoutAxes(x, axes, false);
};

/** LSTM and its kin: the first axis is time, the second the rows. */
const recurrent: Rule = (node) => {
  const [x, weights, recurrence, bias, lengths, ...states] = node.inputs;
  const hasRows = (flow: Flow | undefined, rank: number, axis: number): boolean =>
    flow === undefined || (flow.kind === 'rows' && flow.rank === rank && flow.axis === axis);
  const areSame = [weights, recurrence, bias, states[2]].every((flow) => flow === undefined || isSame(flow));
  const isInOrder = hasRows(lengths, 1, 0) && hasRows(states[0], 3, 1) && hasRows(states[1], 3, 1);
  if (x?.kind !== 'rows' || x.rank !== 3 || x.axis !== 1 || !areSame || !isInOrder) return undefined;
  return (node.integer('layout') ?? 0) === 0 ? [rows(4, 2), rows(3, 1), rows(3, 1)] : undefined;
};

const expand: Rule = (node) => {
  const [data, shape] = node.inputs;
  const elements = shape?.kind === 'fixed' ? shape.elements : undefined;
  if (data?.rank === undefined || elements === undefined) return undefined;
  const rank = Math.max(data.rank, elements.length);
  const place = elements.indexOf('rows');
  if (place !== elements.lastIndexOf('rows')) return undefined;
  if (isSame(data)) return place < 0 ? fixed(rank) : rows(rank, rank - elements.length + place);
  if (data.kind !== 'rows') return undefined;
  const own = elements.length - (data.rank - data.axis);
  if (place >= 0 ? place !== own : own >= 0 && elements[own] !== 1) return undefined;
  return rows(rank, rank - data.rank + data.axis);
};

const constantOfShape: Rule = (node) => {
  const elements = node.fixed(0)?.elements;
  if (elements === undefined) return undefined;
  const place = elements.indexOf('rows');
  if (place >= 0) return place === elements.lastIndexOf('rows') ? rows(elements.length, place) : undefined;
  const [length] = elements;
  const [value] = node.tensor?.elements ?? [];
  const isShortList = elements.length === 1 && typeof length === 'number' && length <= 64 && value !== undefined;
  return fixed(elements.length, isShortList ? new Array<number>(length).fill(value) : undefined);
};

const each = (names: readonly string[], rule: Rule) => names.map((name) => [name, rule] as const);

const ONNX: ReadonlyMap<string, Rule> = new Map([
  ...each(ELEMENTWISE, (node) => broadcast(node.inputs)),
  ...each(REDUCTIONS, reduce),
  ...each(['ArgMax', 'ArgMin'], argReduce),
  ...each(['Clip', 'QuantizeLinear', 'DequantizeLinear'], likeFirst),
  ['Dropout', dropout],
  ['BatchNormalization', batchNormalization],
  ...each(['Softmax', 'LogSoftmax', 'Hardmax'], softmax),
  ...each(
    ['LayerNormalization', 'RMSNormalization'],
    fromAxisOn(({ rank }) => rank - 1),
  ),
  ...each(['TopK', 'LpNormalization'], along(-1)),
  ['Split', along(0)],
  ...each(
    'AveragePool Conv ConvTranspose DepthToSpace GlobalAveragePool GlobalLpPool GlobalMaxPool GroupNormalization InstanceNormalization LpPool LRN MaxPool SpaceToDepth'.split(
      ' ',
    ),
    ofFirstDimension(3),
  ),
  ['MatMul', matMul],
  ['Gemm', gemm],
  ['Concat', concat],
  ['Gather', gather],
  ['GatherElements', gatherElements],
  ['Slice', slice],
  ['Pad', pad],
  ['Transpose', transpose],
  ['Flatten', flatten],
  ['CumSum', cumulativeSum],
  ['OneHot', oneHot],
  ...each(['LSTM', 'GRU', 'RNN'], recurrent),
  ['Expand', expand],
  ['ConstantOfShape', constantOfShape],
  ['Reshape', reshaped],
  ['Unsqueeze', unsqueeze],
  ['Squeeze', squeeze],
]);

const ML: ReadonlyMap<string, Rule> = new Map([
  ...each(['TreeEnsembleClassifier', 'LinearClassifier', 'SVMClassifier'], table(1, 2)),
  ...each(['TreeEnsembleRegressor', 'TreeEnsemble', 'LinearRegressor', 'SVMRegressor'], table(2)),
  ...each(['Scaler', 'Normalizer', 'Imputer'], table(2)),
  ...each(['Binarizer', 'LabelEncoder', 'CategoryMapper'], likeFirst),
  ['OneHotEncoder', oneHot],
  ['ArrayFeatureExtractor', arrayFeatures],
]);

/** The rule of an operator, by its domain; undefined of one that is not known. */
export function ruleOf(domain: string, operator: string): Rule | undefined {
  if (domain === '') return ONNX.get(operator);
  return domain === 'ai.onnx.ml' ? ML.get(operator) : undefined;
}
