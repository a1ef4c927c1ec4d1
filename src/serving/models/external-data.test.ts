import { join } from 'node:path';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { node, onnxModel } from '../testing/onnx-model.ts';
import { expectHashedWeights } from './external-data.ts';
import { loadOptions, scratch, writeFiles } from './load-fixture.ts';
import { loadModel } from './load-model.ts';

/** y = x + w, with `w` in the file `location`, and `padFloats` more weights in the graph itself. */
function addModel(location: string, padFloats = 1): Uint8Array {
  return onnxModel({
    nodes: [node('Add', ['x', 'w'], ['a']), node('ReduceMax', ['pad'], ['max']), node('Add', ['a', 'max'], ['y'])],
    inputs: { x: [-1] },
    outputs: { y: [-1] },
    stored: { w: { shape: [1], location }, pad: { shape: [padFloats] } },
  });
}

const weights = Buffer.from(Float32Array.of(1).buffer);

describe('a model whose weights lie in files of their own', () => {
  const load = (root: string, path: string) => loadModel({ name: 'm', uri: `pvc://claim/${path}` }, loadOptions(root));
  const claim = (root: string) => join(root, 'pvc', 'claim');

  it.each([
    ['above 8 MiB, that the engine reads in place', 2_200_000],
    ['of few bytes, that are loaded from memory', 1],
  ])('is refused when it is named as one file %s: what lies beside that is not hashed', async (_, padFloats) => {
    await using root = await scratch();
    await writeFiles(claim(root.path), { 'm.onnx': addModel('m.data', padFloats), 'm.data': weights });
    await expect(load(root.path, 'm.onnx')).rejects.toMatchObject({
      reason: 'InvalidModel',
      message: expect.stringMatching(/"m\.data".*name the directory/),
    });
  });

  it('is refused when one of them is hidden, and so no part of the digest', async () => {
    await using root = await scratch();
    const files = { 'dir/model.onnx': addModel('.hidden/w'), 'dir/.hidden/w': weights };
    await writeFiles(claim(root.path), files);
    await expect(load(root.path, 'dir')).rejects.toMatchObject({ reason: 'InvalidModel' });
  });

  it.each(['w', './w', './/w', 'sub/w', 'sub//./w'])(
    'loads as a directory that holds them, as at %s',
    async (location) => {
      await using root = await scratch();
      await writeFiles(claim(root.path), { 'dir/model.onnx': addModel(location), [join('dir', location)]: weights });
      const { session } = await load(root.path, 'dir');
      await session.close();
    },
  );
});

type Part = readonly [field: number, content: Part[] | string | number];

/** A protobuf message of parts: messages, texts and numbers. */
function message(parts: readonly Part[]): Uint8Array {
  const writer = protobuf.Writer.create();
  for (const [field, content] of parts) {
    if (typeof content === 'number') writer.uint32(field << 3).int32(content);
    else if (typeof content === 'string') writer.uint32((field << 3) | 2).string(content);
    else writer.uint32((field << 3) | 2).bytes(message(content));
  }
  return writer.finish();
}

const tensor: Part[] = [
  [
    13,
    [
      [1, 'offset'],
      [2, '0'],
    ],
  ],
  [
    13,
    [
      [1, 'location'],
      [2, 'w'],
    ],
  ],
  [14, 1],
];
/** A model that holds the tensor inside of messages, each in such a field of the one around it. */
const at = (fields: readonly number[]) =>
  message(fields.reduceRight<Part[]>((inner, field) => [[field, inner]], tensor));

it.each([
  ['an initializer', [7, 5]],
  ['a sparse initializer', [7, 15, 1]],
  ['the indices of one', [7, 15, 2]],
  ['an attribute', [7, 1, 5, 5]],
  ['an attribute that is a list', [7, 1, 5, 10]],
  ['a sparse attribute', [7, 1, 5, 22, 1]],
  ['sparse attributes', [7, 1, 5, 23, 1]],
  ['a branch', [7, 1, 5, 6, 5]],
  ['a branch of one of several graphs', [7, 1, 5, 11, 1, 5, 6, 5]],
  ['a function', [25, 7, 5, 5]],
  ['the default of a function', [25, 11, 5]],
])('weights of %s are found', (_, fields) => {
  const model = { path: '/none', bytes: at(fields) };
  expect(() => expectHashedWeights('m', model, new Set(['model.onnx']))).toThrow(/"w"/);
  expect(() => expectHashedWeights('m', model, new Set(['model.onnx', 'w']))).not.toThrow();
});

it.each<[string, Uint8Array]>([
  [
    'a tensor that says where it lay and holds its values now',
    message([[7, [[5, tensor.filter(([field]) => field !== 14)]]]]),
  ],
  ['what is no protobuf', Buffer.from('ORTM, or another format of an engine')],
])('%s names no file', (_, bytes) => {
  expect(() => expectHashedWeights('m', { path: '/none', bytes }, new Set())).not.toThrow();
});
