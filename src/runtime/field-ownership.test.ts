import { describe, expect, test } from 'vitest';
import { compactOwnFields, ownsAll } from './field-ownership.ts';
import type { FieldSet, KubeObject } from './types.ts';

const MANAGER = 'fairlead';

/** What a real API server recorded for an applied Deployment. */
const OWNED: FieldSet = {
  'f:metadata': {
    'f:annotations': { 'f:hash': {} },
    'f:labels': { 'f:app': {} },
    'f:ownerReferences': { 'k:{"uid":"u1"}': {} },
  },
  'f:spec': {
    'f:replicas': {},
    'f:selector': {},
    'f:template': {
      'f:spec': {
        'f:containers': {
          'k:{"name":"server"}': {
            '.': {},
            'f:args': {},
            'f:image': {},
            'f:name': {},
            'f:ports': { 'k:{"containerPort":8080,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } },
            'f:resources': { 'f:limits': { 'f:memory': {} } },
          },
        },
        'f:tolerations': {},
        'f:volumes': { 'k:{"name":"tmp"}': { '.': {}, 'f:emptyDir': {}, 'f:name': {} } },
      },
    },
  },
};

const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'o', uid: 'u1', controller: true };

function live(fieldsV1: FieldSet = OWNED, manager = MANAGER): KubeObject {
  return compactOwnFields(
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: {
        name: 'd',
        ownerReferences: [owner],
        managedFields: [
          { manager: 'kube-controller-manager', operation: 'Update', fieldsV1: { 'f:status': {} } },
          { manager, operation: 'Apply', fieldsV1 },
        ],
      },
    },
    MANAGER,
  );
}

const container = {
  name: 'server',
  image: 'i',
  args: ['a', 'b'],
  ports: [{ containerPort: 8080 }],
  resources: { limits: { memory: '1024Mi' } },
};

function desired(change: { spec?: object; metadata?: object } = {}): KubeObject {
  const spec = {
    replicas: 1,
    selector: { matchLabels: { app: 'd' } },
    template: {
      spec: { containers: [container], tolerations: [{ key: 'gpu' }], volumes: [{ name: 'tmp', emptyDir: {} }] },
    },
    ...change.spec,
  };
  const metadata = {
    name: 'd',
    labels: { app: 'd' },
    annotations: { hash: 'x' },
    ownerReferences: [owner],
    ...change.metadata,
  };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec } as KubeObject;
}

describe('owning all fields of a manifest', () => {
  test('holds when every field, list item, atomic list and atomic map is in the manager’s set', () => {
    expect(ownsAll(desired(), live(), MANAGER)).toBe(true);
  });

  test('ignores members that are undefined or null, which say nothing', () => {
    expect(ownsAll(desired({ spec: { paused: undefined, strategy: null } }), live(), MANAGER)).toBe(true);
  });

  /** As the server does: a parent without children is left out, for an empty set would mean a leaf. */
  const without = (path: readonly string[], fields: FieldSet = OWNED): FieldSet => {
    const [head = '', ...rest] = path;
    const { [head]: child = {}, ...others } = fields;
    const left = rest.length === 0 ? {} : without(rest, child);
    return Object.keys(left).length === 0 ? others : { ...others, [head]: left };
  };

  test.each([
    ['replicas were scaled by someone else', without(['f:spec', 'f:replicas'])],
    ['a label was changed', without(['f:metadata', 'f:labels', 'f:app'])],
    [
      'the image was edited',
      without(['f:spec', 'f:template', 'f:spec', 'f:containers', 'k:{"name":"server"}', 'f:image']),
    ],
    ['the container was removed', without(['f:spec', 'f:template', 'f:spec', 'f:containers', 'k:{"name":"server"}'])],
    ['a toleration was added to the atomic list', without(['f:spec', 'f:template', 'f:spec', 'f:tolerations'])],
    ['the selector was replaced', without(['f:spec', 'f:selector'])],
  ])('does not hold when %s', (_title, fields) => {
    expect(ownsAll(desired(), live(fields), MANAGER)).toBe(false);
  });

  test('does not hold for a field that was never applied', () => {
    expect(ownsAll(desired({ spec: { minReadySeconds: 5 } }), live(), MANAGER)).toBe(false);
    const second = { name: 'sidecar', image: 'i' };
    expect(
      ownsAll(desired({ spec: { template: { spec: { containers: [container, second] } } } }), live(), MANAGER),
    ).toBe(false);
  });

  test('does not hold when another manager applied the object, or its owner is gone', () => {
    expect(ownsAll(desired(), live(OWNED, 'kubectl'), MANAGER)).toBe(false);
    expect(ownsAll(desired({ metadata: { ownerReferences: [{ ...owner, uid: 'u2' }] } }), live(), MANAGER)).toBe(false);
  });

  test('tells items of a set by their value', () => {
    const fields = { 'f:metadata': { 'f:finalizers': { 'v:"a/b"': {} } } };
    const wanted = (finalizer: string): KubeObject => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'c', finalizers: [finalizer] },
    });
    expect(ownsAll(wanted('a/b'), live(fields), MANAGER)).toBe(true);
    expect(ownsAll(wanted('a/c'), live(fields), MANAGER)).toBe(false);
  });
});

describe('compacting an object', () => {
  test('keeps only our own entry, shared by objects of the same shape whoever owns them', () => {
    const [a, b] = [
      live(),
      live(structuredClone({ ...OWNED, 'f:metadata': { ...OWNED['f:metadata'], 'f:ownerReferences': {} } })),
    ];
    expect(a.metadata.managedFields).toHaveLength(1);
    expect(a.metadata.managedFields?.[0]?.fieldsV1).toBe(b.metadata.managedFields?.[0]?.fieldsV1);
  });

  test('keeps nothing where we own nothing', () => {
    expect(live(OWNED, 'kubectl').metadata.managedFields).toBeUndefined();
  });
});
