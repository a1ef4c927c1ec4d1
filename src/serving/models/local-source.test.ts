import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadOptions, scratch } from './load-fixture.ts';
import { directoryDigest, readModel } from './model-digest.ts';
import { openModel } from './open-model.ts';
import { resolveModel } from './resolve-model.ts';
import { DEFAULT_SOURCE_LIMITS } from './source.ts';

const open = (root: string, uri: string) =>
  openModel(uri, { ...loadOptions(root), limits: DEFAULT_SOURCE_LIMITS, delay: async () => {} });

async function claim(root: string): Promise<string> {
  const path = join(root, 'pvc', 'claim');
  await mkdir(path, { recursive: true });
  return path;
}

it.each([
  ['a file', 'model.onnx'],
  ['a directory', 'churn'],
])('%s that is a link out of its claim is AccessDenied', async (_name, name) => {
  await using root = await scratch();
  await mkdir(join(root.path, 'outside'));
  await writeFile(join(root.path, 'outside', 'model.onnx'), 'secret');
  const target = name === 'churn' ? join(root.path, 'outside') : join(root.path, 'outside', 'model.onnx');
  await symlink(target, join(await claim(root.path), name));
  await expect(open(root.path, `pvc://claim/${name}`)).rejects.toMatchObject({ reason: 'AccessDenied' });
});

it('a link inside a directory that leads out of the claim is AccessDenied', async () => {
  await using root = await scratch();
  await mkdir(join(await claim(root.path), 'churn'));
  await symlink('/etc/passwd', join(root.path, 'pvc', 'claim', 'churn', 'weights.bin'));
  await expect(open(root.path, 'pvc://claim/churn')).rejects.toMatchObject({ reason: 'AccessDenied' });
});

it('links within a claim are followed, as downloaded model hubs have them', async () => {
  await using root = await scratch();
  const path = await claim(root.path);
  await mkdir(join(path, 'blobs'));
  await mkdir(join(path, 'snapshot'));
  await writeFile(join(path, 'blobs', 'ab12'), 'weights');
  await symlink('../blobs/ab12', join(path, 'snapshot', 'model.onnx'));
  const { files } = await readModel(await open(root.path, 'pvc://claim/snapshot'), 1e6);
  expect([...files.keys()]).toEqual(['model.onnx']);
});

it('links to directories within a claim are followed, and one to a directory that it is in is refused', async () => {
  await using root = await scratch();
  const path = await claim(root.path);
  await mkdir(join(path, 'shared', 'weights'), { recursive: true });
  await mkdir(join(path, 'churn'));
  await writeFile(join(path, 'shared', 'weights', 'a.bin'), 'weights');
  await symlink('../shared', join(path, 'churn', 'data'));
  const { files } = await readModel(await open(root.path, 'pvc://claim/churn'), 1e6);
  expect([...files.keys()]).toEqual(['data/weights/a.bin']);

  await symlink('../../shared', join(path, 'shared', 'weights', 'again'));
  await expect(open(root.path, 'pvc://claim/churn')).rejects.toMatchObject({
    reason: 'InvalidModel',
    message: expect.stringContaining('data/weights/again is a link to a directory that it is in'),
  });
});

it("a whole claim is a model too: a file system's own lost+found is no part of it", async () => {
  await using root = await scratch();
  const path = await claim(root.path);
  await mkdir(join(path, 'lost+found'), { mode: 0o000 });
  await writeFile(join(path, 'model.onnx'), 'weights');
  const { files } = await readModel(await open(root.path, 'pvc://claim/'), 1e6);
  expect([...files.keys()]).toEqual(['model.onnx']);
});

it('a volume of a ConfigMap is read through its hidden folders', async () => {
  await using root = await scratch();
  await mkdir(join(root.path, 'volume', '..2026_01_01'), { recursive: true });
  await writeFile(join(root.path, 'volume', '..2026_01_01', 'model.onnx'), 'weights');
  await symlink('..2026_01_01', join(root.path, 'volume', '..data'));
  await symlink('..data/model.onnx', join(root.path, 'volume', 'model.onnx'));
  const { files } = await readModel(await open(root.path, `file://${root.path}/volume`), 1e6);
  expect([...files.keys()]).toEqual(['model.onnx']);
});

it('a name with spaces and percent signs is written percent-encoded', async () => {
  await using root = await scratch();
  await writeFile(join(root.path, '50% off.onnx'), 'weights');
  const options = { ...loadOptions(root.path), uri: `file://${root.path}/50%25%20off.onnx` };
  expect((await resolveModel(options)).sizeBytes).toBe(7);
  await expect(resolveModel({ ...options, uri: `file://${root.path}/50% off.onnx` })).rejects.toMatchObject({
    reason: 'InvalidConfiguration',
  });
});

it('an empty directory is ModelNotFound', async () => {
  await using root = await scratch();
  await expect(resolveModel({ ...loadOptions(root.path), uri: `file://${root.path}` })).rejects.toMatchObject({
    reason: 'ModelNotFound',
  });
});

it("a directory's digest does not depend on the order of its files, and does on their names", () => {
  const a = directoryDigest(
    new Map([
      ['b/x', '1'],
      ['a', '2'],
      ['b-', '3'],
    ]),
  );
  const b = directoryDigest(
    new Map([
      ['b-', '3'],
      ['a', '2'],
      ['b/x', '1'],
    ]),
  );
  expect(a).toBe(b);
  expect(
    directoryDigest(
      new Map([
        ['b/y', '1'],
        ['a', '2'],
        ['b-', '3'],
      ]),
    ),
  ).not.toBe(a);
});
