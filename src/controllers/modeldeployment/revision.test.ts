import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { specOf } from '../testing/spec.ts';
import { byAge, canonicalJson, readRevision, revisionName, sourceHash } from './revision.ts';

const model = { uri: 's3://models/churn/7/', sha256: 'a'.repeat(64), version: '7' };
const base = {
  model: { ref: { model: 'churn', alias: 'champion' } },
  runtime: { name: 'onnx', batching: {} },
  resources: { requests: { cpu: '1' }, limits: { memory: '2Gi' } },
  pod: { env: [{ name: 'A', value: 'b' }] },
};
const name = (spec: object, resolved = model) => revisionName('churn', specOf(spec), resolved);

describe('the name of a revision', () => {
  test('never changes for the same spec, so that an upgrade of Fairlead re-rolls nothing', () => {
    expect(name(base)).toBe('churn-d576213eef');
  });

  test.each([
    ['the number of replicas', { ...base, replicas: 7 }],
    ['autoscaling', { ...base, autoscaling: { minReplicas: 3 } }],
    ['the strategy', { ...base, rollout: { strategy: 'Recreate' } }],
    ['how the same bytes are named', { ...base, model: { ref: { model: 'churn', version: '7' } } }],
    ['leaving out the built-in runtime', { ...base, runtime: { batching: {} } }],
    ['writing out a default', { ...base, runtime: { batching: { maxBatchSize: 32, maxDelay: '2ms' } } }],
    ['writing a quantity as a number', { ...base, resources: { requests: { cpu: 1 }, limits: { memory: '2Gi' } } }],
    ['an empty accelerator', { ...base, accelerator: {} }],
  ])('is the same for another %s', (_title, spec) => {
    expect(name(spec)).toBe(name(base));
  });

  test.each([
    ['resources', { ...base, resources: { requests: { cpu: '2' } } }],
    ['environment', { ...base, pod: { env: [{ name: 'A', value: 'c' }] } }],
    ['batching', { ...base, runtime: { batching: { maxBatchSize: 8 } } }],
    ['accelerator', { ...base, accelerator: { mig: '1g.18gb' } }],
    ['credentials', { ...base, model: { ...base.model, credentialsRef: { name: 's3' } } }],
    ['endpoint', { ...base, model: { ...base.model, endpoint: 'http://minio:9000' } }],
    ['examples', { ...base, model: { ...base.model, examples: [{ inputs: [{ name: 'x', shape: [1], data: [1] }] }] } }],
    ['prediction log', { ...base, predictionLog: {} }],
    ['container', { ...base, runtime: { container: { image: 'x' } } }],
  ])('is another for other %s', (_title, spec) => {
    expect(name(spec)).not.toBe(name(base));
  });

  test('is another for other bytes, another place, or another version', () => {
    const names = [
      model,
      { ...model, sha256: 'b'.repeat(64) },
      { ...model, uri: 's3://x/y' },
      { ...model, version: '8' },
    ].map((resolved) => name(base, resolved));
    expect(new Set(names).size).toBe(4);
  });

  test('fits a label for the longest name that is accepted', () => {
    expect(revisionName('a'.repeat(52), specOf(base), model)).toHaveLength(63);
  });
});

test('canonical JSON is the same for any order of keys, and other for other values', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const reversed = Object.fromEntries(Object.entries(value).reverse());
      expect(canonicalJson(reversed)).toBe(canonicalJson(value));
      expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test('what a user wrote about the bytes is told apart from who may fetch them', () => {
  const uri = 's3://a/b';
  expect(sourceHash({ uri, credentialsRef: { name: 'x' } })).toBe(sourceHash({ uri }));
  expect(sourceHash({ uri, sha256: 'a'.repeat(64) })).not.toBe(sourceHash({ uri }));
  expect(sourceHash({ uri, endpoint: 'http://x' })).not.toBe(sourceHash({ uri }));
});

describe('a revision is read from its Deployment', () => {
  const deployment = (
    annotations: Record<string, string>,
    creationTimestamp = '2026-01-01T00:00:00Z',
    id = 'churn-1',
  ) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: id, annotations, creationTimestamp },
    spec: { replicas: 2, template: { spec: { containers: [{ name: 'server', image: 'live' }] } } },
  });

  test('with the image that it was made with, or the one it runs where that is not written down', () => {
    const pinned = deployment({ 'fairlead.dev/runtime-image': 'pinned' });
    expect(readRevision(pinned, undefined, 0).runtimeImage).toBe('pinned');
    expect(readRevision(deployment({}), undefined, 0).runtimeImage).toBe('live');
  });

  test('and does not know its model unless both place and digest are written down', () => {
    expect(readRevision(deployment({ 'fairlead.dev/model-uri': 's3://x/y' }), undefined, 0).model).toBeUndefined();
  });

  test('with the ports and the account that its pods were made with', () => {
    const ports = [
      { name: 'http', containerPort: 8000 },
      { name: 'grpc', containerPort: 8001 },
      { name: 'metrics', containerPort: 8002 },
    ];
    const made = (count: number) => {
      const pod = { serviceAccountName: 'own', containers: [{ name: 'server', ports: ports.slice(0, count) }] };
      return readRevision({ ...deployment({}), spec: { template: { spec: pod } } }, undefined, 0);
    };
    expect(made(3)).toMatchObject({ ports: { http: 8000, grpc: 8001 }, serviceAccount: 'own' });
    expect(made(1).ports).toEqual({ http: 8000 });
  });

  test('the newest comes first', () => {
    const times = ['2026-01-02T00:00:00Z', '2026-01-03T00:00:00Z', '2026-01-01T00:00:00Z'];
    const revisions = times.map((time, index) => readRevision(deployment({}, time, `churn-${index}`), undefined, 0));
    expect(byAge(revisions).map((revision) => revision.name)).toEqual(['churn-1', 'churn-0', 'churn-2']);
  });
});
