import { mkdir, readdir } from 'node:fs/promises';
import { createServer, request as forward, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { pushArtefact, titledLayer } from '../../../e2e/models/push-oci.ts';
import { type OciRegistry, startOciRegistry } from '../../../e2e/services/oci-registry.ts';
import { type S3Server, startS3Server } from '../../../e2e/services/s3-server.ts';
import {
  type Files,
  loadOptions,
  modelBytes,
  ociUri,
  pushTo,
  scratch,
  sha256,
  signedIn,
  silent,
  writeFiles,
} from './load-fixture.ts';
import { loadModel } from './load-model.ts';
import { directoryDigest } from './model-digest.ts';
import { resolveModel } from './resolve-model.ts';

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
      await pushArtefact(pushTo(registry, repository), [titledLayer(name, content)]);
      return ociUri(repository);
    },
    async publishDirectory(_root, name, files) {
      const layers = Object.entries(files).map(([path, content]) => titledLayer(path, content));
      await pushArtefact(pushTo(registry, name), layers);
      return ociUri(name);
    },
    missing: () => ociUri('nowhere'),
  },
];

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

const optionsOf = (root: string) => signedIn(root, registry);
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
