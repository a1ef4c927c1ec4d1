import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ownKubeconfig } from '../../../e2e/cluster/own-control-plane.ts';
import { type ApiServer, connect } from '../testing/api-server.ts';
import { Model } from './model.ts';
import { ModelVersion } from './model-version.ts';

let api: ApiServer;
beforeAll(async () => {
  api = await connect(ownKubeconfig());
});
afterAll(() => api.dispose());

const version = { model: 'churn', version: '7', uri: 's3://models/churn/7/' };

describe('Model', () => {
  test('needs nothing but a name', async () => {
    expect(await api.preview(Model, { metadata: { name: 'churn' } })).toMatchObject({ spec: { aliases: {} } });
  });

  test.each([
    [
      'an alias with capitals',
      { Champion: '7' },
      'spec.aliases: Invalid value: each of aliases must be at most 63 lower-case',
    ],
    ['an alias for nothing', { champion: '' }, 'spec.aliases.champion: Invalid value'],
    ['an alias for a blank', { champion: '7 ' }, 'must be letters, digits, ., _ and -'],
  ])('refuses %s', async (_title, aliases, message) => {
    await expect(api.preview(Model, { metadata: { name: 'churn' }, spec: { aliases } })).rejects.toThrow(message);
  });
});

describe('ModelVersion', () => {
  test('says where the bytes are and how they came to be', async () => {
    const spec = {
      ...version,
      sha256: 'b'.repeat(64),
      metrics: { auc: '0.91' },
      lineage: { run: 'churn-train-x2k', data: 'sha256:1', image: 'train:3' },
      card: '# Churn',
    };
    expect(await api.preview(ModelVersion, { metadata: { name: 'churn-7' }, spec })).toMatchObject({ spec });
  });

  test.each([
    ['no model', { version: '7', uri: version.uri }, 'spec.model: Required value'],
    [
      'a number as version',
      { ...version, version: 7 },
      'spec.version: Invalid value: spec.version in body must be of type string',
    ],
    [
      'an unknown scheme',
      { ...version, uri: 'gopher://x/y' },
      'spec.uri: Invalid value: must start with one of file://',
    ],
    ['a wrong digest', { ...version, sha256: 'B'.repeat(64) }, 'spec.sha256: Invalid value: must be 64 lower-case'],
  ])('refuses %s', async (_title, spec, message) => {
    await expect(api.preview(ModelVersion, { metadata: { name: 'churn-7' }, spec })).rejects.toThrow(message);
  });

  test('never changes', async () => {
    const created = await api.create(ModelVersion, { metadata: { name: 'churn-7' }, spec: version });
    const moved = { ...created, spec: { ...version, uri: 's3://models/churn/8/' } };
    await expect(api.replace(ModelVersion, moved)).rejects.toThrow(
      'spec is immutable: make a new ModelVersion instead',
    );
  });

  test('may be labelled', async () => {
    const created = await api.create(ModelVersion, { metadata: { name: 'churn-8' }, spec: version });
    const labelled = { ...created, metadata: { ...(created.metadata as object), labels: { team: 'shop' } } };
    expect(await api.replace(ModelVersion, labelled)).toMatchObject({ metadata: { labels: { team: 'shop' } } });
  });
});
