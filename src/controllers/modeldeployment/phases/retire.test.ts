import { expect, test } from 'vitest';
import type { Scope } from '../scope.ts';
import type { PhaseContext } from './phase.ts';
import { retire } from './retire.ts';

/** The Deployments that are kept, where some are pruned. */
async function kept(target: string, observed: readonly string[], idle: readonly string[], from: string) {
  const revisions = observed.map((name) => {
    const count = idle.includes(name) ? 0 : 2;
    return { name, replicas: count, current: count };
  });
  const scope = {
    object: { metadata: { name: 'churn', namespace: 'shop', uid: 'u' }, spec: { replicas: 1, pod: {}, model: {} } },
    owner: { name: 'churn', namespace: 'shop' },
    model: { kind: 'failed' },
    revisions,
    old: revisions.filter(({ name }) => name !== target),
    target: { name: target, existing: revisions.find(({ name }) => name === target), model: undefined },
    decision: { progress: { target, from } },
  } as unknown as Scope;
  const seen: string[][] = [];
  const context = {
    cache: { ownedBy: () => [] },
    prune: async (_owner: unknown, [{ plural }]: [{ plural: string }], keep: ReadonlySet<string>) => {
      if (plural === 'deployments') seen.push([...keep].map((identity) => identity.replace(/.*\//, '')).sort());
    },
  } as unknown as PhaseContext;
  await retire(scope, context);
  return seen;
}

test('a revision that was made a moment ago is kept when an older one is pruned', async () => {
  expect(await kept('d', ['c', 'b', 'a', 'z'], ['b', 'a', 'z'], 'c')).toEqual([['a', 'b', 'c', 'd']]);
});

test('of the idle ones two are kept: that from which the target took over, and the newest', async () => {
  expect(await kept('d', ['d', 'c', 'b', 'a'], ['c', 'b', 'a'], 'a')).toEqual([['a', 'c', 'd']]);
  expect(await kept('d', ['d', 'c', 'b'], ['c', 'b'], 'b')).toEqual([]);
});
