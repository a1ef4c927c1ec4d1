import { expect, test } from 'vitest';
import { withoutSecrets } from './without-secrets.ts';

test.each([
  ['https://user:password@host/churn.onnx', 'https://host/churn.onnx'],
  ['https://host/churn.onnx?X-Amz-Signature=1a2b/3c#part', 'https://host/churn.onnx'],
  ['s3://bucket/churn/', 's3://bucket/churn/'],
  ['https://host/at@sign', 'https://host/at@sign'],
  ['https://host/churn.onnx?mail=a@b', 'https://host/churn.onnx'],
  ['https://[::1]:8080/churn.onnx', 'https://[::1]:8080/churn.onnx'],
  ['https://[::1]/at@sign', 'https://[::1]/at@sign'],
  ['https://host:8080/churn.onnx?mail', 'https://host:8080/churn.onnx'],
  ['s3://bucket/a:b@c', 's3://bucket/a:b@c'],
  ['oci://registry:5000/churn@sha256:1a2b', 'oci://registry:5000/churn@sha256:1a2b'],
  ['models:/churn@champion', 'models:/churn@champion'],
  ['https://bob:s3cr/et@host/churn.onnx', 'https://...'],
  ['https://bob:12/34@host/churn.onnx', 'https://...'],
  ['https://bob:s@cr/et@host/churn.onnx?sign', 'https://...'],
  ['s3://key:s3cr/et@bucket/churn/', 's3://...'],
  ['https://host:8443/a@v1/m.onnx', 'https://...'],
  ['https://bob:s3cr?et@host/churn.onnx', 'https://...'],
  ['https://bob:s3cr#et@host/churn.onnx', 'https://...'],
  ['https://bob:s3cret@host/churn.onnx?sign=a@b', 'https://...'],
])('%s is shown as %s', (uri, shown) => expect(withoutSecrets(uri)).toBe(shown));
