import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ControlPlane, startControlPlane } from '../../e2e/cluster/control-plane.ts';
import { systemClock } from './clock.ts';
import { type Change, Informer } from './informer.ts';
import type { Watch } from './reconcile-context.ts';
import { AuditedCluster, CONFIG_MAPS, type ConfigMap, configMap, eventually, silentLogger } from './testing/cluster.ts';
import { TcpProxy } from './testing/tcp-proxy.ts';
import { keyOf } from './types.ts';

/** A control plane of its own: these tests break it. */
let plane: ControlPlane;
let cluster: AuditedCluster;
let namespace: string;

beforeAll(async () => {
  plane = await startControlPlane();
  cluster = new AuditedCluster(plane.kubeconfigPath);
});
afterAll(async () => {
  await cluster.close();
  await plane.stop();
});
beforeEach(async () => {
  namespace = await cluster.createNamespace();
});

function follow(options: { through?: AuditedCluster; watch?: Partial<Watch<ConfigMap>>; namespaces?: string[] } = {}) {
  const stop = new AbortController();
  const informer = new Informer<ConfigMap>(
    { resource: CONFIG_MAPS, ...options.watch },
    {
      client: (options.through ?? cluster).client,
      namespaces: options.namespaces ?? [namespace],
      clock: systemClock,
      random: Math.random,
      logger: silentLogger,
    },
  );
  const changes: Change<ConfigMap>[] = [];
  informer.onChange((change) => changes.push(change));
  informer.start(stop.signal);
  return {
    informer,
    changes,
    names: () =>
      informer
        .list()
        .map(({ metadata }) => metadata.name)
        .sort(),
    end: async () => {
      stop.abort();
      await informer.stopped();
    },
  };
}

const create = (name: string, data: Record<string, string> = {}, labels: Record<string, string> = {}) =>
  cluster.client.create(CONFIG_MAPS, configMap(namespace, name, data, labels));
const remove = (name: string) => cluster.client.delete(CONFIG_MAPS, { namespace, name });

describe('an informer', () => {
  test('lists what exists page by page, then follows additions, changes and deletions', async () => {
    await Promise.all(Array.from({ length: 600 }, (_, index) => create(`existing-${index}`)));
    const { informer, changes, names, end } = follow();
    await informer.synced;
    expect(informer.size).toBe(600);
    expect(changes.every(({ routine }) => routine)).toBe(true);
    changes.length = 0;

    await create('a', { v: '1' });
    await cluster.client.mergePatch(CONFIG_MAPS, { namespace, name: 'a' }, { data: { v: '2' } });
    await remove('a');
    await eventually('the deletion', () => changes.some((change) => change.new === undefined));
    expect(changes.map((change) => [change.old?.data?.v, change.new?.data?.v])).toEqual([
      [undefined, '1'],
      ['1', '2'],
      ['2', undefined],
    ]);
    expect(names()).not.toContain('a');
    await end();
  });

  test('keeps only what its selector selects, and drops what no longer is', async () => {
    const { informer, names, end } = follow({ watch: { selector: { app: 'yes' } } });
    await create('in', {}, { app: 'yes' });
    await create('out', {}, { app: 'no' });
    await informer.synced;
    await eventually('the selected one', () => names().includes('in'));
    expect(names()).toEqual(['in']);
    await cluster.client.mergePatch(CONFIG_MAPS, { namespace, name: 'in' }, { metadata: { labels: { app: 'no' } } });
    await eventually('the one that moved out', () => names().length === 0);
    await end();
  });

  test('follows several named namespaces and no others', async () => {
    const other = await cluster.createNamespace();
    const third = await cluster.createNamespace();
    const { informer, end } = follow({ namespaces: [namespace, other] });
    await create('a');
    await cluster.client.create(CONFIG_MAPS, configMap(other, 'b', {}));
    await cluster.client.create(CONFIG_MAPS, configMap(third, 'c', {}));
    await eventually('both', () => informer.size === 2);
    expect(informer.list().map(keyOf).sort()).toEqual([`${namespace}/a`, `${other}/b`].sort());
    expect(informer.list(other).map(keyOf)).toEqual([`${other}/b`]);
    await end();
  });

  test('keeps of each object what its transform keeps, and no field sets of others', async () => {
    await create('big', { keep: 'x', drop: 'y'.repeat(10_000) });
    const { informer, end } = follow({
      watch: { transform: (object) => ({ ...object, data: { keep: object.data?.keep ?? '' } }) },
    });
    await informer.synced;
    const cached = informer.get(`${namespace}/big`);
    expect(cached?.data).toEqual({ keep: 'x' });
    expect(cached?.metadata.managedFields).toBeUndefined();
    expect(cached?.kind).toBe('ConfigMap');
    await end();
  });

  test('never goes back: what a write answered is not replaced by older news, nor comes back once deleted', async () => {
    const { informer, changes, end } = follow();
    await informer.synced;
    const made = await create('a', { v: '1' });
    await eventually('the watch to tell', () => informer.get(`${namespace}/a`) !== undefined);
    const second = await cluster.client.mergePatch(CONFIG_MAPS, { namespace, name: 'a' }, { data: { v: '2' } });
    informer.observe(second);
    informer.observe(made);
    expect(informer.get(`${namespace}/a`)?.data?.v).toBe('2');
    await remove('a');
    await eventually('the deletion', () => informer.get(`${namespace}/a`) === undefined);
    informer.observe(second);
    expect(informer.get(`${namespace}/a`)).toBeUndefined();
    expect(changes.filter((change) => change.new !== undefined)).toHaveLength(2);
    await end();
  });

  test('a handler that throws stops neither the informer nor other handlers', async () => {
    const { informer, changes, names, end } = follow();
    informer.onChange(() => {
      throw new Error('a bug');
    });
    const after: string[] = [];
    informer.onChange((change) => after.push(change.new?.metadata.name ?? ''));
    await create('a');
    await create('b');
    await eventually('both', () => names().length === 2);
    expect(changes).toHaveLength(2);
    expect(after).toEqual(['a', 'b']);
    await end();
  });
});

