import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { modelPath, scratch } from './models/load-fixture.ts';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));

function fairlead(...args: string[]) {
  return spawnSync(process.execPath, [main, 'resolve', ...args], { encoding: 'utf8', timeout: 120_000 });
}

it("prints a model's digest and size, and writes them where the kubelet reads", async () => {
  await using root = await scratch();
  const log = join(root.path, 'termination-log');
  const ended = fairlead('--uri', `file://${modelPath('digits.onnx')}`, '--termination-log', log);
  const { models } = JSON.parse(readFileSync(modelPath('manifest.json'), 'utf8'));
  expect(ended.status).toBe(0);
  expect(JSON.parse(ended.stdout)).toEqual({ sha256: models.digits.sha256, sizeBytes: models.digits.sizeBytes });
  expect(readFileSync(log, 'utf8')).toBe(ended.stdout);
}, 150_000);

it('ends with 1 and a reason when there is no such model', async () => {
  await using root = await scratch();
  const log = join(root.path, 'termination-log');
  const ended = fairlead('--uri', 'pvc://claim/churn', '--pvc-root', root.path, '--termination-log', log);
  expect(ended.status).toBe(1);
  expect(JSON.parse(readFileSync(log, 'utf8'))).toEqual({
    reason: 'ModelNotFound',
    message: expect.stringContaining('claim'),
  });
}, 150_000);
