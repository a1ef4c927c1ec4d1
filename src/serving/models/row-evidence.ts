import type { RowEvidence } from '../session.ts';
import type { TensorSpec } from '../tensor.ts';
import type { ModelFile } from './onnx-file.ts';
import { type OnnxGraph, type OnnxNode, readGraph } from './onnx-graph.ts';
import { shapeArithmetic } from './row-arithmetic.ts';
import { type Flow, fixed, isSame, NodeFlow, rows } from './row-flow.ts';
import { ELEMENTWISE, REDUCTIONS, ruleOf } from './row-operators.ts';

/**
 * Operators that take a scale from the values of all rows together, so that one row of great values coarsens the rest:
 * `DynamicQuantizeLinear`, `DynamicQuantizeLSTM`, `DynamicQuantizeMatMul`.
 */
const MIXING = /^DynamicQuantize/;

/** Answers differ from run to run, whoever shares it. */
const RANDOM = /^Random|^Bernoulli$|^Multinomial$/;

/** An engine may end its process where these are given the wrong integer. */
const DIVIDING: readonly string[] = ['Div', 'Mod', 'BitShift'];

/** Operators that take integers for measures, whatever they are; others take some for indices, lengths or sizes. */
const MEASURING: ReadonlySet<string> = new Set([
  ...ELEMENTWISE.filter((operator) => !DIVIDING.includes(operator)),
  ...REDUCTIONS,
  ...['Constant', 'MatMul', 'Gemm', 'Softmax', 'ArgMax', 'ArgMin', 'Concat', 'Clip', 'CumSum', 'Scaler', 'Normalizer'],
]);

interface Signature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/**
 * What a model's graph tells of whether the rows of a batch may change one another. What cannot be read is taken to mix:
 * an engine may know formats, such as ORT's own, that this does not.
 */
export function rowEvidence(model: ModelFile, signature: Signature): RowEvidence {
  let graph: OnnxGraph;
  try {
    graph = readGraph(model);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { verdict: 'mixed', why: `the model's operators cannot be read: ${why}` };
  }
  const mixing = [...graph.operators].find((operator) => MIXING.test(operator));
  if (mixing !== undefined)
    return { verdict: 'mixed', why: `operator ${mixing} takes one scale from all rows together` };
  const why = whyUnproven(graph, signature);
  if (why === undefined) return { verdict: 'independent' };
  const takesMeasures = [...graph.operators].every((operator) => MEASURING.has(operator));
  return { verdict: 'unproven', why, takesMeasures };
}

/** Follows the rows through the graph to the outputs; undefined when they stay apart all the way. */
function whyUnproven(graph: OnnxGraph, { inputs, outputs }: Signature): string | undefined {
  if (graph.hasFunctions) return 'the model defines operators of its own';
  const hasOneRowShape = inputs.every(({ shape }) => !shape.slice(1).includes(-1));
  const flows = new Map<string, Flow>();
  for (const [name, { rank, elements }] of graph.stored) flows.set(name, fixed(rank, elements));
  for (const { name, shape } of inputs) flows.set(name, rows(shape.length, 0));
  let doubt: string | undefined;
  for (const node of graph.nodes) {
    const made = flowsOf(node, flows, hasOneRowShape);
    for (const [place, name] of node.outputs.entries()) {
      const flow = made[place] ?? (made.length === 1 ? made[0] : undefined);
      // An output that is left out has no name.
      if (flow !== undefined && name !== '') flows.set(name, flow);
      else flows.delete(name);
    }
    if (made.length === 0) doubt ??= `operator ${node.operator} may mix rows`;
  }
  for (const { name } of outputs) {
    const flow = flows.get(name);
    if (flow?.kind !== 'rows' || flow.axis !== 0) return doubt ?? `output ${name} does not have the rows first`;
  }
  return undefined;
}

/** One flow for all outputs, or one for each; none where nothing is known. */
function flowsOf(node: OnnxNode, flows: ReadonlyMap<string, Flow>, hasOneRowShape: boolean): readonly Flow[] {
  const known = node.inputs.every((name) => name === '' || flows.has(name));
  if (!known || node.hasGraphs || RANDOM.test(node.operator)) return [];
  const read = new NodeFlow(
    node,
    node.inputs.map((name) => flows.get(name)),
    hasOneRowShape,
  );
  const flow = single(node.operator, read) ?? ruleOf(node.domain, node.operator)?.(read) ?? sameInEveryRun(node, read);
  return flow === undefined ? [] : Array.isArray(flow) ? flow : [flow as Flow];
}

/** What depends on the shapes of the inputs alone. */
function single(operator: string, node: NodeFlow): Flow | undefined {
  if (operator === 'Constant') {
    const integers = node.integers('value_ints') ?? node.tensor?.elements;
    const integer = node.integer('value_int');
    if (integer !== undefined) return fixed(0, [integer]);
    return fixed(node.tensor?.rank ?? (integers === undefined ? undefined : 1), integers);
  }
  if (operator === 'Shape') return shapeOf(node);
  return shapeArithmetic(operator, node);
}

function shapeOf(node: NodeFlow): Flow | undefined {
  const [x] = node.inputs;
  if (x === undefined) return undefined;
  if (x.kind === 'fixed') {
    if (x.rank === undefined) return isSame(x) ? fixed(1) : undefined;
    return fixed(1, x.rank === 1 ? [x.elements?.length] : new Array<undefined>(x.rank).fill(undefined));
  }
  const elements = Array.from({ length: x.rank }, (_, axis) => (axis === x.axis ? ('rows' as const) : undefined));
  return fixed(1, elements.slice(node.integer('start') ?? 0, node.integer('end') ?? x.rank));
}

/** Of what is the same in every run an operator makes what is the same in every run, whatever it does. */
function sameInEveryRun({ domain, operator }: OnnxNode, node: NodeFlow): Flow | undefined {
  const isKnownDomain = domain === '' || domain === 'ai.onnx.ml';
  return isKnownDomain && node.isSameFrom(0) ? fixed(rankOf(operator, node)) : undefined;
}

/** The rank of what comes of fixed tensors, for the operators that stand between weights and rows. */
function rankOf(operator: string, node: NodeFlow): number | undefined {
  const rank = node.inputs[0]?.rank;
  const axes = node.numbers('axes', 1)?.length;
  switch (operator) {
    case 'Range':
      return 1;
    case 'Reshape':
      return node.fixed(1)?.elements?.length;
    case 'Unsqueeze':
      return rank !== undefined && axes !== undefined ? rank + axes : undefined;
    case 'Squeeze':
      return rank !== undefined && axes !== undefined ? rank - axes : undefined;
    case 'Gather': {
      const indices = node.inputs[1]?.rank;
      return rank !== undefined && indices !== undefined ? rank - 1 + indices : undefined;
    }
    case 'Concat':
    case 'DequantizeLinear':
    case 'Slice':
    case 'Transpose':
    case 'Trilu':
      return rank;
    default:
      return undefined;
  }
}