describe('an informer through faults', () => {
  test('goes on where it was when its connections are reset, without listing again', async () => {
    const { proxy, through } = await proxied();
    const { informer, names, end } = follow({ through });
    await informer.synced;
    await eventually('the watch', () => watchesOf(through) > 0);
    through.forgetCalls();
    for (let round = 0; round < 3; round++) {
      proxy.reset();
      await create(`round-${round}`);
      await eventually(`round ${round}`, () => names().includes(`round-${round}`));
    }
    expect(through.calls.filter(({ method }) => method === 'GET')).toEqual([]);
    await end();
    await through.close();
    await proxy.close();
  });

  test('notices a connection that went silent, and catches up on a new one', async () => {
    const { proxy, through } = await proxied({ watchIdleTimeoutMs: 1_000 });
    const { informer, names, end } = follow({ through });
    await informer.synced;
    await create('before');
    await eventually('the first', () => names().includes('before'));
    proxy.freezePresent();
    await create('during');
    await remove('before');
    await eventually('what happened meanwhile', () => names().join() === 'during');
    await end();
    await through.close();
    await proxy.close();
  });

  test('survives an API server that restarts, and learns what was deleted meanwhile', async () => {
    await create('stays');
    await create('goes');
    const { informer, names, changes, end } = follow();
    await informer.synced;
    await plane.restartApiServer();
    await eventually('the API server', () =>
      remove('goes').then(
        () => true,
        () => false,
      ),
    );
    await create('new');
    await eventually('the new state', () => names().join() === 'new,stays', 60_000);
    expect(changes.filter((change) => change.new === undefined).map((change) => change.old?.metadata.name)).toEqual([
      'goes',
    ]);
    await end();
  });

  test('survives a compaction while it was cut off: 410 makes it list, and the list finds what is gone', async () => {
    const { proxy, through } = await proxied();
    await create('stays', { v: '1' });
    await create('goes');
    const { informer, names, changes, end } = follow({ through });
    await informer.synced;
    await eventually('the watch', () => watchesOf(through) > 0);
    changes.length = 0;
    through.forgetCalls();
    await proxy.close();
    await remove('goes');
    await cluster.client.mergePatch(CONFIG_MAPS, { namespace, name: 'stays' }, { data: { v: '2' } });
    await create('new');
    await plane.compactEtcd();
    // A restarted server has an empty watch cache: what was compacted it cannot tell.
    await plane.restartApiServer();
    await proxy.listenAgain();
    await eventually('the new state', () => names().join() === 'new,stays', 60_000);
    expect(informer.get(`${namespace}/stays`)?.data?.v).toBe('2');
    expect(through.calls.filter(({ method, status }) => method === 'GET' && status === 200)).toHaveLength(1);
    expect(changes.map((change) => [change.old?.metadata.name, change.new?.metadata.name]).sort()).toEqual(
      [
        ['goes', undefined],
        ['stays', 'stays'],
        [undefined, 'new'],
      ].sort(),
    );
    await end();
    await through.close();
    await proxy.close();
  });

  test('follows the truth through a series of resets and changes', async () => {
    const { proxy, through } = await proxied();
    const { informer, names, end } = follow({ through });
    await informer.synced;
    const truth = new Set<string>();
    for (let turn = 0; turn < 60; turn++) {
      const name = `o-${turn % 17}`;
      if (truth.delete(name)) await remove(name);
      else {
        truth.add(name);
        await create(name);
      }
      if (turn % 7 === 0) proxy.reset();
    }
    await eventually('the truth', () => names().join() === [...truth].sort().join());
    await end();
    await through.close();
    await proxy.close();
  });
});

function watchesOf(audited: AuditedCluster): number {
  return audited.calls.filter(({ method, status }) => method === 'WATCH' && status === 200).length;
}

async function proxied(options: ConstructorParameters<typeof AuditedCluster>[1] = {}) {
  const proxy = await TcpProxy.to(Number(new URL(plane.url).port));
  const path = `${plane.kubeconfigPath}.${proxy.port}`;
  const text = await readFile(plane.kubeconfigPath, 'utf8');
  await writeFile(path, text.replaceAll(new URL(plane.url).host, `127.0.0.1:${proxy.port}`));
  return { proxy, through: new AuditedCluster(path, options) };
}
