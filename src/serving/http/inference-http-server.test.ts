import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { request as undiciRequest } from 'undici';
import { afterEach, describe, expect, test } from 'vitest';
import { FakeSession, identitySession } from '../testing/fake-session.ts';
import { type ModelFixture, served } from '../testing/served.ts';
import { InferenceHttpServer } from './inference-http-server.ts';

const MAX_REQUEST_BYTES = 10_000;
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

async function start(...models: readonly ModelFixture[]) {
  const fixture = served(...models);
  const http = new InferenceHttpServer({
    ...fixture,
    maxRequestBytes: MAX_REQUEST_BYTES,
    maxBodyBytes: 2 * MAX_REQUEST_BYTES,
    serverVersion: '1.2.3',
    onRefused: (code) => fixture.metrics.refused.inc({ code }),
  });
  http.server.listen(0, '127.0.0.1');
  await once(http.server, 'listening');
  ends.push(() => {
    http.server.close();
    http.server.closeAllConnections();
  });
  const { port } = http.server.address() as AddressInfo;
  const call = async (path: string, body?: unknown, init: RequestInit = {}) => {
    const post =
      body === undefined ? {} : { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) };
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { ...post, ...init });
    return { status: response.status, headers: response.headers, body: await response.text() };
  };
  return { ...fixture, port, call, url: `http://127.0.0.1:${port}` };
}

/** Sends bytes as they are and gives everything that comes back until the server closes. */
async function raw(port: number, ...pieces: readonly (string | Buffer)[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  for (const piece of pieces) socket.write(piece);
  return text(socket);
}

const x = { name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] };
const identity = { session: new FakeSession() };

describe('what the server says of itself', () => {
  test.each([
    ['/v2', 200, { name: 'fairlead', version: '1.2.3', extensions: ['binary_tensor_data'] }],
    ['/v2/', 200, { name: 'fairlead', version: '1.2.3', extensions: ['binary_tensor_data'] }],
    ['/v2/health/live', 200, { live: true }],
    ['/v2/health/ready', 200, { ready: true }],
    ['/health', 200, { status: 'ready' }],
    ['/v2/models/m/ready', 200, { name: 'm', ready: true }],
    [
      '/v2/models/m?x=1',
      200,
      {
        name: 'm',
        platform: 'onnx_onnxv1',
        inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
        outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
      },
    ],
    ['/v2/models/other', 404, { error: 'unknown model "other": there are "m"' }],
    ['/v2/models/m/versions/2', 404, { error: 'model "m" has no version "2": it is served without versions' }],
    ['/v2/models/m/versions', 404, { error: 'nothing lives at "/v2/models/m/versions"' }],
    ['/v2/models', 404, { error: 'nothing lives at "/v2/models"' }],
    ['/v2/models/%ff', 404, { error: '"%ff" in the path is not percent-encoded UTF-8' }],
    ['/', 404, { error: 'nothing lives at "/"' }],
    ['/v2/models/m/infer', 405, { error: '"/v2/models/m/infer" takes POST, not GET' }],
  ])('GET %s is %i', async (path, status, body) => {
    const { call } = await start(identity);
    const answer = await call(path);
    expect({ status: answer.status, body: JSON.parse(answer.body) }).toEqual({ status, body });
  });

  test('a draining server is not ready but goes on serving', async () => {
    const { call, readiness } = await start(identity);
    readiness.phase = 'draining';
    expect((await call('/v2/health/ready')).status).toBe(503);
    expect((await call('/health')).body).toBe('{"status":"draining"}');
    expect((await call('/v2/health/live')).status).toBe(200);
    expect((await call('/v2/models/m/infer', { inputs: [x] })).status).toBe(200);
  });

  test('a closing server tells every connection to go elsewhere', async () => {
    const { call, readiness } = await start(identity);
    readiness.phase = 'closing';
    expect((await call('/v2/models/m/infer', { inputs: [x] })).headers.get('connection')).toBe('close');
  });
});

