import { describe, expect, it, test } from 'vitest';
import { stack, unstack } from '../batching/batch-tensors.ts';
import { differsAt } from '../compare-tensors.ts';
import { sampleInputs } from '../sample-inputs.ts';
import { node, onnxModel, type TestModel } from '../testing/onnx-model.ts';
import { modelBytes, modelPath } from './load-fixture.ts';
import { readGraph } from './onnx-graph.ts';
import { OnnxSession } from './onnx-session.ts';
import { rowEvidence } from './row-evidence.ts';

const NO_SIGNATURE = { inputs: [], outputs: [] };
const open = (model: TestModel) => new OnnxSession({ path: '', bytes: onnxModel(model), device: 'cpu', threads: 1 });
const inOut = { inputs: { x: [-1, 4] }, outputs: { y: [-1, 4] } };

it.each([
  ['in order', 'tiny/several-outputs.onnx', ['Constant', 'TopK', 'ReduceMean']],
  ['beside weights', 'digits.onnx', ['Scaler', 'MatMul', 'Softmax', 'ArgMax']],
  ['in branches and functions', 'tiny/quantised-in-branch.onnx', ['If', 'Quantise', 'DynamicQuantizeLinear']],
])('finds operators %s, in a file as in memory', async (_where, name, expected) => {
  const path = modelPath(name);
  const found = readGraph({ path });
  expect([...found.operators]).toEqual(expect.arrayContaining(expected));
  expect(readGraph({ path, bytes: await modelBytes(name) })).toEqual(found);
});

it('reads negative integers and zeros of attributes and stored lists as they are', () => {
  const graph = readGraph({
    path: '',
    bytes: onnxModel({
      ...inOut,
      nodes: [node('Softmax', ['x'], ['y'], { axis: -1, perm: [0, -2] })],
      stored: { a: [-1, 0] },
    }),
  });
  expect(graph.nodes[0]?.integers).toEqual(
    new Map([
      ['axis', [-1]],
      ['perm', [0, -2]],
    ]),
  );
  expect(graph.stored.get('a')).toEqual({ rank: 1, elements: [-1, 0] });
});

it('tells the operator by which rows mix', () => {
  expect(rowEvidence({ path: modelPath('tiny/dynamic-quantised.onnx') }, NO_SIGNATURE)).toMatchObject({
    verdict: 'mixed',
    why: expect.stringMatching(/DynamicQuantizeLinear/),
  });
});

it('takes a model whose operators it cannot read for one whose rows mix', async () => {
  const unreadable = { verdict: 'mixed', why: expect.stringMatching(/cannot be read/) };
  expect(rowEvidence({ path: modelPath('README.md') }, NO_SIGNATURE)).toMatchObject(unreadable);
  const whole = await modelBytes('digits.onnx');
  for (const keptBytes of [1, 100, whole.length - 1]) {
    expect(rowEvidence({ path: '', bytes: whole.subarray(0, keptBytes) }, NO_SIGNATURE)).toMatchObject(unreadable);
  }
});

