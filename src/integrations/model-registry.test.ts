import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type MlflowServer, startMlflowServer } from '../../e2e/services/mlflow-server.ts';
import { type ModelRegistry, parseModelsUri, type RegistryReference } from '../api/registry-answers.ts';
import {
  type RegistryModel,
  type RegistryVersion,
  resolveSource,
} from '../controllers/modeldeployment/model-source.ts';
import { loadOptions, scratch } from '../serving/models/load-fixture.ts';
import { loadModel } from '../serving/models/load-model.ts';
import { resolveModel } from '../serving/models/resolve-model.ts';
import { MlflowRegistry } from './mlflow.ts';

/** What every registry has to do, whatever keeps it. The MLflow server is a real one. */

interface Kept {
  readonly registry: () => ModelRegistry;
  setAlias(alias: string, version: string): Promise<void>;
  removeAlias(alias: string): Promise<void>;
  removeVersion(version: string): Promise<void>;
}

const models = (file: string) => fileURLToPath(new URL(`../../e2e/models/${file}`, import.meta.url));
/** A first run on a machine installs MLflow. */
const WITH_INSTALL_MS = 900_000;
let mlflow: MlflowServer;

const ask = (endpoint: string, more: Partial<ConstructorParameters<typeof MlflowRegistry>[0]> = {}) =>
  new MlflowRegistry({
    endpoint,
    credentials: {},
    timeoutMs: 20_000,
    fetch: globalThis.fetch,
    signal: new AbortController().signal,
    ...more,
  });

beforeAll(async () => {
  mlflow = await startMlflowServer();
  const files = ['breast-cancer-v1.onnx', 'breast-cancer-v2.onnx', 'digits.onnx'].map(models);
  expect(await mlflow.logModels('churn', ...files)).toEqual(['1', '2', '3']);
}, WITH_INSTALL_MS);
afterAll(async () => await mlflow?.stop());

function embedded(): Kept {
  const model: { spec: { aliases: Record<string, string> } } = { spec: { aliases: {} } };
  let versions: readonly RegistryVersion[] = ['1', '2', '3'].map((version) => ({
    metadata: { name: `churn-${version}` },
    spec: { model: 'churn', version, uri: `s3://m/${version}/` },
  }));
  const objects = {
    model: (name: string): RegistryModel | undefined => (name === 'churn' ? model : undefined),
    versions: (name: string) => (name === 'churn' ? versions : []),
    answer: () => undefined,
  };
  const registry: ModelRegistry = {
    find: async (reference: RegistryReference) => {
      const found = resolveSource({ ref: reference }, objects, []);
      if (found.kind === 'missing') return { kind: 'missing', message: found.message };
      if (found.kind !== 'digest-unknown') throw new Error(`not expected: ${found.kind}`);
      return { kind: 'found', uri: found.uri, version: found.version ?? '' };
    },
  };
  return {
    registry: () => registry,
    setAlias: async (alias, version) => void Object.assign(model.spec.aliases, { [alias]: version }),
    removeAlias: async (alias) => {
      delete model.spec.aliases[alias];
    },
    removeVersion: async (removed) => {
      versions = versions.filter(({ spec }) => spec.version !== removed);
    },
  };
}

const outside: Kept = {
  registry: () => ask(mlflow.url),
  setAlias: (alias, version) => mlflow.setAlias('churn', alias, version),
  removeAlias: (alias) => mlflow.removeAlias('churn', alias),
  removeVersion: (version) => mlflow.removeVersion('churn', version),
};

