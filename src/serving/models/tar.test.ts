import { execFileSync } from 'node:child_process';
import { link, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { scratch } from './load-fixture.ts';
import { tarEntries } from './tar.ts';

async function read(tar: Uint8Array, pieceBytes: number): Promise<Record<string, string>> {
  async function* pieces() {
    for (let at = 0; at < tar.length; at += pieceBytes) yield tar.subarray(at, at + pieceBytes);
  }
  const files: Record<string, string> = {};
  for await (const { path, kind, content } of tarEntries(pieces(), 'archive')) {
    if (kind !== 'file') continue;
    const chunks = [];
    for await (const chunk of content) chunks.push(chunk);
    files[path] = Buffer.concat(chunks).toString();
  }
  return files;
}

const files = {
  'model.onnx': 'x'.repeat(1500),
  empty: '',
  [`${'deep/'.repeat(40)}weights.bin`]: 'w'.repeat(512),
  'grüße.md': 'hi',
};

async function tarOf(format: string): Promise<Buffer> {
  await using root = await scratch();
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root.path, path)), { recursive: true });
    await writeFile(join(root.path, path), content);
  }
  return execFileSync('tar', ['-C', root.path, `--format=${format}`, '-cf', '-', '.']);
}

it.each(['ustar', 'pax', 'gnu'])('reads what tar writes as %s, in pieces of any size', async (format) => {
  const tar = await tarOf(format);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 5000 }), async (pieceBytes) => {
      expect(await read(tar, pieceBytes)).toEqual(files);
    }),
    { numRuns: 15 },
  );
});

it('tells links and directories, and reads on past targets too long for a header', async () => {
  await using root = await scratch();
  await mkdir(join(root.path, 'bin'));
  await writeFile(join(root.path, 'bin', 'busybox'), 'elf');
  await link(join(root.path, 'bin', 'busybox'), join(root.path, 'bin', 'cat'));
  await symlink(`/${'deep/'.repeat(40)}target`, join(root.path, 'bin', 'far'));
  const tar = execFileSync('tar', ['-C', root.path, '--format=gnu', '--sort=name', '-cf', '-', 'bin']);
  const found: string[] = [];
  async function* whole() {
    yield tar;
  }
  for await (const { path, kind, sizeBytes } of tarEntries(whole(), 'archive'))
    found.push(`${kind} ${path} ${sizeBytes}`);
  expect(found).toEqual(['directory bin 0', 'file bin/busybox 3', 'link bin/cat 0', 'link bin/far 0']);
});

it('an archive that is cut or damaged is InvalidModel', async () => {
  const tar = await tarOf('ustar');
  await expect(read(tar.subarray(0, 2000), 512)).rejects.toMatchObject({ reason: 'InvalidModel' });
  await expect(read(Buffer.from('not a tar'.repeat(100)), 512)).rejects.toMatchObject({ reason: 'InvalidModel' });
});

it('an archive that is cut between two of its files is InvalidModel: it lacks the block that ends it', async () => {
  const tar = await tarOf('ustar');
  // The first entry is the directory itself, of a header alone.
  await expect(read(tar.subarray(0, 512), 512)).rejects.toMatchObject({ reason: 'InvalidModel' });
  await expect(read(Buffer.alloc(0), 512)).rejects.toMatchObject({ reason: 'InvalidModel' });
});