/** What exporters make of usual models. */
const APART: readonly (readonly [string, TestModel])[] = [
  [
    'a perceptron with a softmax over the classes',
    {
      ...inOut,
      nodes: [
        node('Gemm', ['x', 'w', 'b'], ['h']),
        node('BatchNormalization', ['h', 'b', 'b', 'zeros', 'ones'], ['n']),
        node('Relu', ['n'], ['r']),
        node('MatMul', ['r', 'w'], ['s']),
        node('Softmax', ['s'], ['y'], { axis: -1 }),
      ],
      stored: { w: { shape: [4, 4] }, b: { shape: [4] }, zeros: { shape: [4] }, ones: { shape: [4] } },
    },
  ],
  [
    'images that are pooled and flattened by what is left over',
    {
      inputs: { x: [-1, 3, 8, 8] },
      outputs: { y: [-1, 5] },
      nodes: [
        node('Conv', ['x', 'k'], ['c'], { kernel_shape: [3, 3] }),
        node('MaxPool', ['c'], ['p'], { kernel_shape: [2, 2], strides: [2, 2] }),
        node('Reshape', ['p', 'shape'], ['f']),
        node('MatMul', ['f', 'w'], ['y']),
      ],
      stored: { k: { shape: [2, 3, 3, 3] }, shape: [-1, 18], w: { shape: [18, 5] } },
    },
  ],
  [
    'tokens that attend to each other in heads, reshaped by the shape of the input',
    {
      inputs: { x: { integers: [-1, -1] } },
      outputs: { y: [-1, 4] },
      nodes: [
        node('Gather', ['table', 'x'], ['e']),
        node('Shape', ['x'], ['shape']),
        node('Gather', ['shape', 'first'], ['n']),
        node('Gather', ['shape', 'second'], ['t']),
        node('Concat', ['n', 't', 'heads'], ['split'], { axis: 0 }),
        node('Reshape', ['e', 'split'], ['q0']),
        node('Transpose', ['q0'], ['q'], { perm: [0, 2, 1, 3] }),
        node('Transpose', ['q0'], ['k'], { perm: [0, 2, 3, 1] }),
        node('MatMul', ['q', 'k'], ['scores']),
        node('Softmax', ['scores'], ['weights'], { axis: -1 }),
        node('MatMul', ['weights', 'q'], ['mixed']),
        node('Transpose', ['mixed'], ['back'], { perm: [0, 2, 1, 3] }),
        node('Concat', ['n', 't', 'width'], ['joined'], { axis: 0 }),
        node('Reshape', ['back', 'joined'], ['z']),
        node('LayerNormalization', ['z', 'scale'], ['l'], { axis: -1 }),
        node('ReduceMean', ['l', 'second'], ['y'], { keepdims: 0 }),
      ],
      stored: { table: { shape: [10, 4] }, first: [0], second: [1], heads: [2, 2], width: [4], scale: { shape: [4] } },
    },
  ],
  [
    'a token of its own that is put before every row, as exporters write expand(n, -1, -1)',
    {
      inputs: { x: [-1, 3, 4] },
      outputs: { y: [-1, 4] },
      nodes: [
        node('Shape', ['x'], ['shape']),
        node('Gather', ['shape', 'zero'], ['n']),
        node('Concat', ['n', 'kept'], ['wanted'], { axis: 0 }),
        node('Equal', ['wanted', 'minus'], ['is']),
        node('Where', ['is', 'ones', 'wanted'], ['size']),
        node('Expand', ['token', 'size'], ['tokens']),
        node('Concat', ['tokens', 'x'], ['all'], { axis: 1 }),
        node('Gather', ['all', 'zero'], ['g'], { axis: 1 }),
        node('Squeeze', ['g', 'one'], ['s']),
        node('ReduceSum', ['x', 'one'], ['r'], { keepdims: 0 }),
        node('Add', ['s', 'r'], ['y']),
      ],
      stored: {
        zero: [0],
        one: [1],
        kept: [-1, -1],
        minus: [-1, -1, -1],
        ones: [1, 1, 1],
        token: { shape: [1, 1, 4] },
      },
    },
  ],
  [
    'labels taken from a list, in one row of all',
    {
      inputs: { x: [-1, 4] },
      outputs: { y: { integers: [-1] } },
      nodes: [
        node('ArgMax', ['x'], ['best'], { axis: 1 }),
        node('ArrayFeatureExtractor', ['labels', 'best'], ['found'], {}, 'ai.onnx.ml'),
        node('Reshape', ['found', 'flat'], ['y']),
      ],
      stored: { labels: [3, 5, 7, 9], flat: [-1] },
    },
  ],
];

describe('rows stay apart in', () => {
  test.each(APART)('%s', (_, model) => {
    expect(open(model).rowEvidence).toEqual({ verdict: 'independent' });
  });

  test.each(APART)('%s, as the engine computes it', async (_, model) => {
    const session = open(model);
    const names = session.outputs.map(({ name }) => name);
    const requests = [1, 2, 3].map((seed) => sampleInputs(session.inputs, seed, 2));
    const together = unstack(await session.run(stack(requests), names), [1, 1, 1]);
    for (const [index, request] of requests.entries()) {
      for (const [place, alone] of (await session.run(request, names)).entries()) {
        const beside = together?.[index]?.[place] ?? { ...alone, data: [] };
        expect(differsAt(alone, beside, 1e-5, 1e-5)).toBeUndefined();
      }
    }
  });
});

