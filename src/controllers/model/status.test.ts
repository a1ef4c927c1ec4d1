import { expect, test } from 'vitest';
import type { Model, ModelVersion } from '../kinds.ts';
import { report } from './status.ts';

const MODEL: Model = {
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'Model',
  metadata: { name: 'churn', namespace: 'shop', generation: 1 },
  spec: { aliases: {} },
};

const made = (version: string, second: number): ModelVersion => ({
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'ModelVersion',
  metadata: { name: `churn-${version}`, namespace: 'shop', creationTimestamp: `2026-05-01T12:00:0${second}Z` },
  spec: { model: 'churn', version, uri: 's3://models/churn.onnx', sha256: '0'.repeat(64) },
});

test.each([
  ['of versions applied together, that of the highest number', [made('9', 1), made('10', 1), made('8', 1)], '10'],
  ['else the one made last', [made('9', 2), made('10', 1)], '9'],
])('the latest version is %s', (_, versions, latest) => {
  expect(report(MODEL, versions).fields.latest).toBe(latest);
});
