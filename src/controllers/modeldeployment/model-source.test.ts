import { describe, expect, test } from 'vitest';
import type { ModelSource } from '../../api/v1alpha1/model-source.ts';
import { revisionOf } from '../testing/spec.ts';
import { type Registry, type RegistryVersion, resolveSource } from './model-source.ts';
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

  test('whose objects are gone goes on meaning what it meant', () => {
    expect(resolveSource(champion, nothing, [pinnedTo(champion)])).toMatchObject({ kind: 'missing', pinned });
  });
});
