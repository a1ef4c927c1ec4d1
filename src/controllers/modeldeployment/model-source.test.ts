import { describe, expect, test } from 'vitest';
import type { RegistryAnswer } from '../../api/registry-answers.ts';
import type { ModelSource } from '../../api/v1alpha1/model-source.ts';
import { revisionOf } from '../testing/spec.ts';
import { endpointFor, type Registry, type RegistryVersion, resolveSource } from './model-source.ts';
import { sourceHash } from './revision.ts';

const sha256 = 'a'.repeat(64);
const version = (
  number: string,
  change: Partial<RegistryVersion['spec']> = {},
  name = `churn-${number}`,
): RegistryVersion => ({
  metadata: { name, creationTimestamp: '2026-01-01T00:00:00Z' },
  spec: { model: 'churn', version: number, uri: `s3://m/${number}/`, sha256, ...change },
});
const registry = (
  aliases: Record<string, string> | undefined,
  versions: readonly RegistryVersion[] = [],
): Registry => ({
  model: () => (aliases === undefined ? undefined : { spec: { aliases } }),
  versions: () => versions,
  answer: () => undefined,
});
const nothing = registry(undefined);
const champion: ModelSource = { ref: { model: 'churn', alias: 'champion' } };
const pinned = { uri: 's3://m/6/', sha256: 'b'.repeat(64), version: '6' };
const pinnedTo = (source: ModelSource, model = pinned) => revisionOf('churn-1', { source: sourceHash(source), model });

describe('a place', () => {
  const uri = 's3://models/churn/7/';

  test('with a digest is used as it is', () => {
    expect(resolveSource({ uri, sha256 }, nothing, [])).toEqual({ kind: 'resolved', model: { uri, sha256 } });
  });
  test('without a digest has to be looked at', () => {
    expect(resolveSource({ uri }, nothing, [])).toEqual({ kind: 'digest-unknown', uri });
  });
  test('without a digest keeps the one that a revision of the same words was pinned to', () => {
    const model = { uri, sha256 };
    expect(resolveSource({ uri }, nothing, [pinnedTo({ uri }, model as typeof pinned)])).toEqual({
      kind: 'resolved',
      model,
    });
  });
  test('is looked at again when the words differ', () => {
    const revisions = [pinnedTo({ uri, sha256 })];
    expect(resolveSource({ uri }, nothing, revisions).kind).toBe('digest-unknown');
  });
});

describe('a reference', () => {
  test('by alias means the version that the alias stands for', () => {
    const found = resolveSource(champion, registry({ champion: '7' }, [version('6'), version('7')]), []);
    expect(found).toEqual({ kind: 'resolved', model: { uri: 's3://m/7/', sha256, version: '7' } });
  });
  test('by version needs no Model, only the ModelVersion', () => {
    const found = resolveSource({ ref: { model: 'churn', version: '6' } }, registry(undefined, [version('6')]), []);
    expect(found.kind).toBe('resolved');
  });
  test('to a version without a digest has to be looked at, once', () => {
    const versions = [version('7', { sha256: undefined as never })];
    const bare = registry(
      { champion: '7' },
      versions.map(({ metadata, spec: { sha256: _, ...spec } }) => ({ metadata, spec })),
    );
    expect(resolveSource(champion, bare, [])).toEqual({ kind: 'digest-unknown', uri: 's3://m/7/', version: '7' });
    const model = { uri: 's3://m/7/', sha256, version: '7' };
    expect(resolveSource(champion, bare, [pinnedTo(champion, model)])).toEqual({ kind: 'resolved', model });
  });
  test('to a version that two objects claim means the older', () => {
    const newer = {
      ...version('7', { sha256: 'c'.repeat(64) }, 'a'),
      metadata: { name: 'a', creationTimestamp: '2026-02-01T00:00:00Z' },
    };
    const found = resolveSource(champion, registry({ champion: '7' }, [newer, version('7')]), []);
    expect(found).toMatchObject({ model: { sha256 } });
  });

  test.each([
    ['the Model', undefined, [], 'Model churn does not exist'],
    ['the alias', { blue: '1', green: '2' }, [], 'Model churn has no alias champion; it has blue, green'],
    [
      'the version',
      { champion: '7' },
      [version('6')],
      'version 7 of Model churn, which alias champion stands for, has no ModelVersion; there are 6',
    ],
  ])('says that %s is missing, and what there is', (_title, aliases, versions, message) => {
    const found = resolveSource(champion, registry(aliases, versions), []);
    expect(found).toMatchObject({ kind: 'missing', message: expect.stringContaining(message) });
    expect(found).not.toHaveProperty('pinned');
  });

  test('by alias does not find what every object has', () => {
    const source: ModelSource = { ref: { model: 'churn', alias: 'constructor' } };
    expect(resolveSource(source, registry({ champion: '7' }), [])).toMatchObject({
      message: 'Model churn has no alias constructor; it has champion',
    });
  });

  test('whose objects are gone goes on meaning what it meant', () => {
    expect(resolveSource(champion, nothing, [pinnedTo(champion)])).toMatchObject({ kind: 'missing', pinned });
  });
});

