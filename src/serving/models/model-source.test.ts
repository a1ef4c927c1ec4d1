import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { createServer, request as forward, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { pushArtefact, pushManifest, titledLayer } from '../../../e2e/models/push-oci.ts';
import { type OciRegistry, startOciRegistry } from '../../../e2e/services/oci-registry.ts';
import { type S3Server, startS3Server } from '../../../e2e/services/s3-server.ts';
import { loadOptions, modelBytes, scratch, silent } from './load-fixture.ts';
import { loadModel } from './load-model.ts';
import { directoryDigest } from './model-digest.ts';
import { resolveModel } from './resolve-model.ts';

type Files = Readonly<Record<string, Uint8Array>>;

/** One kind of source, and how to put models where it finds them. */
interface Kind {
  readonly scheme: string;
  readonly endpoint?: () => string;
  /** Publishes one file and returns its URI. */
  publishFile(root: string, name: string, content: Uint8Array): Promise<string>;
  /** Publishes a directory; absent where the source knows files only. */
  publishDirectory?(root: string, name: string, files: Files): Promise<string>;
  missing(root: string): string;
}

let s3: S3Server;
let registry: OciRegistry;
const hosted = new Map<string, Uint8Array>();
const host = createServer((request, response) => {
  const content = hosted.get(request.url ?? '');
  response.writeHead(content === undefined ? 404 : 200).end(content);
});
const hostUrl = () => `http://127.0.0.1:${(host.address() as AddressInfo).port}`;

/** A first run on a machine builds the S3 server and the registry. */
const WITH_BUILD_MS = 900_000;

beforeAll(async () => {
  [s3, registry] = await Promise.all([
    startS3Server({ buckets: ['models'] }),
    startOciRegistry({ authenticated: true }),
  ]);
  await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
  vi.stubEnv('AWS_ACCESS_KEY_ID', s3.credentials.accessKeyId);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', s3.credentials.secretAccessKey);
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
}, WITH_BUILD_MS);

afterAll(async () => {
  vi.unstubAllEnvs();
  host.close();
  await Promise.all([s3?.stop(), registry?.stop()]);
});

async function writeFiles(directory: string, files: Files): Promise<string> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  }
  return directory;
}

async function putObjects(prefix: string, files: Files): Promise<void> {
  const client = new S3Client({
    endpoint: s3.url,
    region: s3.region,
    credentials: s3.credentials,
    forcePathStyle: true,
  });
  for (const [path, Body] of Object.entries(files)) {
    await client.send(new PutObjectCommand({ Bucket: 'models', Key: `${prefix}${path}`, Body }));
  }
  client.destroy();
}

const push = (repository: string) => ({
  registry: registry.url,
  repository,
  tag: 'v1',
  credentials: registry.credentials,
});
const ociUri = (repository: string) => `oci://registry.test/${repository}:v1`;

const kinds: readonly Kind[] = [
  {
    scheme: 'file',
    publishFile: async (root, name, content) =>
      `file://${await writeFiles(join(root, 'files'), { [name]: content })}/${name}`,
    publishDirectory: async (root, name, files) => `file://${await writeFiles(join(root, 'files', name), files)}`,
    missing: (root) => `file://${root}/nowhere.onnx`,
  },
  {
    scheme: 'pvc',
    async publishFile(root, name, content) {
      await writeFiles(join(root, 'pvc', 'claim'), { [name]: content });
      return `pvc://claim/${name}`;
    },
    async publishDirectory(root, name, files) {
      await writeFiles(join(root, 'pvc', 'claim', name), files);
      return `pvc://claim/${name}/`;
    },
    missing: () => 'pvc://claim/nowhere.onnx',
  },
  {
    scheme: 'http',
    async publishFile(_root, name, content) {
      hosted.set(`/${name}`, content);
      return `${hostUrl()}/${name}`;
    },
    missing: () => `${hostUrl()}/nowhere.onnx`,
  },
  {
    scheme: 's3',
    endpoint: () => s3.url,
    async publishFile(_root, name, content) {
      await putObjects('single/', { [name]: content });
      return `s3://models/single/${name}`;
    },
    async publishDirectory(_root, name, files) {
      await putObjects(`${name}/`, files);
      return `s3://models/${name}/`;
    },
    missing: () => 's3://models/nowhere/',
  },
  {
    scheme: 'oci',
    endpoint: () => registry.url,
    async publishFile(_root, name, content) {
      const repository = `single/${name.replace(/\W/g, '-')}`;
      await pushArtefact(push(repository), [titledLayer(name, content)]);
      return ociUri(repository);
    },
    async publishDirectory(_root, name, files) {
      const layers = Object.entries(files).map(([path, content]) => titledLayer(path, content));
      await pushArtefact(push(name), layers);
      return ociUri(name);
    },
    missing: () => ociUri('nowhere'),
  },
];

