import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { loadOptions, scratch } from './load-fixture.ts';
import { resolveModel } from './resolve-model.ts';

afterEach(() => vi.unstubAllEnvs());

const MODEL = Buffer.from('weights');

/** A store that serves a bucket of `region` only to requests that are signed for it. */
async function resolveFrom(region: string, follows: boolean) {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'key');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
  vi.stubEnv('AWS_REGION', 'us-east-1');
  const server = createServer(({ headers }, response) => {
    if (follows && headers.authorization?.includes(`/${region}/s3/`)) {
      response.writeHead(200, { 'content-length': MODEL.length }).end(MODEL);
      return;
    }
    const code = '<Code>PermanentRedirect</Code><Message>The bucket is elsewhere.</Message>';
    const headersOut = { 'content-type': 'application/xml', 'x-amz-bucket-region': region };
    response.writeHead(301, headersOut).end(`<?xml version="1.0"?><Error>${code}</Error>`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await using root = await scratch();
    const options = loadOptions(root.path);
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { waits } = options;
    const outcome = await resolveModel({ ...options, uri: 's3://models/churn.onnx', endpoint }).catch(
      (error: unknown) => error,
    );
    return { outcome, waits };
  } finally {
    server.close();
  }
}

it("a bucket in another region than the environment's is read there", async () => {
  const { outcome } = await resolveFrom('eu-central-1', true);
  expect(outcome).toMatchObject({ sha256: createHash('sha256').update(MODEL).digest('hex') });
});

it('a store that only sends elsewhere is SourceUnreachable, and not asked again', async () => {
  const { outcome, waits } = await resolveFrom('eu-central-1', false);
  expect(outcome).toMatchObject({ reason: 'SourceUnreachable', message: expect.stringContaining('301') });
  expect(waits).toEqual([]);
});
