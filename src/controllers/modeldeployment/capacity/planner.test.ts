import { expect, test } from 'vitest';
import { podDemand } from '../../../capacity/pod-demand.ts';
import { decide } from '../../../rollout/decide.ts';
import { rollingOut, rolloutOf } from '../../../rollout/testing/invariants.ts';
import { ApiClient } from '../../../runtime/api-client.ts';
import type { Transport } from '../../../runtime/kube-transport.ts';
import { claimOf, Planner } from './planner.ts';

const KEY = 'shop/churn';
const pod = (cpu: string) => podDemand({ containers: [{ name: 'server', resources: { requests: { cpu } } }] });
const rollout = rolloutOf({ strategy: 'Canary', steps: [{ weight: 50 }], analysis: { metrics: [] } });

/** A namespace whose one quota is used up. */
const full: Transport = {
  async json({ path }) {
    const quota = { metadata: { name: 'team', namespace: 'shop' }, status: { hard: { cpu: '4' }, used: { cpu: '4' } } };
    return { metadata: { resourceVersion: '1' }, items: path.includes('resourcequotas') ? [quota] : [] };
  },
  // biome-ignore lint/correctness/useYield: nothing here is watched
  async *stream() {
    throw new Error('nothing is watched');
  },
  async close() {},
};

test.each([
  ['asks for as much as a new one', '1', { kind: 'Swap', remove: 1 }],
  ['asks for less than a new one', '500m', { kind: 'Wait', reason: 'QuotaExceeded' }],
])('for a full quota an old pod gives way, or not, by what its Deployment says: it %s', async (_, cpu, advice) => {
  const snapshot = rollingOut({ rollout }).snapshot();
  const old = Array.from({ length: 4 }, (_each, index) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `a-${index}`, namespace: 'shop' },
  }));
  const asked: string[] = [];
  const input = {
    snapshot,
    decision: decide(snapshot),
    pods: new Map([['a', old]]),
    pod: pod('1'),
    demandOf: async (revision: string) => {
      asked.push(revision);
      return pod(cpu);
    },
  };
  const context = { key: KEY, client: new ApiClient(full, 'test'), signal: new AbortController().signal, now: () => 0 };
  expect(await new Planner().advise(context, input)).toMatchObject(advice);
  expect(asked).toEqual(['a']);
});

test.each([
  ['a moment ago', 1_000, 1],
  ['an hour ago, as on a node that is lost', 3_600_000, 0],
])('an old pod whose grace was over %s is waited for, or not', (_, agoMs, ending) => {
  const snapshot = rollingOut({ rollout }).snapshot();
  const deletionTimestamp = new Date(snapshot.nowMs - agoMs).toISOString();
  const old = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a-0', namespace: 'shop', deletionTimestamp } };
  const input = { snapshot, decision: decide(snapshot), pods: new Map([['a', [old]]]), pod: pod('1') };
  const demandOf = async () => undefined;
  expect(claimOf(KEY, { ...input, demandOf })).toMatchObject({ ending, oldPods: [] });
});
