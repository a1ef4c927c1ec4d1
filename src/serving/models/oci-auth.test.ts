import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { loadOptions } from './load-fixture.ts';
import { parseChallenge } from './oci-auth.ts';
import { parseOciReference } from './oci-registry.ts';
import { resolveModel } from './resolve-model.ts';
import { parseModelUri } from './source.ts';

it.each([
  [
    'Bearer realm="https://auth.test/token",service="registry.test",scope="repository:a/b:pull"',
    'bearer',
    { realm: 'https://auth.test/token', service: 'registry.test', scope: 'repository:a/b:pull' },
  ],
  ['Basic realm="say \\"who\\""', 'basic', { realm: 'say "who"' }],
  ['bearer realm=https://auth.test/token , service=x', 'bearer', { realm: 'https://auth.test/token', service: 'x' }],
])('reads the challenge %s', (header, scheme, parameters) => {
  const challenge = parseChallenge(header);
  expect(challenge?.scheme).toBe(scheme);
  expect(Object.fromEntries(challenge?.parameters ?? [])).toEqual(parameters);
});

it.each([
  ['oci://ghcr.io/team/churn:7', undefined, { origin: 'https://ghcr.io', repository: 'team/churn', reference: '7' }],
  ['oci://ghcr.io/churn', undefined, { origin: 'https://ghcr.io', repository: 'churn', reference: 'latest' }],
  [
    'oci://localhost:5000/a/b/c:v1',
    undefined,
    { origin: 'http://localhost:5000', repository: 'a/b/c', reference: 'v1' },
  ],
  [
    'oci://r.test/churn:7@sha256:abc',
    undefined,
    { origin: 'https://r.test', repository: 'churn', reference: 'sha256:abc' },
  ],
  [
    'oci://r.test/churn',
    'http://10.0.0.1:5000',
    { origin: 'http://10.0.0.1:5000', repository: 'churn', reference: 'latest' },
  ],
])('reads the reference %s', (uri, endpoint, reference) => {
  expect(parseOciReference(parseModelUri(uri), endpoint)).toEqual(reference);
});

it('asks the token server that the registry names, with the credentials, and shows the registry its token only', async () => {
  const seen: string[] = [];
  const layer = Buffer.from('weights');
  const digest = 'sha256:c1393fd33e9a2df9c57ebac8ddf3d9be9b9d9c8a7f1d6b3d5d1b5d1e4f6a7b8c';
  const server = createServer((request, response) => {
    seen.push(`${request.url?.split('?')[0]} ${request.headers.authorization?.split(' ')[0] ?? '-'}`);
    if (request.url?.startsWith('/token')) return void response.end(JSON.stringify({ token: 't' }));
    if (request.headers.authorization !== 'Bearer t') {
      return void response.writeHead(401, { 'www-authenticate': `Bearer realm="${origin}/token",service="r"` }).end();
    }
    if (request.url?.includes('/blobs/')) return void response.end(layer);
    response.end(JSON.stringify({ layers: [{ mediaType: 'x/y', digest, size: layer.length }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const credentials = { registryUsername: 'u', registryPassword: 'p' };
  const resolved = resolveModel({ ...loadOptions('/nowhere', { credentials }), uri: `oci://${origin.slice(7)}/m:1` });
  // The layer's bytes are not those of its digest: the last thing that is checked.
  await expect(resolved).rejects.toMatchObject({ reason: 'DigestMismatch' });
  expect(seen).toEqual([
    '/v2/m/manifests/1 -',
    '/token Basic',
    '/v2/m/manifests/1 Bearer',
    `/v2/m/blobs/${digest} Bearer`,
  ]);
});
