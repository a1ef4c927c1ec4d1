import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { request as undiciRequest } from 'undici';
import { describe, expect, onTestFinished, test } from 'vitest';
import { FakeSession } from '../testing/fake-session.ts';
import { httpServers, identity, MAX_REQUEST_BYTES, x } from '../testing/http-server.ts';

const start = httpServers(onTestFinished);

/** Sends bytes as they are and gives everything that comes back until the server closes. */
async function raw(port: number, ...pieces: readonly (string | Buffer)[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  for (const piece of pieces) socket.write(piece);
  return text(socket);
}

const POST = 'POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\n';

test.each([
  ['has a length and chunks', `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ['has a length that is none', `${POST}Content-Length: abc\r\n\r\n`, 400],
  ['names no host', 'GET /v2 HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
  ['has headers of 20 kB', `${POST}X: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
])('a request that %s is told so in the form of every error', async (_, request, status) => {
  const { port } = await start(identity);
  const answer = await raw(port, request);
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  expect(head).toContain('Content-Type: application/json');
  expect(JSON.parse(body)).toEqual({ error: expect.stringMatching(/./) });
});

test('a body that ends before its length is refused in the form of every error', async () => {
  const { port } = await start(identity);
  const socket = connect(port, '127.0.0.1');
  socket.end(`${POST}Content-Length: 50\r\n\r\n{}`);
  expect(await text(socket)).toMatch(/^HTTP\/1.1 400 [\s\S]*\{"error":"the request cannot be read/);
});

test('a request of HTTP 1.0 needs no host', async () => {
  const { port } = await start(identity);
  expect(await raw(port, 'GET /v2 HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1.1 200 /);
});

describe('limits', () => {
  test('a body that says it is too large is refused before it is sent', async () => {
    const { port } = await start(identity);
    const answer = await raw(
      port,
      'POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n',
      'x'.repeat(100),
    );
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
    expect(answer).toContain('the body has 1000000000 bytes; at most 10000 are taken');
    expect(answer.toLowerCase()).toContain('connection: close');
  });

  test('a client that waits for 100 Continue is told 413 in its place', async () => {
    const { port } = await start(identity);
    const head = 'POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n';
    expect(await raw(port, `${head}Content-Length: 1000000000\r\n\r\n`)).toMatch(/^HTTP\/1.1 413 /);
    const small = JSON.stringify({ inputs: [x] });
    const answer = await raw(port, `${head}Connection: close\r\nContent-Length: ${small.length}\r\n\r\n`, small);
    expect(answer).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK/);
  });

  test('a gigabyte in chunks is refused once it passes the limit, its sender sees why, and nothing of it is kept', async () => {
    const { url } = await start(identity);
    const piece = Buffer.alloc(2 ** 20, 0x20);
    let sent = 0;
    async function* gigabyte() {
      for (; sent < 1024; sent++) yield piece;
    }
    const before = process.memoryUsage().arrayBuffers;
    const answer = await undiciRequest(`${url}/v2/models/m/infer`, { method: 'POST', body: Readable.from(gigabyte()) });
    expect(answer.statusCode).toBe(413);
    expect(await answer.body.text()).toContain('the body has more than 10000 bytes');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * 2 ** 20);
  });

  test('the larger bodies of all connections together are bounded; small ones always pass', async () => {
    const { port, call } = await start(identity);
    const head = 'POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
    const unfinished = `${head}1\r\n \r\n${(9000).toString(16)}\r\n${' '.repeat(9000)}\r\n`;
    const holders = Array.from({ length: 10 }, () => connect(port, '127.0.0.1'));
    const answers = holders.map((holder) => text(holder).catch(() => ''));
    for (const holder of holders) holder.write(unfinished);
    await expect.poll(() => holders.filter(({ bytesRead }) => bytesRead > 0).length).toBe(8);
    expect((await call('/v2/models/m/infer', { inputs: [x] })).status).toBe(200);
    for (const holder of holders) holder.destroy();
    await Promise.all(answers);
    const finished = async (): Promise<string> =>
      raw(port, `${unfinished.replace('Host: a', 'Host: a\r\nConnection: close')}0\r\n\r\n`);
    await expect.poll(finished).toContain('the body is not JSON');
  });

  test('a client that goes while its request runs does no harm', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const session = new FakeSession({
      run: async (inputs) => promise.then(() => inputs.map((input) => ({ ...input, name: 'y' }))),
    });
    const { port, call, metrics } = await start({ session });
    const body = JSON.stringify({ inputs: [x] });
    const gone = connect(port, '127.0.0.1');
    gone.write(`POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await expect.poll(() => session.runs.length).toBe(1);
    gone.destroy();
    resolve();
    expect((await call('/v2/models/m/infer', { inputs: [x] })).status).toBe(200);
    expect(await metrics.registry.getSingleMetricAsString('model_predictions_total')).toContain('outcome="success"} 2');
  });

  test('a body that finds the memory for bodies full is 429 with when to come again', async () => {
    const { port } = await start(identity);
    // In two pieces each, so that they count; two of three fill the memory, and their clients do not go on.
    const answers = [1, 2, 3].map(async () => {
      const socket = connect(port, '127.0.0.1');
      onTestFinished(() => void socket.destroy());
      socket.write(`${POST}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1388\r\n${' '.repeat(0x1388)}\r\n`);
      const [answer] = await once(socket, 'data');
      return String(answer);
    });
    const refused = await Promise.race(answers);
    expect(refused).toMatch(/^HTTP\/1.1 429 /);
    expect(refused).toContain('\r\nRetry-After: 1\r\nFairlead-Unprocessed: 1\r\n');
  });

  test('a full queue is 429 with when to come again', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const session = new FakeSession({ run: async (inputs) => promise.then(() => inputs) });
    const { call, metrics } = await start({
      session,
      batching: { maxBatchSize: 1, maxDelayMs: 0, maxQueueSize: 1 },
    });
    const first = call('/v2/models/m/infer', { inputs: [x] });
    await expect.poll(() => session.runs.length).toBe(1);
    const second = call('/v2/models/m/infer', { inputs: [x] });
    await expect.poll(async () => metrics.registry.getSingleMetricAsString('model_queue_depth')).toContain('} 1');
    const third = await call('/v2/models/m/infer', { inputs: [x] });
    expect({ status: third.status, retryAfter: third.headers.get('retry-after') }).toEqual({
      status: 429,
      retryAfter: '1',
    });
    expect(third.body).toBe('{"error":"the queue is full: 1 requests wait for this model, as many as may"}');
    resolve();
    expect([(await first).status, (await second).status]).toEqual([200, 200]);
    expect(await metrics.registry.getSingleMetricAsString('model_predictions_total')).toContain('outcome="shed"} 1');
  });

  test('a request whose client has gone leaves the queue and is never run', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const session = new FakeSession({ run: async (inputs) => promise.then(() => inputs) });
    const { port, call, metrics } = await start({
      session,
      batching: { maxBatchSize: 1, maxDelayMs: 0, maxQueueSize: 10 },
    });
    const first = call('/v2/models/m/infer', { inputs: [x] });
    await expect.poll(() => session.runs.length).toBe(1);
    const body = JSON.stringify({ inputs: [x] });
    const gone = connect(port, '127.0.0.1');
    gone.write(`POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    const depth = () => metrics.registry.getSingleMetricAsString('model_queue_depth');
    await expect.poll(depth).toContain('} 1');
    gone.destroy();
    await expect.poll(depth).toContain('} 0');
    resolve();
    expect((await first).status).toBe(200);
    expect(session.runs).toHaveLength(1);
    expect(await metrics.registry.getSingleMetricAsString('model_predictions_total')).toContain(
      'outcome="cancelled"} 1',
    );
  });
});

describe('connections', () => {
  test('pipelined requests are answered in order', async () => {
    const { port } = await start(identity);
    const ask = (data: number[], close = false) => {
      const body = JSON.stringify({ inputs: [{ ...x, data }] });
      return `POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\n${close ? 'Connection: close\r\n' : ''}Content-Length: ${body.length}\r\n\r\n${body}`;
    };
    const answer = await raw(port, ask([1, 1]) + ask([2, 2]) + ask([3, 3], true));
    expect([...answer.matchAll(/"data":\[([0-9]),/g)].map(([, value]) => value)).toEqual(['1', '2', '3']);
  });

  test('a body may come in any pieces, chunked or not', async () => {
    const { port } = await start(identity);
    const body = JSON.stringify({ inputs: [x] });
    const pieces = [...body].map((character) => `1\r\n${character}\r\n`);
    const answer = await raw(
      port,
      'POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n',
      ...pieces,
      '0\r\n\r\n',
    );
    expect(answer).toMatch(/^HTTP\/1.1 200 OK/);
  });

  test.each([
    ['two lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n'],
    ['a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'],
    ['a length that is no number', 'Content-Length: 5x\r\n'],
    ['a header with a space before its colon', 'Content-Length : 5\r\n'],
    ['a header over two lines', 'A: b\r\n c\r\n'],
    ['no host', ''],
  ])('%s is refused and the connection closed, so no second request can hide in the first', async (name, headers) => {
    const { port } = await start(identity);
    const host = name === 'no host' ? '' : 'Host: a\r\n';
    const answer = await raw(port, `POST /v2/models/m/infer HTTP/1.1\r\n${host}${headers}\r\n`, 'hello');
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(answer.match(/HTTP\/1.1/g)).toHaveLength(1);
  });

  test('a connection serves many requests, good and bad, one after the other', async () => {
    const { call, metrics } = await start(identity);
    for (let round = 0; round < 20; round++) {
      expect((await call('/v2/models/m/infer', { inputs: [x] })).status).toBe(200);
      expect((await call('/v2/models/m/infer', { inputs: [] })).status).toBe(400);
      expect((await call('/v2/models/none/infer', { inputs: [x] })).status).toBe(404);
    }
    const counted = await metrics.registry.metrics();
    expect(counted).toContain('model_predictions_total{model="m",version="",outcome="success"} 20');
    expect(counted).toContain('model_predictions_total{model="m",version="",outcome="invalid"} 20');
    expect(counted).toContain('model_requests_unroutable_total 20');
    expect(counted).toContain('model_prediction_latency_seconds_count{model="m",version=""} 20');
  });

  test('requests that are refused before a model is asked are counted by why', async () => {
    const { call, metrics } = await start(identity);
    await call('/v2/models/m/infer', 'x'.repeat(MAX_REQUEST_BYTES + 1));
    await call('/v2/models/m/infer', undefined, { method: 'DELETE' });
    await call('/nowhere');
    const counted = await metrics.registry.getSingleMetricAsString('model_requests_refused_total');
    for (const code of ['TooLarge', 'MethodNotAllowed', 'NotFound']) expect(counted).toContain(`{code="${code}"} 1`);
  });

  test('requests that come while the engine is busy share its next run, and each gets its own answer', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const session = new FakeSession({
      run: async (inputs) => promise.then(() => inputs.map((input) => ({ ...input, name: 'y' }))),
    });
    const { call, metrics } = await start({ session });
    const ask = (index: number) => call('/v2/models/m/infer', { inputs: [{ ...x, data: [index, index + 1] }] });
    const first = ask(0);
    await expect.poll(() => session.runs.length).toBe(1);
    const others = Array.from({ length: 20 }, (_, index) => ask(index + 1));
    await expect.poll(async () => metrics.registry.getSingleMetricAsString('model_queue_depth')).toContain('} 20');
    resolve();
    for (const [index, { body }] of (await Promise.all([first, ...others])).entries()) {
      expect(JSON.parse(body).outputs[0].data).toEqual([index, index + 1]);
    }
    expect(session.runs.map(([input]) => input?.shape[0])).toEqual([1, 20]);
    expect(await metrics.registry.getSingleMetricAsString('model_batch_requests')).toContain(
      'model_batch_requests_sum{model="m",version=""} 21',
    );
  });
});