describe('a reference to an outside registry', () => {
  const source: ModelSource = { uri: 'models:/churn@champion', endpoint: 'http://mlflow:5000' };
  const answering = (answer: RegistryAnswer | undefined): Registry => ({ ...nothing, answer: () => answer });
  const found = (version: string) => answering({ kind: 'found', version, uri: `s3://m/${version}/` });
  const of = (version: string, digit: string) => ({ uri: `s3://m/${version}/`, sha256: digit.repeat(64), version });

  test('is open until the registry has answered, and goes on meaning what it meant', () => {
    expect(resolveSource(source, answering(undefined), [])).toEqual({ kind: 'unanswered', uri: source.uri });
    expect(resolveSource(source, answering(undefined), [pinnedTo(source)])).toMatchObject({ pinned });
  });

  test('has to be looked at, once', () => {
    expect(resolveSource(source, found('7'), [])).toEqual({ kind: 'digest-unknown', uri: 's3://m/7/', version: '7' });
    const revisions = [pinnedTo(source, of('7', 'a'))];
    expect(resolveSource(source, found('7'), revisions)).toEqual({ kind: 'resolved', model: of('7', 'a') });
    expect(resolveSource(source, found('8'), revisions).kind).toBe('digest-unknown');
  });

  test('by version may say the digest', () => {
    const fixed: ModelSource = { ...source, uri: 'models:/churn/7', sha256 };
    expect(resolveSource(fixed, found('7'), [])).toEqual({
      kind: 'resolved',
      model: { uri: 's3://m/7/', sha256, version: '7' },
    });
  });

  test('that the registry does not have is missing, and its words say why', () => {
    const answer = { kind: 'missing', message: 'MLflow: model churn has no alias champion' } as const;
    expect(resolveSource(source, answering(answer), [])).toEqual(answer);
  });

  test.each([
    ['is not answered', undefined],
    ['is missing', { kind: 'missing', message: 'gone' } as const],
  ])('that %s means what it meant last, also where that is an older revision', (_title, answer) => {
    const revisions = [pinnedTo(source, of('8', 'b')), pinnedTo(source, of('7', 'a'))];
    expect(resolveSource(source, answering(answer), revisions, of('7', 'a'))).toMatchObject({ pinned: of('7', 'a') });
    expect(resolveSource(source, answering(answer), revisions)).toMatchObject({ pinned: of('8', 'b') });
  });

  test('means what it meant last, also where status shows less of its URI', () => {
    const signed = { ...of('7', 'a'), uri: 'https://host/7.onnx?token=1a2b' };
    const revisions = [pinnedTo(source, of('8', 'b')), pinnedTo(source, signed)];
    const current = { ...signed, uri: 'https://host/7.onnx' };
    expect(resolveSource(source, answering(undefined), revisions, current)).toMatchObject({ pinned: signed });
  });

  test.each([
    ['s3://m/7/', undefined],
    ['mlflow-artifacts:///0/models/m-1/artifacts', 'http://mlflow:5000'],
  ])('at %s is read from the endpoint %s', (place, endpoint) => {
    expect(endpointFor(source, place)).toBe(endpoint);
  });
});
