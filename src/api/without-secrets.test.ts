import { expect, test } from 'vitest';
import { withoutSecrets } from './without-secrets.ts';

test.each([
  ['https://user:password@host/churn.onnx', 'https://host/churn.onnx'],
  ['https://host/churn.onnx?X-Amz-Signature=1a2b/3c#part', 'https://host/churn.onnx'],
  ['s3://bucket/churn/', 's3://bucket/churn/'],
  ['https://host/at@sign', 'https://host/at@sign'],
])('%s is shown as %s', (uri, shown) => expect(withoutSecrets(uri)).toBe(shown));
