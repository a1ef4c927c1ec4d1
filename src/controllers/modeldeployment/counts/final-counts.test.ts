import { expect, test } from 'vitest';
import { ANNOTATIONS } from '../../../api/names.ts';
import type { Lease } from '../../../runtime/kubernetes-resources.ts';
import { FinalCounts } from './final-counts.ts';

const snapshot = { instance: 'a1', inFlight: 0, revisions: {} };

function lease(text: string | undefined): { readonly lease: Lease; readonly read: () => number } {
  let read = 0;
  const annotations = {
    get [ANNOTATIONS.finalCounts]() {
      read += 1;
      return text;
    },
  };
  const metadata = {
    name: 'router-a',
    ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'router-a', uid: 'u-1' }],
  };
  return {
    lease: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { ...metadata, annotations } } as Lease,
    read: () => read,
  };
}

const silent = { warn: () => silent } as never;

test('what a router left on its Lease is read once for each version of the Lease', () => {
  const counts = new FinalCounts();
  const first = lease(JSON.stringify(snapshot));
  for (let reconcile = 0; reconcile < 3; reconcile += 1) {
    expect(counts.of([first.lease], silent)).toEqual([{ uid: 'u-1', snapshot }]);
  }
  expect(first.read()).toBe(1);
  const second = lease(JSON.stringify({ ...snapshot, instance: 'a2' }));
  expect(counts.of([second.lease], silent)).toMatchObject([{ snapshot: { instance: 'a2' } }]);
});

test.each([undefined, '{', '{"instance":"a"}'])('a Lease without counts that can be read has none: %s', (text) => {
  expect(new FinalCounts().of([lease(text).lease], silent)).toEqual([]);
});
