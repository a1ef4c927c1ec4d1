import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { expect, it } from 'vitest';
import { startOciRegistry } from './oci-registry.ts';
import { startS3Server } from './s3-server.ts';

/** A first run on a machine builds the servers. */
const WITH_BUILD_MS = 900_000;

it(
  'the S3 server keeps objects for who has its keys and refuses others',
  async () => {
    const server = await startS3Server({ buckets: ['models'] });
    try {
      const connect = (credentials: { accessKeyId: string; secretAccessKey: string }) =>
        new S3Client({ endpoint: server.url, region: server.region, credentials, forcePathStyle: true });
      const client = connect(server.credentials);
      await client.send(new PutObjectCommand({ Bucket: 'models', Key: 'churn/7/model.onnx', Body: 'weights' }));
      await client.send(new CreateBucketCommand({ Bucket: 'more' }));
      const object = await client.send(new GetObjectCommand({ Bucket: 'models', Key: 'churn/7/model.onnx' }));
      expect(await object.Body?.transformToString()).toBe('weights');
      const stranger = connect({ ...server.credentials, secretAccessKey: 'wrong' });
      await expect(
        stranger.send(new GetObjectCommand({ Bucket: 'models', Key: 'churn/7/model.onnx' })),
      ).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' });
    } finally {
      await server.stop();
    }
  },
  WITH_BUILD_MS,
);

it.each([
  { authenticated: false, status: 200 },
  { authenticated: true, status: 401 },
])(
  'a registry with authenticated=$authenticated answers a stranger $status, and its user 200',
  async ({ authenticated, status }) => {
    const registry = await startOciRegistry({ authenticated });
    try {
      expect((await fetch(`${registry.url}/v2/`)).status).toBe(status);
      const { username, password } = registry.credentials;
      const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
      expect((await fetch(`${registry.url}/v2/`, { headers: { authorization } })).status).toBe(200);
    } finally {
      await registry.stop();
    }
  },
  WITH_BUILD_MS,
);
