import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OWNER_INDEX, Store } from './store.ts';
import { type KubeObject, keyOf, matchesSelector } from './types.ts';

function object(name: string, owner: string, labels: Record<string, string> = {}): KubeObject {
  const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: owner, uid: owner, controller: true }];
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'n', labels, ownerReferences } };
}

describe('a store', () => {
  test('finds by index exactly what a search through all objects finds, after any changes', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd');
    const owner = fc.constantFrom('x', 'y', 'z');
    const change = fc.oneof(
      fc.record({ type: fc.constant('set' as const), name, owner }),
      fc.record({ type: fc.constant('delete' as const), name, owner }),
    );
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const store = new Store<KubeObject>();
        const model = new Map<string, KubeObject>();
        for (const { type, name: changed, owner: uid } of changes) {
          if (type === 'set') {
            store.set(object(changed, uid));
            model.set(`n/${changed}`, object(changed, uid));
          } else {
            store.delete(`n/${changed}`);
            model.delete(`n/${changed}`);
          }
        }
        expect(new Set([...store.values()].map(keyOf))).toEqual(new Set(model.keys()));
        for (const uid of ['x', 'y', 'z']) {
          const expected = [...model.values()].filter((o) => o.metadata.ownerReferences?.[0]?.uid === uid).map(keyOf);
          expect(store.byIndex(OWNER_INDEX, uid).map(keyOf).sort()).toEqual(expected.sort());
        }
      }),
    );
  });

  test('stays as it was when an index function throws', () => {
    const store = new Store<KubeObject>({
      strict: (o) => {
        if (o.metadata.labels?.broken === 'yes') throw new Error('cannot index');
        return [o.metadata.name];
      },
    });
    store.set(object('a', 'x'));
    expect(() => store.set(object('a', 'y', { broken: 'yes' }))).toThrow('cannot index');
    expect(store.byIndex('strict', 'a').map((o) => o.metadata.ownerReferences?.[0]?.uid)).toEqual(['x']);
  });

  test('names the indexes there are when asked for another', () => {
    expect(() => new Store<KubeObject>().byIndex('nope', 'x')).toThrow('no index nope; there are: namespace, owner');
  });
});

test('a selector asks for a value, or for any', () => {
  const labelled = object('a', 'x', { app: 'churn', tier: '' });
  expect(matchesSelector({ app: 'churn' }, labelled)).toBe(true);
  expect(matchesSelector({ app: true, tier: true }, labelled)).toBe(true);
  expect(matchesSelector({ app: 'other' }, labelled)).toBe(false);
  expect(matchesSelector({ missing: true }, labelled)).toBe(false);
});
