import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pushArtefact, pushManifest, titledLayer } from '../../../e2e/models/push-oci.ts';
import { type OciRegistry, startOciRegistry } from '../../../e2e/services/oci-registry.ts';
import { modelBytes, ociUri, pushTo, scratch, sha256, signedIn, writeFiles } from './load-fixture.ts';
import { directoryDigest } from './model-digest.ts';
import { resolveModel } from './resolve-model.ts';

let registry: OciRegistry;

/** A first run on a machine builds the registry. */
const WITH_BUILD_MS = 900_000;

beforeAll(async () => {
  registry = await startOciRegistry({ authenticated: true });
}, WITH_BUILD_MS);

afterAll(() => registry?.stop());

describe('ways to lay a model out in a registry', () => {
  const tarOf = (directory: string) => execFileSync('tar', ['-C', directory, '-cf', '-', '.'], { maxBuffer: 1 << 26 });
  const TAR = 'application/vnd.oci.image.layer.v1.tar';
  const load = (root: string, repository: string, uri = ociUri(repository)) =>
    resolveModel({ ...signedIn(root, registry), uri, endpoint: registry.url });
  const IMAGE = 'application/vnd.oci.image.config.v1+json';

  /** As zstd:chunked lays a tar out: in frames of its own, here cut after 1000 bytes, and others that hold no content. */
  const inFrames = (tar: Buffer): Buffer => {
    const skippable = Buffer.from('502a4d1804000000abcdef00', 'hex');
    const frames = [tar.subarray(0, 1000), tar.subarray(1000)].map((part) => zstdCompressSync(part));
    return Buffer.concat([skippable, ...frames.flatMap((frame) => [frame, skippable])]);
  };
  it.each([
    ['a tar', TAR, (tar: Buffer) => tar, 'files', undefined],
    ['a gzipped tar', `${TAR}+gzip`, gzipSync, 'files', undefined],
    ['a zstd tar', `${TAR}+zstd`, zstdCompressSync, 'files', undefined],
    ['a zstd tar of several frames', `${TAR}+zstd`, inFrames, 'files', undefined],
    ['an image that carries it under /models', `${TAR}+gzip`, gzipSync, 'image', IMAGE],
  ] as const)(
    '%s has the digest of the directory it holds',
    async (name, mediaType, compress, folder, configMediaType) => {
      await using root = await scratch();
      const files = { 'model.onnx': await modelBytes('digits.onnx'), 'a/deep/card.md': Buffer.from('x'.repeat(1000)) };
      await writeFiles(join(root.path, 'files'), files);
      await writeFiles(join(root.path, 'image', 'models'), files);
      await writeFiles(join(root.path, 'image', 'etc'), { passwd: Buffer.from('root') });
      const repository = `layout/${createHash('md5').update(name).digest('hex')}`;
      const layer = { mediaType, content: compress(tarOf(join(root.path, folder))) };
      await pushArtefact({ ...pushTo(registry, repository), ...(configMediaType ? { configMediaType } : {}) }, [layer]);
      const wanted = directoryDigest(new Map(Object.entries(files).map(([path, bytes]) => [path, sha256(bytes)])));
      expect((await load(root.path, repository)).sha256).toBe(wanted);
    },
  );

  it('an image built on a base holds the files of /models only, as its upper layers leave them', async () => {
    await using root = await scratch();
    const content = await modelBytes('digits.onnx');
    const base = await writeFiles(join(root.path, 'base'), { 'bin/busybox': Buffer.from('elf') });
    execFileSync('ln', [join(base, 'bin/busybox'), join(base, 'bin/cat')]);
    execFileSync('ln', ['-s', '/bin/busybox', join(base, 'bin/sh')]);
    const old = await writeFiles(join(root.path, 'old'), {
      'models/model.onnx': Buffer.from('old'),
      'models/notes.md': Buffer.from('old'),
    });
    const upper = await writeFiles(join(root.path, 'upper'), {
      'models/model.onnx': content,
      'models/.wh.notes.md': Buffer.from(''),
    });
    const layers = [base, old, upper].map((folder) => ({ mediaType: `${TAR}+gzip`, content: gzipSync(tarOf(folder)) }));
    await pushArtefact({ ...pushTo(registry, 'based'), configMediaType: IMAGE }, layers);
    const wanted = directoryDigest(new Map([['model.onnx', sha256(content)]]));
    expect((await load(root.path, 'based')).sha256).toBe(wanted);
  });

  it('an image with a link for its model is refused', async () => {
    await using root = await scratch();
    const folder = await writeFiles(join(root.path, 'image'), { 'models/real.onnx': Buffer.from('x') });
    execFileSync('ln', ['-s', 'real.onnx', join(folder, 'models/model.onnx')]);
    await pushArtefact({ ...pushTo(registry, 'linked-image'), configMediaType: IMAGE }, [
      { mediaType: TAR, content: tarOf(folder) },
    ]);
    await expect(load(root.path, 'linked-image')).rejects.toMatchObject({ reason: 'InvalidModel' });
  });

  it('an index leads to the manifest for this machine', async () => {
    await using root = await scratch();
    const content = await modelBytes('digits.onnx');
    const digest = await pushArtefact(pushTo(registry, 'indexed'), [titledLayer('digits.onnx', content)]);
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
    const manifestType = 'application/vnd.oci.image.manifest.v1+json';
    const size = (
      await fetch(`${registry.url}/v2/indexed/manifests/${digest}`, {
        headers: {
          authorization: `Basic ${Buffer.from(`${registry.credentials.username}:${registry.credentials.password}`).toString('base64')}`,
          accept: manifestType,
        },
      }).then((answer) => answer.arrayBuffer())
    ).byteLength;
    const entry = (arch: string) => ({
      mediaType: manifestType,
      digest,
      size,
      platform: { os: 'linux', architecture: arch },
    });
    await pushManifest(pushTo(registry, 'indexed'), 'v2', {
      schemaVersion: 2,
      mediaType,
      manifests: [entry('riscv64'), entry(architecture)],
    } as never);
    expect((await load(root.path, 'indexed', 'oci://registry.test/indexed:v2')).sha256).toBe(sha256(content));
    const byDigest = `oci://registry.test/indexed@${digest}`;
    expect((await load(root.path, 'indexed', byDigest)).sha256).toBe(sha256(content));
  });

  it('a layer that leads out of the model is refused', async () => {
    await using root = await scratch();
    await pushArtefact(pushTo(registry, 'escape'), [
      titledLayer('model.onnx', Buffer.from('x')),
      titledLayer('../../etc/passwd', Buffer.from('y')),
    ]);
    await expect(load(root.path, 'escape')).rejects.toMatchObject({ reason: 'InvalidModel' });
  });

  it('a tar of zstd that is cut is refused, also between two frames', async () => {
    await using root = await scratch();
    await writeFiles(join(root.path, 'files'), { 'model.onnx': Buffer.from('x') });
    const tar = tarOf(join(root.path, 'files'));
    // Of the directory's own header and that of the file with its content.
    for (const content of [zstdCompressSync(tar).subarray(0, -1), zstdCompressSync(tar.subarray(0, 1536))]) {
      await pushArtefact(pushTo(registry, 'cut'), [{ mediaType: `${TAR}+zstd`, content }]);
      await expect(load(root.path, 'cut')).rejects.toMatchObject({ reason: 'InvalidModel' });
    }
  });

  it('a tar with a link is refused', async () => {
    await using root = await scratch();
    await writeFiles(join(root.path, 'files'), { 'model.onnx': Buffer.from('x') });
    execFileSync('ln', ['-s', '/etc/passwd', join(root.path, 'files', 'weights.bin')]);
    await pushArtefact(pushTo(registry, 'linked'), [{ mediaType: TAR, content: tarOf(join(root.path, 'files')) }]);
    await expect(load(root.path, 'linked')).rejects.toMatchObject({ reason: 'InvalidModel' });
  });
});
