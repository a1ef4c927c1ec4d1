import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect, it, onTestFinished } from 'vitest';
import { nodesByProvider, startGpuProfile } from './gpu-profile.ts';
import { modelPath } from './load-fixture.ts';
import { OnnxSession } from './onnx-session.ts';

it("the engine's own profile tells which provider ran a model's nodes", async () => {
  const directory = mkdtempSync(join(tmpdir(), 'fairlead-profile-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const settings = { enableProfiling: true, profileFilePrefix: join(directory, 'run') };
  const session = await InferenceSession.create(modelPath('digits.onnx'), settings);
  await session.run({ x: new Tensor('float32', new Float32Array(64), [1, 64]) });
  session.endProfiling();
  const nodes = nodesByProvider(readdirSync(directory).map((name) => readFileSync(join(directory, name), 'utf8')));
  expect(nodes.get('CPUExecutionProvider')).toBeGreaterThan(3);
});

it('a run that no GPU took part in is ProviderUnavailable', () => {
  const profile = startGpuProfile();
  expect(() => profile.confirm()).toThrow(expect.objectContaining({ reason: 'ProviderUnavailable' }));
});

it('a GPU that is asked for where its provider does not load is ProviderUnavailable', () => {
  const open = () => new OnnxSession({ path: modelPath('digits.onnx'), device: 'gpu', threads: 1 });
  expect(open).toThrow(expect.objectContaining({ reason: 'ProviderUnavailable' }));
});