describe.each([
  ['Model and ModelVersion objects', embedded()],
  ['MLflow', outside],
])('a registry of %s', (_title, kept) => {
  it('says which version an alias stands for, and where that is, also once it moved', async () => {
    const registry = kept.registry();
    const champion = { model: 'churn', alias: 'champion' };
    await kept.setAlias('champion', '1');
    const first = await registry.find(champion);
    expect(first).toMatchObject({ kind: 'found', version: '1' });
    await kept.setAlias('champion', '2');
    const second = await registry.find(champion);
    expect(second).toMatchObject({ kind: 'found', version: '2' });
    expect(second).not.toMatchObject({ uri: (first as { uri: string }).uri });
    await kept.setAlias('champion', '1');
    expect(await registry.find(champion)).toEqual(first);
  });

  it('says where a version is, and the same place for every alias of it', async () => {
    await kept.setAlias('blue', '2');
    const found = await kept.registry().find({ model: 'churn', version: '2' });
    expect(found).toMatchObject({ kind: 'found', version: '2' });
    expect(await kept.registry().find({ model: 'churn', alias: 'blue' })).toEqual(found);
  });

  it('names the model, the alias or the version that is missing, and the aliases that there are', async () => {
    await kept.setAlias('champion', '1');
    await kept.setAlias('gone', '2');
    await kept.removeAlias('gone');
    const registry = kept.registry();
    const message = async (reference: RegistryReference) => {
      const answer = await registry.find(reference);
      return answer.kind === 'missing' ? answer.message : `found ${answer.version}`;
    };
    expect(await message({ model: 'nobody', alias: 'champion' })).toMatch(/nobody.*(not exist|not found)/);
    expect(await message({ model: 'churn', alias: 'gone' })).toMatch(/churn has no alias gone; it has .*champion/);
    expect(await message({ model: 'churn', version: '99' })).toMatch(/99/);
  });

  it('does not find a version that was removed', async () => {
    expect(await kept.registry().find({ model: 'churn', version: '3' })).toMatchObject({ kind: 'found' });
    await kept.removeVersion('3');
    expect(await kept.registry().find({ model: 'churn', version: '3' })).toMatchObject({ kind: 'missing' });
  });
});

describe('a model that MLflow keeps', () => {
  it('is loaded from the tracking server by its digest, as MLflow’s own client laid it out', async () => {
    await using root = await scratch();
    const found = await ask(mlflow.url).find({ model: 'churn', version: '2' });
    if (found.kind !== 'found') throw new Error(found.message);
    expect(found.uri).toMatch(/^mlflow-artifacts:\/\/\/.+/);
    const options = loadOptions(root.path);
    const resolved = await resolveModel({ ...options, uri: found.uri, endpoint: mlflow.url });
    const loaded = await loadModel(
      { name: 'm', uri: found.uri, endpoint: mlflow.url, sha256: resolved.sha256 },
      options,
    );
    const x = { name: 'x', datatype: 'FP32', shape: [1, 30], data: new Float32Array(30) } as const;
    expect(await loaded.session.run([x], ['label'])).toMatchObject([{ name: 'label', shape: [1] }]);
    await loaded.session.close();
  });

  it('that is not there is ModelNotFound', async () => {
    await using root = await scratch();
    const failed = resolveModel({
      ...loadOptions(root.path),
      uri: 'mlflow-artifacts:///0/no/such',
      endpoint: mlflow.url,
    });
    await expect(failed).rejects.toMatchObject({ reason: 'ModelNotFound' });
  });

  it('needs its tracking server', async () => {
    await using root = await scratch();
    const failed = resolveModel({ ...loadOptions(root.path), uri: 'mlflow-artifacts:///0/x' });
    await expect(failed).rejects.toMatchObject({ reason: 'InvalidConfiguration' });
  });
});