const sha256 = (content: Uint8Array) => createHash('sha256').update(content).digest('hex');

/** A proxy to a real store that drops the first large answer after a megabyte. */
async function startDroppingProxy(store: string) {
  const ranges: string[] = [];
  let hasDropped = false;
  const proxy: Server = createServer((request, response) => {
    if (request.headers.range !== undefined) ranges.push(request.headers.range);
    const { method, headers, url = '/' } = request;
    const onward = forward(new URL(url, store), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      let leftBytes = hasDropped ? Number.POSITIVE_INFINITY : 1 << 20;
      answer.on('data', (chunk: Buffer) => {
        leftBytes -= chunk.byteLength;
        response.write(chunk, () => {
          if (leftBytes > 0) return;
          hasDropped = true;
          response.destroy();
        });
      });
      answer.on('end', () => leftBytes > 0 && response.end());
    });
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    ranges,
    async [Symbol.asyncDispose]() {
      proxy.closeAllConnections();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}

const optionsOf = (root: string) =>
  loadOptions(root, {
    credentials: { registryUsername: registry.credentials.username, registryPassword: registry.credentials.password },
  });
const endpointOf = ({ endpoint }: Kind) => (endpoint === undefined ? {} : { endpoint: endpoint() });

describe.each(kinds)('a model by $scheme://', (kind) => {
  const row = { name: 'x', datatype: 'FP32', shape: [1, 30], data: new Float32Array(30) } as const;

  it('that is one file answers, and has the digest of its bytes', async () => {
    await using root = await scratch();
    const content = await modelBytes('breast-cancer-v2.onnx');
    const uri = await kind.publishFile(root.path, 'churn.onnx', content);
    const model = { name: 'm', uri, sha256: sha256(content), ...endpointOf(kind) };
    const loaded = await loadModel(model, optionsOf(root.path));
    expect(loaded).toMatchObject({ sha256: sha256(content), sizeBytes: content.byteLength });
    expect(await loaded.session.run([row], ['label'])).toMatchObject([{ name: 'label', shape: [1] }]);
    await loaded.session.close();
  });

  it('that does not exist is ModelNotFound', async () => {
    await using root = await scratch();
    await mkdir(join(root.path, 'pvc', 'claim'), { recursive: true });
    const model = { name: 'm', uri: kind.missing(root.path), ...endpointOf(kind) };
    await expect(loadModel(model, optionsOf(root.path))).rejects.toMatchObject({ reason: 'ModelNotFound' });
  });

  it('with another digest than wanted is refused, and nothing of it is kept', async () => {
    await using root = await scratch();
    const uri = await kind.publishFile(root.path, 'other.onnx', await modelBytes('digits.onnx'));
    const model = { name: 'm', uri, sha256: 'a'.repeat(64), ...endpointOf(kind) };
    await expect(loadModel(model, optionsOf(root.path))).rejects.toMatchObject({ reason: 'DigestMismatch' });
    expect(await readdir(join(root.path, 'models')).catch(() => [])).toEqual([]);
  });

  it('resolves to the digest and size it is loaded with', async () => {
    await using root = await scratch();
    const content = await modelBytes('digits.onnx');
    const uri = await kind.publishFile(root.path, 'digits.onnx', content);
    const resolved = await resolveModel({ ...optionsOf(root.path), uri, ...endpointOf(kind) });
    expect(resolved).toEqual({ sha256: sha256(content), sizeBytes: content.byteLength });
  });
});

describe.each(kinds.flatMap((kind) => (kind.publishDirectory ? [{ ...kind, publish: kind.publishDirectory }] : [])))(
  'a directory by $scheme://',
  (kind) => {
    it('has one digest whatever its source, and hidden files are no part of it', async () => {
      await using root = await scratch();
      const graph = await modelBytes('tiny/external-weights/model.onnx');
      const weights = await modelBytes('tiny/external-weights/weights.bin');
      const files = { 'model.onnx': graph, 'weights.bin': weights, 'notes/card.md': Buffer.from('# Churn') };
      const published = { ...files, '.git/config': Buffer.from('x'), 'notes/.DS_Store': Buffer.from('y') };
      const uri = await kind.publish(root.path, 'tree', published);
      const wanted = directoryDigest(new Map(Object.entries(files).map(([path, bytes]) => [path, sha256(bytes)])));
      const served = { name: 'm', uri, sha256: wanted, ...endpointOf(kind) };
      const loaded = await loadModel(served, optionsOf(root.path));
      expect(loaded.sha256).toBe(wanted);
      const x = { name: 'x', datatype: 'FP32', shape: [1, 3], data: new Float32Array([1, 1, 1]) } as const;
      expect(await loaded.session.run([x], ['y'])).toMatchObject([{ data: new Float32Array([6, 9]) }]);
      await loaded.session.close();
    });

    it('without model.onnx is InvalidModel, and the message says what is there', async () => {
      await using root = await scratch();
      const files = { 'net.onnx': await modelBytes('digits.onnx'), 'card.md': Buffer.from('x') };
      const uri = await kind.publish(root.path, 'odd', files);
      const failed = loadModel({ name: 'm', uri, ...endpointOf(kind) }, optionsOf(root.path));
      await expect(failed).rejects.toMatchObject({
        reason: 'InvalidModel',
        message: expect.stringContaining('net.onnx'),
      });
    });
  },
);

describe.each(kinds.flatMap((kind) => (kind.endpoint ? [{ ...kind, store: kind.endpoint }] : [])))(
  'a store behind $scheme://',
  (kind) => {
    it('that drops a connection half-way is asked for the rest', async () => {
      await using root = await scratch();
      const content = Buffer.alloc(3 << 20, 'weights');
      const uri = await kind.publishFile(root.path, 'large.onnx', content);
      await using proxy = await startDroppingProxy(kind.store());
      const options = optionsOf(root.path);
      const resolved = await resolveModel({ ...options, uri, endpoint: proxy.url });
      expect(resolved).toEqual({ sha256: sha256(content), sizeBytes: content.byteLength });
      expect(options.waits).toEqual([500]);
      expect(proxy.ranges).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
    });

    it('that is down is SourceUnreachable, after growing waits', async () => {
      await using root = await scratch();
      const options = optionsOf(root.path);
      const uri = kind.missing(root.path);
      const failed = resolveModel({ ...options, uri, endpoint: 'http://127.0.0.1:1' });
      await expect(failed).rejects.toMatchObject({ reason: 'SourceUnreachable' });
      expect(options.waits).toEqual([500, 2000, 5000]);
    });
  },
);

describe('credentials', () => {
  it('a registry that refuses them is AccessDenied, and the message shows none', async () => {
    await using root = await scratch();
    const credentials = { registryUsername: 'fairlead', registryPassword: 'wrong-password' };
    const model = { name: 'm', uri: ociUri('single/churn-onnx'), endpoint: registry.url };
    const failed = await loadModel(model, loadOptions(root.path, { credentials })).catch((error: unknown) => error);
    expect(failed).toMatchObject({ reason: 'AccessDenied' });
    expect(String(failed)).not.toContain('wrong-password');
  });

  it('an S3 store that refuses them is AccessDenied', async () => {
    await using root = await scratch();
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'wrong-secret');
    try {
      const model = { name: 'm', uri: 's3://models/single/digits.onnx', endpoint: s3.url };
      const failed = await loadModel(model, loadOptions(root.path)).catch((error: unknown) => error);
      expect(failed).toMatchObject({ reason: 'AccessDenied' });
      expect(String(failed)).not.toContain('wrong-secret');
    } finally {
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', s3.credentials.secretAccessKey);
    }
  });

  it('without any, S3 is asked anonymously, and a refusal says so', async () => {
    await using root = await scratch();
    vi.stubEnv('AWS_ACCESS_KEY_ID', '');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', '');
    vi.stubEnv('AWS_CONFIG_FILE', '/dev/null');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/dev/null');
    try {
      const model = { name: 'm', uri: 's3://models/single/digits.onnx', endpoint: s3.url };
      const failed = loadModel(model, loadOptions(root.path));
      await expect(failed).rejects.toMatchObject({
        reason: 'AccessDenied',
        message: expect.stringContaining('no AWS credentials'),
      });
    } finally {
      vi.stubEnv('AWS_ACCESS_KEY_ID', s3.credentials.accessKeyId);
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', s3.credentials.secretAccessKey);
    }
  });
});

describe('ways to lay a model out in a registry', () => {
  const tarOf = (directory: string) => execFileSync('tar', ['-C', directory, '-cf', '-', '.'], { maxBuffer: 1 << 26 });
  const TAR = 'application/vnd.oci.image.layer.v1.tar';
  const load = (root: string, repository: string, uri = ociUri(repository)) => {
    const credentials = {
      registryUsername: registry.credentials.username,
      registryPassword: registry.credentials.password,
    };
    return resolveModel({ ...loadOptions(root, { credentials }), uri, endpoint: registry.url });
  };
  const IMAGE = 'application/vnd.oci.image.config.v1+json';

  it.each([
    ['a tar', TAR, (tar: Buffer) => tar, 'files', undefined],
    ['a gzipped tar', `${TAR}+gzip`, gzipSync, 'files', undefined],
    ['a zstd tar', `${TAR}+zstd`, zstdCompressSync, 'files', undefined],
    ['an image that carries it under /models', `${TAR}+gzip`, gzipSync, 'image', IMAGE],
  ] as const)(
    '%s has the digest of the directory it holds',
    async (_name, mediaType, compress, folder, configMediaType) => {
      await using root = await scratch();
      const files = { 'model.onnx': await modelBytes('digits.onnx'), 'a/deep/card.md': Buffer.from('x'.repeat(1000)) };
      await writeFiles(join(root.path, 'files'), files);
      await writeFiles(join(root.path, 'image', 'models'), files);
      await writeFiles(join(root.path, 'image', 'etc'), { passwd: Buffer.from('root') });
      const repository = `layout/${createHash('md5')
        .update(mediaType + folder)
        .digest('hex')}`;
      const layer = { mediaType, content: compress(tarOf(join(root.path, folder))) };
      await pushArtefact({ ...push(repository), ...(configMediaType ? { configMediaType } : {}) }, [layer]);
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
    await pushArtefact({ ...push('based'), configMediaType: IMAGE }, layers);
    const wanted = directoryDigest(new Map([['model.onnx', sha256(content)]]));
    expect((await load(root.path, 'based')).sha256).toBe(wanted);
  });

  it('an image with a link for its model is refused', async () => {
    await using root = await scratch();
    const folder = await writeFiles(join(root.path, 'image'), { 'models/real.onnx': Buffer.from('x') });
    execFileSync('ln', ['-s', 'real.onnx', join(folder, 'models/model.onnx')]);
    await pushArtefact({ ...push('linked-image'), configMediaType: IMAGE }, [
      { mediaType: TAR, content: tarOf(folder) },
    ]);
    await expect(load(root.path, 'linked-image')).rejects.toMatchObject({ reason: 'InvalidModel' });
  });

  it('an index leads to the manifest for this machine', async () => {
    await using root = await scratch();
    const content = await modelBytes('digits.onnx');
    const digest = await pushArtefact(push('indexed'), [titledLayer('digits.onnx', content)]);
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
    await pushManifest(push('indexed'), 'v2', {
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
    await pushArtefact(push('escape'), [
      titledLayer('model.onnx', Buffer.from('x')),
      titledLayer('../../etc/passwd', Buffer.from('y')),
    ]);
    await expect(load(root.path, 'escape')).rejects.toMatchObject({ reason: 'InvalidModel' });
  });

  it('a tar with a link is refused', async () => {
    await using root = await scratch();
    await writeFiles(join(root.path, 'files'), { 'model.onnx': Buffer.from('x') });
    execFileSync('ln', ['-s', '/etc/passwd', join(root.path, 'files', 'weights.bin')]);
    await pushArtefact(push('linked'), [{ mediaType: TAR, content: tarOf(join(root.path, 'files')) }]);
    await expect(load(root.path, 'linked')).rejects.toMatchObject({ reason: 'InvalidModel' });
  });
});

it.each([
  ['no scheme', '/models/churn.onnx'],
  ['a scheme of another product', 'gs://models/churn'],
  ['a bucket without a key', 's3://models'],
  ['a claim that climbs', 'pvc://claim/../other/model.onnx'],
  ['a relative file', 'file://models/churn.onnx'],
  ['a registry without a repository', 'oci://registry.test'],
])('a URI with %s is InvalidConfiguration', async (_name, uri) => {
  await using root = await scratch();
  const failed = resolveModel({ ...loadOptions(root.path), logger: silent, uri });
  await expect(failed).rejects.toMatchObject({ reason: 'InvalidConfiguration' });
});
