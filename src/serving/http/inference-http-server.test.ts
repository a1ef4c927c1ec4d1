import { request as undiciRequest } from 'undici';
import { describe, expect, onTestFinished, test } from 'vitest';
import { FakeSession, identitySession } from '../testing/fake-session.ts';
import { httpServers, identity, x } from '../testing/http-server.ts';

const start = httpServers(onTestFinished);

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
