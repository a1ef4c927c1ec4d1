import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApiClient } from './api-client.ts';
import { ConnectionError } from './api-error.ts';
import { type Change, Informer } from './informer.ts';
import { Informers } from './informers.ts';
import { CONFIG_MAPS, type ConfigMap, silentLogger } from './testing/cluster.ts';
import { FakeClock, settle } from './testing/fake-clock.ts';
import { ScriptedApi } from './testing/scripted-api.ts';

const path = '/api/v1/namespaces/shop/configmaps';
let api: ScriptedApi;
let clock: FakeClock;
let stop: AbortController;

beforeEach(() => {
  api = new ScriptedApi();
  clock = new FakeClock();
  stop = new AbortController();
});
afterEach(() => stop.abort());

const configMap = (uid: string, resourceVersion: string, namespace = 'shop'): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace, name: 'a', uid, resourceVersion },
});

/** Follows the namespaces until everything that can happen by itself has. */
async function follow(...namespaces: string[]) {
  const informer = new Informer<ConfigMap>(
    { resource: CONFIG_MAPS },
    { client: new ApiClient(api, 'test'), namespaces, clock, random: () => 0, logger: silentLogger },
  );
  const changes: string[] = [];
  const version = (object: ConfigMap | undefined) =>
    object && `${object.metadata.uid}@${object.metadata.resourceVersion}`;
  informer.onChange((change: Change<ConfigMap>) => changes.push(`${version(change.old)} -> ${version(change.new)}`));
  informer.start(stop.signal);
  await settle();
  return { informer, changes, cached: () => version(informer.get('shop/a')) };
}

describe('an informer never goes back', () => {
  test('to an object that was deleted and made again, when the watch is late', async () => {
    api.lists.set(path, { items: [configMap('first', '100')], resourceVersion: '100' });
    const { informer, changes, cached } = await follow('shop');
    informer.observe(configMap('second', '110'));
    for (const [type, object] of [
      ['MODIFIED', configMap('first', '105')],
      ['DELETED', configMap('first', '107')],
      ['ADDED', configMap('second', '110')],
    ] as const) {
      api.tell(path, type, object);
      await settle();
      expect(cached()).toBe('second@110');
    }
    expect(changes).toEqual(['undefined -> first@100', 'first@100 -> second@110']);
  });
});

describe('a watch that told nothing for as long as bookmarks would have come', () => {
  const silent = new ConnectionError(`WATCH ${path}`, new Error('Body Timeout Error'));
  const restored = { items: [configMap('restored', '400')], resourceVersion: '500' };

  test.each([
    ['by its silence', silent],
    ['by the server', undefined],
  ])('is followed by a list when it ends %s: its version may be of a time before a restore', async (_how, end) => {
    api.lists.set(path, { items: [configMap('lost', '990')], resourceVersion: '1000' });
    const { cached } = await follow('shop');
    api.lists.set(path, restored);
    await clock.advance(150_000);
    api.breakOff(path, end);
    await clock.advance(1_000);
    expect(cached()).toBe('restored@400');
  });

  test('is not meant where a bookmark came, or where it broke off before one was due', async () => {
    api.lists.set(path, { items: [configMap('one', '990')], resourceVersion: '1000' });
    await follow('shop');
    api.tell(path, 'BOOKMARK', configMap('', '1001'));
    await clock.advance(150_000);
    api.breakOff(path, silent);
    await clock.advance(60_000);
    api.breakOff(path, silent);
    await clock.advance(1_000);
    expect(api.listed).toBe(1);
  });
});

describe('a namespace whose collection may not be listed', () => {
  const gone = '/api/v1/namespaces/gone/configmaps';

  test('holds no other up, is told, and is followed once it may be', async () => {
    api.forbidden.add(gone);
    api.lists.set(path, { items: [configMap('one', '100')], resourceVersion: '100' });
    const { informer, changes } = await follow('gone', 'shop');
    await informer.synced;
    expect(informer.unlisted()).toEqual(['configmaps in namespace gone (forbidden)']);
    expect(informer.unlisted('shop')).toEqual([]);

    api.lists.set(gone, { items: [configMap('two', '90', 'gone')], resourceVersion: '101' });
    api.forbidden.clear();
    await clock.advance(31_000);
    expect(informer.unlisted()).toEqual([]);
    expect(changes).toEqual(['undefined -> one@100', 'undefined -> two@90']);
  });

  test('is told also when the right was taken while it was followed', async () => {
    const { informer } = await follow('gone', 'shop');
    expect(informer.unlisted('gone')).toEqual([]);
    api.forbidden.add(gone);
    api.breakOff(gone);
    await clock.advance(1_000);
    expect(informer.unlisted('gone')).toEqual(['configmaps in namespace gone (forbidden)']);
    expect(informer.hasSynced).toBe(true);
  });

  test.each([
    ['the only one that is watched', ['gone']],
    ['one of several, all of which are refused', ['gone', 'shop']],
  ])('leaves the informer waiting when it is %s', async (_title, namespaces) => {
    api.forbidden.add(gone).add(path);
    const { informer } = await follow(...namespaces);
    await clock.advance(60_000);
    expect(informer.hasSynced).toBe(false);
    expect(informer.unlisted()).toHaveLength(namespaces.length);
  });
});

describe('a kind that is not installed', () => {
  function start(optional: boolean) {
    const options = { client: new ApiClient(api, 'test'), namespaces: ['shop'], clock, random: () => 0 };
    const informers = new Informers([{ resource: CONFIG_MAPS, optional }], { ...options, logger: silentLogger });
    for (const informer of informers.all()) informer.start(stop.signal);
    return informers;
  }

  test.each(['missing', 'forbidden'] as const)(
    'holds up the start where it is required, and not where it is optional: %s',
    async (why) => {
      api[why].add(path);
      const [required, optional] = [start(false), start(true)];
      await clock.advance(60_000);
      expect([required.hasSynced, optional.hasSynced]).toEqual([false, true]);
      expect(optional.unlisted()).toEqual([]);
      expect(optional.isInstalled(CONFIG_MAPS)).toBe(false);
      expect(optional.list(CONFIG_MAPS)).toEqual([]);
    },
  );

  test('is asked for again only while someone wants it, and no more often than every 5 s', async () => {
    api.missing.add(path);
    const informers = start(true);
    await clock.advance(3_600_000);
    expect(api.listed).toBe(1);
    for (let second = 0; second < 60; second += 1) {
      informers.isInstalled(CONFIG_MAPS);
      await clock.advance(1_000);
    }
    expect(api.listed).toBeGreaterThanOrEqual(8);
    expect(api.listed).toBeLessThanOrEqual(14);
  });

  test('is followed once it is there, and is empty again when it is taken away', async () => {
    api.missing.add(path);
    const informers = start(true);
    await settle();
    api.missing.clear();
    api.lists.set(path, { items: [configMap('one', '100')], resourceVersion: '100' });
    expect(informers.isInstalled(CONFIG_MAPS)).toBe(false);
    await clock.advance(5_000);
    expect(informers.isInstalled(CONFIG_MAPS)).toBe(true);
    expect(informers.list(CONFIG_MAPS)).toHaveLength(1);
    const gone: string[] = [];
    informers
      .of(CONFIG_MAPS)
      .onChange(({ old, new: now }) => old !== undefined && !now && gone.push(old.metadata.name));
    api.missing.add(path);
    api.breakOff(path);
    await clock.advance(1_000);
    expect(informers.isInstalled(CONFIG_MAPS)).toBe(false);
    expect(gone).toEqual(['a']);
  });
});
