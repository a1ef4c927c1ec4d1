import { describe, expect, test } from 'vitest';
import { claim, type DesiredObject, manifestHash, OwnershipError } from './apply.ts';
import { WaitingError } from './outcome.ts';
import type { KubeObject, ObjectMeta, OwnerReference } from './types.ts';

const labels = { app: 'ours', of: 'churn' };
const owner = (change: Partial<OwnerReference> = {}): OwnerReference => ({
  apiVersion: 'example.com/v1',
  kind: 'Probe',
  name: 'churn',
  uid: 'u-2',
  controller: true,
  ...change,
});
const sharedOwner = (uid: string): OwnerReference => ({ apiVersion: 'v1', kind: 'Probe', name: 'a', uid });
const desired: DesiredObject = { metadata: { name: 'churn', labels, ownerReferences: [owner()] } };
const live = (metadata: Partial<ObjectMeta>): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'churn', ...metadata },
});
const applied = (manager: string) => [{ manager, operation: 'Apply', fieldsV1: {} }];

describe('an object of the desired name', () => {
  const cases: { rule: string; live: KubeObject; outcome: typeof WaitingError | typeof OwnershipError | undefined }[] =
    [
      {
        rule: 'is ours when its controller is our owner',
        live: live({ ownerReferences: [owner()] }),
        outcome: undefined,
      },
      {
        rule: 'is waited for when it goes with an earlier owner of the same kind and name',
        live: live({ ownerReferences: [owner({ uid: 'u-1' })] }),
        outcome: WaitingError,
      },
      {
        rule: 'is waited for while it is being deleted, whoever it belongs to',
        live: live({ ownerReferences: [owner({ kind: 'Other' })], deletionTimestamp: '2026-01-01T00:00:00Z' }),
        outcome: WaitingError,
      },
      {
        rule: 'is adopted when we made it for this name and its owner left it behind',
        live: live({ labels: { ...labels, more: 'x' }, managedFields: applied('fairlead') }),
        outcome: undefined,
      },
      {
        rule: "is foreign when nobody owns it and it only carries another's fields",
        live: live({ labels, managedFields: applied('kubectl') }),
        outcome: OwnershipError,
      },
      {
        rule: 'is foreign when nobody owns it and we made it for another name',
        live: live({ labels: { ...labels, of: 'other' }, managedFields: applied('fairlead') }),
        outcome: OwnershipError,
      },
      {
        rule: 'is foreign when another kind controls it',
        live: live({
          labels,
          managedFields: applied('fairlead'),
          ownerReferences: [owner({ kind: 'Other', uid: 'x' })],
        }),
        outcome: OwnershipError,
      },
    ];
  test.each(cases)('$rule', ({ live: found, outcome }) => {
    const claiming = () => claim('services shop/churn', desired, found, 'fairlead');
    if (outcome === undefined) expect(claiming).not.toThrow();
    else expect(claiming).toThrow(outcome);
  });
});

describe('an object of the desired name that several owners share', () => {
  const shared: DesiredObject = { metadata: { name: 'churn', labels, ownerReferences: [sharedOwner('u-1')] } };
  test.each([
    ['is ours when we made it, whoever shares it now', live({ labels, managedFields: applied('fairlead') }), undefined],
    ['is foreign when someone else made it', live({ labels, managedFields: applied('kubectl') }), OwnershipError],
    [
      'is foreign when someone controls it',
      live({ labels, managedFields: applied('fairlead'), ownerReferences: [owner()] }),
      OwnershipError,
    ],
  ])('%s', (_rule, found, outcome) => {
    const claiming = () => claim('deployments.apps shop/churn', shared, found, 'fairlead');
    if (outcome === undefined) expect(claiming).not.toThrow();
    else expect(claiming).toThrow(outcome);
  });
});

test('the version that fences an apply is no part of what is wanted', () => {
  const fenced = { ...desired, metadata: { ...desired.metadata, resourceVersion: '5' } };
  expect(manifestHash(fenced)).toBe(manifestHash(desired));
});