describe('inference', () => {
  test('answers with the model, the id and every output', async () => {
    const { call } = await start(identity);
    const { status, headers, body } = await call('/v2/models/m/infer', { id: 'é', inputs: [x] });
    expect({ status, type: headers.get('content-type') }).toEqual({ status: 200, type: 'application/json' });
    expect(JSON.parse(body)).toEqual({
      model_name: 'm',
      id: 'é',
      outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: [1, 2] }],
    });
  });

  test('integers of 64 bits keep every digit both ways', async () => {
    const { call } = await start({ session: identitySession('INT64') });
    const input = '{"name":"x","shape":[1,2],"datatype":"INT64","data":[9223372036854775807,-9007199254740993]}';
    expect((await call('/v2/models/m/infer', `{"inputs":[${input}]}`)).body).toContain(
      '[9223372036854775807,-9007199254740993]',
    );
  });

  test('binary tensors go in and come out, with values that JSON has no numbers for', async () => {
    const { url } = await start(identity);
    const data = Buffer.from(Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY).buffer);
    const head = JSON.stringify({
      inputs: [{ ...x, data: undefined, parameters: { binary_data_size: 8 } }],
      outputs: [{ name: 'y', parameters: { binary_data: true } }],
    });
    const { statusCode, headers, body } = await undiciRequest(`${url}/v2/models/m/infer`, {
      method: 'POST',
      headers: { 'inference-header-content-length': String(head.length) },
      body: Buffer.concat([Buffer.from(head), data]),
    });
    const answer = Buffer.from(await body.arrayBuffer());
    const headLength = Number(headers['inference-header-content-length']);
    expect(statusCode).toBe(200);
    expect(headers['content-type']).toBe('application/octet-stream');
    expect(JSON.parse(answer.toString('utf8', 0, headLength)).outputs).toEqual([
      { name: 'y', datatype: 'FP32', shape: [1, 2], parameters: { binary_data_size: 8 } },
    ]);
    expect(answer.subarray(headLength)).toEqual(data);
  });

  test.each([
    [
      'another number of values',
      { inputs: [{ ...x, data: [1] }] },
      {},
      400,
      /data has 1 values but shape \[1, 2\] needs 2/,
    ],
    ['no JSON', '{', {}, 400, /not JSON/],
    [
      'an unknown output',
      { inputs: [x], outputs: [{ name: 'q' }] },
      {},
      404,
      /unknown output "q": the model gives "y"/,
    ],
    ['a compressed body', { inputs: [x] }, { 'content-encoding': 'gzip' }, 415, /content-encoding "gzip" is not taken/],
    [
      'a JSON length that is no number',
      { inputs: [x] },
      { 'inference-header-content-length': '-1' },
      400,
      /must be a number of bytes, not "-1"/,
    ],
    [
      'a JSON length beyond the body',
      { inputs: [x] },
      { 'inference-header-content-length': '5000' },
      400,
      /is 5000 but the body has/,
    ],
  ])('%s is a client error with a reason', async (_, body, headers, status, message) => {
    const { call } = await start(identity);
    const answer = await call('/v2/models/m/infer', body, { headers });
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body).error).toMatch(message);
  });

  test('a model that fails is a server error, and the server goes on', async () => {
    const session = new FakeSession({ run: async () => Promise.reject(new Error('out of cheese')) });
    const { call } = await start({ session });
    const answer = await call('/v2/models/m/infer', { inputs: [x] });
    expect({ status: answer.status, body: answer.body }).toEqual({
      status: 500,
      body: '{"error":"the model failed: out of cheese"}',
    });
    expect((await call('/v2/health/live')).status).toBe(200);
  });

  test('versions answer at their own paths, the last listed one where none is named', async () => {
    const of = (value: number) =>
      new FakeSession({
        run: async () => [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(value, value) }],
      });
    const { call } = await start({ session: of(1), version: '1' }, { session: of(2), version: '2' });
    expect(JSON.parse((await call('/v2/models/m/versions/1/infer', { inputs: [x] })).body)).toMatchObject({
      model_version: '1',
      outputs: [{ data: [1, 1] }],
    });
    expect(JSON.parse((await call('/v2/models/m/infer', { inputs: [x] })).body)).toMatchObject({
      model_version: '2',
      outputs: [{ data: [2, 2] }],
    });
    expect(JSON.parse((await call('/v2/models/m')).body).versions).toEqual(['1', '2']);
  });
});

describe('rows', () => {
  test.each([
    ['/predict', { instance: [1, 2] }, '{"model_name":"m","prediction":[1,2]}'],
    [
      '/predict',
      {
        instances: [
          [1, 2],
          [3, 4],
        ],
      },
      '{"model_name":"m","predictions":[[1,2],[3,4]]}',
    ],
    ['/predict/m', { instance: { x: [1, 2] } }, '{"model_name":"m","prediction":[1,2]}'],
    ['/batch_predict', { instances: [[1, 2]] }, '{"model_name":"m","predictions":[[1,2]]}'],
  ])('POST %s %j', async (path, body, expected) => {
    const { call } = await start(identity);
    expect(await call(path, body)).toMatchObject({ status: 200, body: expected });
  });

  test.each([
    ['/batch_predict', { instance: [1, 2] }, 400, /takes "instances"/],
    ['/predict/other', { instance: [1, 2] }, 404, /unknown model "other"/],
    ['/predict/m/versions/9', { instance: [1, 2] }, 404, /no version "9"/],
    ['/predict/m/more', { instance: [1, 2] }, 404, /nothing lives/],
  ])('POST %s %j is %i', async (path, body, status, message) => {
    const { call } = await start(identity);
    const answer = await call(path, body);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body).error).toMatch(message);
  });

  test('with several models the path has to name one', async () => {
    const { call } = await start({ ...identity, name: 'a' }, { ...identity, name: 'b' });
    expect((await call('/predict', { instance: [1, 2] })).body).toBe(
      '{"error":"name one of the models in the path: \\"a\\", \\"b\\""}',
    );
    expect((await call('/predict/b', { instance: [1, 2] })).status).toBe(200);
  });
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

  test('a full queue is 429 with when to come again', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const session = new FakeSession({ run: async (inputs) => promise.then(() => inputs) });
    const { call, metrics } = await start({ session, batching: { maxBatchSize: 1, maxDelayMs: 0, maxQueueSize: 1 } });
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
