import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import Value from 'typebox/value';
import { Agent, request } from 'undici';
import { afterEach, expect, test } from 'vitest';
import { CountsSnapshot } from '../api/counts.ts';
import { LoadFailure } from './models/failure.ts';
import { OnnxSession } from './models/onnx-session.ts';
import { PredictionLog } from './prediction-log.ts';
import type { ServerDependencies } from './server.ts';
import type { ServerOptions } from './server-options.ts';
import type { SessionLike } from './session.ts';
import { FakeSession } from './testing/fake-session.ts';
import { inferenceServer } from './testing/inference-server.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

const uri = 'file:///m.onnx';

async function start(
  openSession: () => Promise<SessionLike>,
  options: Partial<ServerOptions> = {},
  delay: ServerDependencies['delay'] = (ms, signal) => wait(ms, undefined, { signal }).catch(() => undefined),
) {
  const server = inferenceServer(
    { config: { models: [{ name: 'm', uri }] }, maxRequestBytes: 100_000, ...options },
    { openSession, delay },
  );
  const ports = await server.listen();
  ends.push(() => server.kill());
  const status = async (path: string) => {
    const answer = await request(`http://127.0.0.1:${ports.http}${path}`);
    await answer.body.dump();
    return answer.statusCode;
  };
  return { server, ports, status };
}

const never = new AbortController().signal;
const body = (columns: number) =>
  JSON.stringify({
    inputs: [
      { name: 'x', shape: [1, columns], datatype: 'FP32', data: Array.from({ length: columns }, (_, index) => index) },
    ],
  });

test('a server lives while its models load, and is ready only after they answered', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const session = new FakeSession();
  const { server, status, ports } = await start(() => promise.then(() => session));
  const loaded = server.load();
  expect(await status('/v2/health/live')).toBe(200);
  expect(await status('/v2/health/ready')).toBe(503);
  expect(await status('/v2/models/m/ready')).toBe(503);
  const answer = await request(`http://127.0.0.1:${ports.http}/v2/models/m/infer`, { method: 'POST', body: body(2) });
  expect(answer.statusCode).toBe(503);
  expect(await answer.body.json()).toEqual({ error: 'model "m" is loading' });
  resolve();
  await loaded;
  expect(session.runs.length).toBeGreaterThan(0);
  expect(await status('/v2/health/ready')).toBe(200);
  const metrics = await request(`http://127.0.0.1:${ports.metrics}/metrics`);
  expect(await metrics.body.text()).toContain('model_load_seconds{model="m",version=""}');
});

test.each([
  ['of its revision', { modelDeployment: 'churn', name: 'churn-ab12' }, ['churn', 'churn-ab12']],
  ['of its model and version, alone', undefined, ['m', '']],
])(
  'a server tells its counts as those %s: answers, errors, predictions',
  async (_, revision, [target = '', name = '']) => {
    const { server, ports } = await start(async () => new FakeSession(), {
      config: { models: [{ name: 'm', uri }], ...(revision && { revision }) },
    });
    await server.load();
    const ask = async (text: string) => {
      const answer = await request(`http://127.0.0.1:${ports.http}/v2/models/m/infer`, { method: 'POST', body: text });
      return await answer.body.json();
    };
    const { outputs } = (await ask(body(2))) as { outputs: readonly { name: string; shape: readonly number[] }[] };
    expect(await ask('{')).toHaveProperty('error');
    const answer = await request(`http://127.0.0.1:${ports.metrics}/counts`);
    const counts = await answer.body.json();
    expect(Value.Check(CountsSnapshot, counts)).toBe(true);
    expect(counts).toEqual({
      instance: 'server_1',
      inFlight: 0,
      revisions: {
        [target]: {
          [name]: {
            // A request that is wrong is the client's error.
            requests: 2,
            errors: 0,
            cancelled: 0,
            latency: expect.objectContaining({ sumSeconds: expect.any(Number) }),
            predictions: Object.fromEntries(
              outputs.map((output) => [output.name, expect.objectContaining({ other: 0 })]),
            ),
          },
        },
      },
    });
  },
);

test('a model that fails to load says why, and its session is closed', async () => {
  const failing = new FakeSession({ run: async () => Promise.reject(new Error('no')) });
  const { server, status } = await start(async () => failing);
  await expect(server.load()).rejects.toBeInstanceOf(LoadFailure);
  expect(failing.isClosed).toBe(true);
  expect(await status('/v2/health/ready')).toBe(503);
});

test('a stop under load loses no request and closes the session last', async () => {
  const path = fileURLToPath(new URL('../../e2e/models/breast-cancer-v2.onnx', import.meta.url));
  const { server, ports } = await start(async () => new OnnxSession({ path, device: 'cpu', threads: 1 }), {
    drainDelayMs: 200,
  });
  await server.load();
  const outcomes = { answered: 0, refused: 0 };
  let isStopping = false;
  const client = async (): Promise<void> => {
    const dispatcher = new Agent({ connections: 1 });
    for (let count = 0; count < 100_000; count++) {
      try {
        const answer = await request(`http://127.0.0.1:${ports.http}/v2/models/m/infer`, {
          method: 'POST',
          body: body(30),
          dispatcher,
        });
        expect(answer.statusCode).toBe(200);
        await answer.body.dump();
        outcomes.answered++;
        // As a client does whose balancer has taken the server out: it goes where it is told.
        if (answer.headers.connection === 'close') return;
      } catch (error) {
        if (!isStopping) throw error;
        outcomes.refused++;
        return;
      }
    }
  };
  const clients = Array.from({ length: 8 }, client);
  await expect.poll(() => outcomes.answered).toBeGreaterThan(8);
  const stopped = server.stop(never);
  await Promise.all(clients);
  isStopping = true;
  expect(await stopped).toBe(true);
  expect(outcomes.refused).toBe(0);
});

