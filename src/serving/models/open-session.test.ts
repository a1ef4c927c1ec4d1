import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import type { SessionLike } from '../session.ts';
import type { Tensor } from '../tensor.ts';
import { AdaptiveSession } from './adaptive-session.ts';
import { loadOptions, modelPath, scratch } from './load-fixture.ts';
import { loadModel } from './load-model.ts';

const opened: SessionLike[] = [];
afterEach(async () => {
  for (const session of opened.splice(0)) await session.close();
});

/** So many rows keep the engine busy for far longer than an adaptive session allows. */
const LONG_ROWS = 500;
const x: Tensor = {
  name: 'x',
  datatype: 'FP32',
  shape: [LONG_ROWS, 30],
  data: new Float32Array(LONG_ROWS * 30).fill(1),
};

it('a model that is replaced where it lies stays in its thread, since another reading would not be what was hashed', async () => {
  await using root = await scratch();
  await mkdir(join(root.path, 'wide'));
  const path = join(root.path, 'wide', 'model.onnx');
  await copyFile(modelPath('tiny/wide-mlp.onnx'), path);
  const { session } = await loadModel({ name: 'm', uri: `file://${join(root.path, 'wide')}` }, loadOptions(root.path));
  opened.push(session);
  expect(session).toBeInstanceOf(AdaptiveSession);
  const before = await session.run([x], ['y']);
  await copyFile(modelPath('breast-cancer-v2.onnx'), path);
  for (let run = 0; run < 10; run++) {
    expect(await session.run([x], ['y'])).toEqual(before);
    await (session as AdaptiveSession).settled;
  }
  expect(session.outputs.map(({ name }) => name)).toEqual(['y']);
});