/** What no real server can be made to say at will. */
describe('a tracking server that', () => {
  interface Scripted {
    readonly status?: number;
    readonly headers?: Record<string, string>;
    readonly body?: string;
  }
  async function scripted(answer: (path: string, authorization: string | undefined) => Scripted) {
    const server = createServer((request, response) => {
      const { status = 200, headers = {}, body = '{}' } = answer(request.url ?? '', request.headers.authorization);
      response.writeHead(status, headers).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      async [Symbol.asyncDispose]() {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  }
  const champion = { model: 'churn', alias: 'champion' };
  const json = (value: object): Scripted => ({ body: JSON.stringify(value) });
  const READY = { status: 'READY', version: '7' };
  const healthy = (version: object, uri: string) => (path: string) => {
    if (path.includes('registered-models/get')) {
      return json({ registered_model: { aliases: [{ alias: 'champion', version: '7' }] } });
    }
    return path.includes('get-download-uri') ? json({ artifact_uri: uri }) : json({ model_version: version });
  };

  it.each([
    [
      'refuses the credentials',
      { status: 401 },
      { reason: 'AccessDenied', message: expect.stringContaining('credentialsRef') },
    ],
    [
      'is overloaded',
      { status: 429, headers: { 'retry-after': '90' } },
      { reason: 'SourceUnreachable', retryAfterMs: 90_000 },
    ],
    [
      'is broken',
      { status: 500, body: '{"error_code":"INTERNAL_ERROR","message":"disk full"}' },
      { message: expect.stringContaining('disk full') },
    ],
    [
      'is another kind of server',
      { body: '<html>' },
      { message: expect.stringContaining('no MLflow tracking server') },
    ],
    ['answers 404 to everything', { status: 404, body: 'not here' }, { reason: 'SourceUnreachable' }],
    ['answers without end', { body: 'x'.repeat(5 << 20) }, { message: expect.stringContaining('more than') }],
    [
      'redirects elsewhere',
      { status: 302, headers: { location: 'http://169.254.169.254/' } },
      { reason: 'SourceUnreachable' },
    ],
  ])('%s is unavailable, which is never taken for an answer', async (_title, answer, expected) => {
    await using server = await scripted(() => answer);
    await expect(ask(server.url).find(champion)).rejects.toMatchObject({
      name: 'RegistryUnavailableError',
      ...expected,
    });
  });

  it('cannot be reached is unavailable', async () => {
    await expect(ask('http://127.0.0.1:1').find(champion)).rejects.toMatchObject({ reason: 'SourceUnreachable' });
  });

  it('has not finished a version yet does not have it', async () => {
    await using server = await scripted(healthy({ status: 'PENDING_REGISTRATION', version: '7' }, 's3://m/7'));
    expect(await ask(server.url).find(champion)).toMatchObject({
      kind: 'missing',
      message: 'MLflow: version 7 of model churn, which alias champion stands for, is PENDING_REGISTRATION',
    });
  });

  it.each([
    ['s3://bucket/7/artifacts', 's3://bucket/7/artifacts'],
    ['mlflow-artifacts:/1/models/m-1/artifacts', 'mlflow-artifacts:///1/models/m-1/artifacts'],
    ['mlflow-artifacts://mlflow:5000/1/a', 'mlflow-artifacts:///1/a'],
  ])('keeps a version at %s has it at %s', async (uri, place) => {
    await using server = await scripted(healthy(READY, uri));
    expect(await ask(server.url).find(champion)).toEqual({ kind: 'found', version: '7', uri: place });
  });

  it.each(['dbfs:/models/7', './mlruns/0/artifacts', 'gs://bucket/7', 's3://a/b c'])(
    'keeps a version at %s says that it cannot be read from there',
    async (uri) => {
      await using server = await scripted(healthy(READY, uri));
      expect(await ask(server.url).find(champion)).toMatchObject({
        kind: 'missing',
        message: expect.stringContaining(uri),
      });
    },
  );

  it('wants credentials is shown them, as MLflow’s own client shows them', async () => {
    const seen: (string | undefined)[] = [];
    await using server = await scripted((path, authorization) => {
      seen.push(authorization);
      return healthy(READY, 's3://m/7')(path);
    });
    await ask(server.url, { credentials: { username: 'dana', password: 'x' } }).find(champion);
    await ask(server.url, { credentials: { token: 't' } }).find(champion);
    expect([...new Set(seen)]).toEqual([`Basic ${Buffer.from('dana:x').toString('base64')}`, 'Bearer t']);
  });

  it('was asked where a version is is not asked that again', async () => {
    const paths: string[] = [];
    await using server = await scripted((path) => {
      paths.push(path);
      return healthy(READY, 's3://m/7')(path);
    });
    const registry = ask(server.url);
    for (let round = 0; round < 5; round++) await registry.find(champion);
    expect(paths).toHaveLength(3 + 4);
  });
});

it.each([
  ['models:/churn@champion', { model: 'churn', alias: 'champion' }],
  ['models:/catalog.schema.churn/12', { model: 'catalog.schema.churn', version: '12' }],
  ['models:/churn/Production', undefined],
  ['models:/churn', undefined],
  ['s3://models/churn', undefined],
])('%s refers to %j', (uri, reference) => {
  expect(parseModelsUri(uri)).toEqual(reference);
});