const w = { w: { shape: [4, 4] } };
test.each<[string, string, Pick<TestModel, 'nodes' | 'stored'> & Partial<TestModel>]>([
  [
    'ReduceMax',
    'a maximum over everything',
    { nodes: [node('ReduceMax', ['x'], ['m'], { keepdims: 1 }), node('Div', ['x', 'm'], ['y'])] },
  ],
  [
    'ReduceSum',
    'a sum over the rows, counted from behind',
    {
      nodes: [node('ReduceSum', ['x', 'axes'], ['m'], { keepdims: 1 }), node('Div', ['x', 'm'], ['y'])],
      stored: { axes: [-2] },
    },
  ],
  ['Softmax', 'a softmax over the rows', { nodes: [node('Softmax', ['x'], ['y'], { axis: 0 })] }],
  ['CumSum', 'a running sum over the rows', { nodes: [node('CumSum', ['x', 'axis'], ['y'])], stored: { axis: [0] } }],
  [
    'MatMul',
    'columns and rows exchanged',
    { nodes: [node('Transpose', ['x'], ['t']), node('MatMul', ['x', 't'], ['y'])] },
  ],
  [
    'Add',
    'rows met with columns',
    {
      nodes: [node('ReduceSum', ['x', 'axes'], ['s'], { keepdims: 0 }), node('Add', ['x', 's'], ['y'])],
      stored: { axes: [1] },
    },
  ],
  [
    'Gather',
    'rows that look rows up',
    { nodes: [node('Gather', ['x', 'i'], ['y'])], inputs: { x: [-1, 4], i: { integers: [-1] } } },
  ],
  [
    'Slice',
    'the first row alone',
    {
      nodes: [node('Slice', ['x', 'from', 'to', 'axis'], ['f']), node('Add', ['x', 'f'], ['y'])],
      stored: { from: [0], to: [1], axis: [0] },
    },
  ],
  [
    'Cast',
    'a share of the number of rows',
    {
      nodes: [
        node('Shape', ['x'], ['s'], { end: 1 }),
        node('Cast', ['s'], ['n'], { to: 1 }),
        node('Div', ['x', 'n'], ['y']),
      ],
    },
  ],
  [
    'Range',
    'a place in the batch',
    {
      nodes: [
        node('Shape', ['x'], ['s'], { end: 1 }),
        node('Squeeze', ['s'], ['n']),
        node('Range', ['zero', 'n', 'one'], ['r']),
        node('Cast', ['r'], ['f'], { to: 1 }),
        node('Unsqueeze', ['f', 'axis'], ['u']),
        node('Add', ['x', 'u'], ['y']),
      ],
      stored: { axis: [1], zero: [0], one: [1] },
    },
  ],
  [
    'Reshape',
    'rows folded into each other',
    {
      nodes: [
        node('Reshape', ['x', 'flat'], ['f']),
        node('Softmax', ['f'], ['s'], { axis: 1 }),
        node('Reshape', ['s', 'back'], ['y']),
      ],
      stored: { flat: [1, -1], back: [-1, 4] },
    },
  ],
  ['TopK', 'an order of the rows', { nodes: [node('TopK', ['x', 'k'], ['y', 'i'], { axis: 0 })], stored: { k: [1] } }],
  [
    'Relu',
    'an operator of a domain that is not known',
    { nodes: [node('Relu', ['x'], ['y'], {}, 'com.microsoft')], stored: w },
  ],
])('%s leaves it open whether rows stay apart: by %s', (operator, _, parts) => {
  const bytes = onnxModel({ ...inOut, ...parts });
  const signature = {
    inputs: Object.keys(parts.inputs ?? inOut.inputs).map((name) => ({
      name,
      datatype: 'FP32' as const,
      shape: name === 'i' ? [-1] : [-1, 4],
    })),
    outputs: [{ name: 'y', datatype: 'FP32' as const, shape: [-1, 4] }],
  };
  expect(rowEvidence({ path: '', bytes }, signature)).toMatchObject({
    verdict: 'unproven',
    why: `operator ${operator} may mix rows`,
  });
});

test('what is left over after folding is proof only where one row always has one shape', () => {
  const nodes = [node('Reshape', ['x', 'shape'], ['y'])];
  const stored = { shape: [-1, 4] };
  expect(open({ nodes, stored, inputs: { x: [-1, 4] }, outputs: { y: [-1, 4] } }).rowEvidence.verdict).toBe(
    'independent',
  );
  expect(open({ nodes, stored, inputs: { x: [-1, -1] }, outputs: { y: [-1, 4] } }).rowEvidence.verdict).toBe(
    'unproven',
  );
});

test('integers are taken for measures only where no operator takes them for indices or divides by them', () => {
  const reduced = (last: ReturnType<typeof node>) => ({
    nodes: [node('ReduceMax', ['x'], ['m'], { keepdims: 1 }), last],
    inputs: { x: { integers: [-1, 4] } },
    outputs: { y: { integers: [-1, 4] } },
    stored: { table: [1, 2, 3] },
  });
  expect(open(reduced(node('Sub', ['x', 'm'], ['y']))).rowEvidence).toMatchObject({ takesMeasures: true });
  expect(open(reduced(node('Div', ['x', 'm'], ['y']))).rowEvidence).toMatchObject({ takesMeasures: false });
  expect(
    open({
      ...reduced(node('Gather', ['table', 'x'], ['g'])),
      nodes: [...reduced(node('Gather', ['table', 'x'], ['g'])).nodes, node('Add', ['g', 'm'], ['y'])],
    }).rowEvidence,
  ).toMatchObject({ takesMeasures: false });
});
