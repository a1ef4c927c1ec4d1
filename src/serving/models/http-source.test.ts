import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { loadOptions, scratch } from './load-fixture.ts';
import type { LoadOptions } from './load-model.ts';
import { resolveModel } from './resolve-model.ts';

/** Three megabytes, so that a dropped connection leaves some read and some not. */
const MODEL = Buffer.alloc(3 << 20, 'weights of a model ');
const SHA256 = createHash('sha256').update(MODEL).digest('hex');

interface Host {
  readonly url: string;
  readonly requests: IncomingMessage[];
  [Symbol.asyncDispose](): Promise<void>;
}

async function startHost(listener: RequestListener): Promise<Host> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    listener(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Sends part of the model, then drops the connection once the client has it. */
function sendPart(response: ServerResponse, from: number, to: number): void {
  response.write(MODEL.subarray(from, to), () => setImmediate(() => response.destroy()));
}

const rangeStart = (request: IncomingMessage) => Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);

async function resolve(uri: string, overrides: Partial<LoadOptions> = {}) {
  await using root = await scratch();
  const options = loadOptions(root.path, overrides);
  return { ...(await resolveModel({ ...options, uri })), waits: options.waits };
}

it('a dropped connection is taken up where it broke, by Range', async () => {
  await using host = await startHost((request, response) => {
    const from = rangeStart(request);
    const to = Math.min(MODEL.length, from + (1 << 20));
    const range = { 'content-range': `bytes ${from}-${MODEL.length - 1}/${MODEL.length}` };
    const headers = { etag: '"v1"', 'content-length': MODEL.length - from };
    response.writeHead(from === 0 ? 200 : 206, from === 0 ? headers : { ...headers, ...range });
    if (to === MODEL.length) response.end(MODEL.subarray(from));
    else sendPart(response, from, to);
  });
  expect((await resolve(`${host.url}/m.onnx`)).sha256).toBe(SHA256);
  expect(host.requests.length).toBeGreaterThan(1);
  expect(host.requests.at(-1)?.headers).toMatchObject({
    range: expect.stringMatching(/^bytes=\d+-$/),
    'if-range': '"v1"',
  });
});

it('a host that knows no ranges sends all again, and what was read is not read twice', async () => {
  await using host = await startHost((_request, response) => {
    response.writeHead(200, { 'content-length': MODEL.length });
    if (host.requests.length === 1) sendPart(response, 0, 1 << 20);
    else response.end(MODEL);
  });
  expect(await resolve(`${host.url}/m.onnx`)).toMatchObject({ sha256: SHA256, sizeBytes: MODEL.length, waits: [500] });
});

it('a file that changes between two pieces is refused, not patched together', async () => {
  await using host = await startHost((_request, response) => {
    response.writeHead(200, { etag: `"v${host.requests.length}"`, 'content-length': MODEL.length });
    if (host.requests.length === 1) sendPart(response, 0, 1 << 20);
    else response.end(MODEL);
  });
  await expect(resolve(`${host.url}/m.onnx`)).rejects.toMatchObject({
    reason: 'SourceUnreachable',
    message: expect.stringContaining('changed while it was read'),
  });
});

it('a host that always drops is given up after growing waits, and the message has the numbers', async () => {
  await using host = await startHost((_request, response) => {
    response.writeHead(200, { 'content-length': MODEL.length });
    sendPart(response, 0, 1000);
  });
  await using root = await scratch();
  const options = loadOptions(root.path);
  await expect(resolveModel({ ...options, uri: `${host.url}/m.onnx` })).rejects.toMatchObject({
    reason: 'SourceUnreachable',
    message: expect.stringMatching(/attempt 4, the last/),
  });
  expect(options.waits).toEqual([500, 2000, 5000]);
});

it.each([408, 429, 500, 503])('a host that answers %i is asked again, and may heal', async (status) => {
  await using host = await startHost((_request, response) => {
    if (host.requests.length < 3) response.writeHead(status).end();
    else response.end(MODEL);
  });
  expect(await resolve(`${host.url}/m.onnx`)).toMatchObject({ sha256: SHA256, waits: [500, 2000] });
});

it.each([
  [401, 'AccessDenied'],
  [403, 'AccessDenied'],
  [404, 'ModelNotFound'],
  [410, 'ModelNotFound'],
  [418, 'SourceUnreachable'],
])('a host that answers %i is not asked again: %s', async (status, reason) => {
  await using host = await startHost((_request, response) => response.writeHead(status).end());
  await expect(resolve(`${host.url}/m.onnx`)).rejects.toMatchObject({ reason });
  expect(host.requests).toHaveLength(1);
});

