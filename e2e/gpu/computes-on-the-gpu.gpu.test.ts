import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/serving/models/load-model.ts';
import type { SessionLike } from '../../src/serving/session.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

/** Needs an NVIDIA GPU, its driver, and the CUDA libraries of the `-cuda` image. */
describe('a model that asks for a GPU', () => {
  let modelRoot: string;
  let session: SessionLike;

  beforeAll(async () => {
    modelRoot = await mkdtemp(join(tmpdir(), 'fairlead-gpu-'));
    const uri = new URL('../models/digits.onnx', import.meta.url).href;
    const loaded = await loadModel(
      { name: 'digits', uri },
      {
        modelRoot,
        pvcRoot: modelRoot,
        device: 'gpu',
        credentials: {},
        logger: createLogger('warn'),
        signal: new AbortController().signal,
      },
    );
    session = loaded.session;
  });

  afterAll(async () => {
    await session?.close();
    await rm(modelRoot, { recursive: true, force: true });
  });

  it('is computed by the CUDA provider, as the profile of its first run shows, and not by the CPU', async () => {
    expect(session.provider).toBe('cuda');
    const input = { name: 'x', datatype: 'FP32', shape: [1, 64], data: new Float32Array(64).fill(1) } as const;
    await expect(session.run([input], ['label'])).resolves.toHaveLength(1);
  });
});