test('a stop asks clients to connect anew once endpoints have had time to follow, while it still serves', async () => {
  const seen: [number, string | string[] | undefined][] = [];
  let ask = async (_ms: number) => {};
  const { server, ports } = await start(
    async () => new FakeSession(),
    { drainDelayMs: 5_000 },
    (ms) => ask(ms),
  );
  await server.load();
  const dispatcher = new Agent({ connections: 1 });
  ask = async (ms) => {
    const answer = await request(`http://127.0.0.1:${ports.http}/v2/health/live`, { dispatcher }).catch(
      () => undefined,
    );
    await answer?.body.dump();
    if (seen.length < 2) seen.push([ms, answer?.headers.connection]);
  };
  expect(await server.stop(never)).toBe(true);
  expect(seen).toEqual([
    [2_000, 'keep-alive'],
    [3_000, 'close'],
  ]);
});

test('a stop waits for the request that is running, and not beyond the limit', async () => {
  const running = Promise.withResolvers<void>();
  let slow = false;
  const session = new FakeSession({
    run: async (inputs) =>
      (slow ? running.promise : Promise.resolve()).then(() => inputs.map((input) => ({ ...input, name: 'y' }))),
  });
  const { server, ports } = await start(async () => session);
  await server.load();
  slow = true;
  const before = session.runs.length;
  const answer = request(`http://127.0.0.1:${ports.http}/v2/models/m/infer`, { method: 'POST', body: body(2) });
  await expect.poll(() => session.runs.length).toBe(before + 1);
  const stopped = server.stop(never);
  running.resolve();
  expect((await answer).statusCode).toBe(200);
  await (await answer).body.dump();
  expect(await stopped).toBe(true);
  expect(session.isClosed).toBe(true);
});

test('a stop does not wait for clients that do not finish their requests, and nothing is lost by it', async () => {
  const soon: ServerDependencies['delay'] = () => new Promise((resolve) => setImmediate(resolve));
  const session = new FakeSession();
  const { server, ports } = await start(async () => session, {}, soon);
  await server.load();
  const rest = connect(ports.http, '127.0.0.1');
  rest.resume().on('error', () => undefined);
  rest.write('POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n{');
  const grpc = connectHttp2(`http://127.0.0.1:${ports.grpc}`);
  grpc.on('error', () => undefined);
  const stream = grpc.request({
    ':method': 'POST',
    ':path': '/inference.GRPCInferenceService/ModelInfer',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.resume().on('error', () => undefined);
  ends.push(() => grpc.destroy());
  const ended = once(rest, 'close');
  stream.write(Buffer.of(0, 0, 0, 100, 0, 1));
  await once(grpc, 'connect');
  // What was written before a ping has arrived when it is answered.
  await new Promise((resolve) => grpc.ping(resolve));
  expect(await server.stop(never)).toBe(true);
  await ended;
  expect(session.isClosed).toBe(true);
});

test('a hurried stop cuts off what is running and says that not all was answered', async () => {
  let slow = false;
  const session = new FakeSession({
    run: async (inputs) => (slow ? new Promise(() => undefined) : inputs.map((input) => ({ ...input, name: 'y' }))),
  });
  const { server, ports } = await start(async () => session, { drainDelayMs: 60_000 });
  await server.load();
  slow = true;
  const before = session.runs.length;
  const answer = request(`http://127.0.0.1:${ports.http}/v2/models/m/infer`, { method: 'POST', body: body(2) });
  const failed = expect(answer).rejects.toThrow();
  await expect.poll(() => session.runs.length).toBe(before + 1);
  const hurry = new AbortController();
  const stopped = server.stop(hurry.signal);
  hurry.abort();
  expect(await stopped).toBe(false);
  await failed;
});

test('a stop flushes the log first, and waits for a run whose client has gone, but not beyond the limit', async () => {
  const run = Promise.withResolvers<never>();
  const ended: string[] = [];
  let isSlow = false;
  const session = new (class extends FakeSession {
    override close = () => {
      ended.push('session');
      return run.promise;
    };
  })({ run: async (inputs) => (isSlow ? run.promise : inputs.map((input) => ({ ...input, name: 'y' }))) });
  const log = new (class extends PredictionLog {
    override flush = async () => void ended.push('log');
  })({
    samplingRate: 1,
    write: async () => undefined,
    random: Math.random,
    now: () => new Date(),
    onDropped: () => undefined,
  });
  const server = inferenceServer(
    { config: { models: [{ name: 'm', uri }] } },
    {
      openSession: async () => session,
      log,
      delay: (ms, signal) => wait(ms, undefined, { signal }).catch(() => undefined),
    },
  );
  const { http } = await server.listen();
  ends.push(() => server.kill());
  await server.load();
  isSlow = true;
  const before = session.runs.length;
  const client = new AbortController();
  const url = `http://127.0.0.1:${http}/v2/models/m/infer`;
  const answer = request(url, { method: 'POST', body: body(2), signal: client.signal });
  const failed = expect(answer).rejects.toThrow();
  await expect.poll(() => session.runs.length).toBe(before + 1);
  client.abort();
  await failed;
  const hurry = new AbortController();
  const stopped = server.stop(hurry.signal);
  await expect.poll(() => ended).toEqual(['log', 'session']);
  hurry.abort();
  expect(await stopped).toBe(false);
});