it('a host that is down is SourceUnreachable, and no secret of the URI is shown', async () => {
  const uri = 'http://user:hunter2@127.0.0.1:1/m.onnx?X-Amz-Signature=c0ffee';
  const failed = await resolve(uri).catch((error: unknown) => error);
  expect(failed).toMatchObject({ reason: 'SourceUnreachable', message: expect.stringContaining('refused') });
  expect(String(failed)).not.toMatch(/hunter2|c0ffee/);
});

it('a host name that nobody knows is SourceUnreachable', async () => {
  // Once: some resolvers take seconds to say so.
  const failed = resolve('http://model-host.invalid/m.onnx', { limits: { retryDelaysMs: [] } });
  await expect(failed).rejects.toMatchObject({ reason: 'SourceUnreachable' });
});

it('a host that stalls before or amid its answer is SourceUnreachable', async () => {
  await using silent = await startHost(() => {});
  await using stalling = await startHost((_request, response) => {
    response.writeHead(200, { 'content-length': MODEL.length });
    response.write(MODEL.subarray(0, 1000));
  });
  const limits = { idleTimeoutMs: 30, retryDelaysMs: [] };
  const failures = [silent, stalling].map(({ url }) => resolve(`${url}/m.onnx`, { limits }));
  for (const { status, reason } of (await Promise.allSettled(failures)) as PromiseRejectedResult[]) {
    expect({ status, reason }).toMatchObject({ status: 'rejected', reason: { reason: 'SourceUnreachable' } });
  }
});

it('a host that is merely slow is given up at the total time, which the message tells', async () => {
  await using host = await startHost((_request, response) => {
    response.writeHead(200, { 'content-length': MODEL.length });
    const timer = setInterval(() => response.write(MODEL.subarray(0, 10)), 5);
    response.on('close', () => clearInterval(timer));
  });
  const failed = resolve(`${host.url}/m.onnx`, { limits: { totalTimeoutMs: 100 } });
  await expect(failed).rejects.toMatchObject({
    reason: 'SourceUnreachable',
    message: expect.stringContaining('0.1 s'),
  });
});

it.each([
  [
    'compressed, though it was asked for as it is,',
    200,
    { 'content-encoding': 'gzip' },
    'is sent with Content-Encoding: gzip',
  ],
  [
    'in part, though all of it was asked for,',
    206,
    { 'content-range': 'bytes 0-3/100' },
    'another part than was asked',
  ],
])('a file that is sent %s is refused: its digest would be pinned', async (_, status, headers, message) => {
  await using host = await startHost((_request, response) => {
    response.writeHead(status, headers).end(MODEL.subarray(0, 4));
  });
  await expect(resolve(`${host.url}/m.onnx`)).rejects.toMatchObject({
    reason: 'SourceUnreachable',
    message: expect.stringContaining(message),
  });
});

it('a redirect loop ends', async () => {
  await using host = await startHost((_request, response) => response.writeHead(302, { location: '/m.onnx' }).end());
  await expect(resolve(`${host.url}/m.onnx`)).rejects.toMatchObject({
    reason: 'SourceUnreachable',
    message: expect.stringContaining('redirects more than 5 times'),
  });
  expect(host.requests).toHaveLength(6);
});

it('the token goes to the host of the URI, and not to where that redirects', async () => {
  await using store = await startHost((_request, response) => response.end(MODEL));
  await using host = await startHost((_request, response) =>
    response.writeHead(307, { location: `${store.url}/blob?sig=1` }).end(),
  );
  const credentials = { httpBearerToken: 'tok3n' };
  expect((await resolve(`${host.url}/m.onnx`, { credentials })).sha256).toBe(SHA256);
  expect(host.requests[0]?.headers.authorization).toBe('Bearer tok3n');
  expect(store.requests[0]?.headers.authorization).toBeUndefined();
});

it('a user and password in the URI are sent as Basic', async () => {
  await using host = await startHost((_request, response) => response.end(MODEL));
  await resolve(`${host.url.replace('//', '//user:p%40ss@')}/m.onnx`);
  expect(host.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from('user:p@ss').toString('base64')}`);
});

it('a model larger than allowed is refused before it fills anything', async () => {
  await using host = await startHost((_request, response) => response.end(MODEL));
  const failed = resolve(`${host.url}/m.onnx`, { limits: { maxModelBytes: 1 << 20 } });
  await expect(failed).rejects.toMatchObject({ reason: 'InvalidModel' });
});

it('an abort by the caller is no failure of the model', async () => {
  await using host = await startHost(() => stop.abort(new Error('stopping')));
  const stop = new AbortController();
  await expect(resolve(`${host.url}/m.onnx`, { signal: stop.signal })).rejects.toThrow('stopping');
});
