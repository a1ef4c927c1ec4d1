import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { json } from 'node:stream/consumers';
import { Client, type ClientOptions, compressionAlgorithms, credentials, status } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { freePorts } from '../../../e2e/cluster/free-port.ts';
import { breastCancer } from '../../../e2e/models/data.ts';
import type { Route } from '../../api/route.ts';
import { RevisionCounters } from '../counts/revision-counters.ts';
import { OPEN_INFERENCE_PROTO } from '../grpc/open-inference-proto.ts';
import type { ServerPorts } from '../server.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { quietLogger } from '../testing/served.ts';
import { GrpcRelay } from './grpc/grpc-relay.ts';
import { GrpcUpstreams } from './grpc/grpc-upstreams.ts';
import { HttpPort } from './http-port.ts';
import { HttpUpstreams } from './http1/upstreams.ts';
import { RouteTable } from './route-table.ts';
import { realServer } from './testing/real-server.ts';

/**
 * Requests that another ModelDeployment answers, through routes as the operator writes them, by real servers: each knows
 * its model under its own name and version only.
 */
const data = breastCancer();
/** A patient for whom the failing model fails. */
const PATIENT = 15;
const row = data.rows[PATIENT] ?? [];
const expectedOf = (model: string) => data.expected[model]?.probabilities[PATIENT] ?? [];
const OLD = 'breast-cancer-v1';
const BETTER = 'breast-cancer-v2';

let servers: Readonly<Record<'failing' | 'churn' | 'backup', Awaited<ReturnType<typeof realServer>>>>;
beforeAll(async () => {
  const failing = await realServer('churn', '1', 'breast-cancer-failing.onnx');
  const churn = await realServer('churn', '1', `${OLD}.onnx`);
  const backup = await realServer('backup', '9', `${BETTER}.onnx`);
  servers = { failing, churn, backup };
});
afterAll(() => {
  for (const server of Object.values(servers)) server.kill();
});

let clock: FakeClock;
let table: RouteTable;
let counters: RevisionCounters;
let ports: readonly number[];
const ends: (() => void)[] = [];
beforeEach(async () => {
  ports = await freePorts(4);
  clock = new FakeClock();
  counters = new RevisionCounters();
  const http = new HttpUpstreams({ clock });
  const grpc = new GrpcUpstreams(clock, http.budget);
  const random = () => 0.5;
  table = new RouteTable({
    host: '127.0.0.1',
    clock,
    random,
    logger: quietLogger,
    counters,
    open: {
      http: (router) => new HttpPort({ router, upstreams: http, clock, random }),
      grpc: (router) => new GrpcRelay({ router, upstreams: grpc, clock, random }),
    },
    onPool: (pool) => {
      pool.watch(http);
      pool.watch(grpc);
    },
    onChange: () => undefined,
  });
  ends.push(() => {
    table.kill();
    grpc.destroy();
  });
  await apply('backup', 2, servers.backup.ports);
  table.setAddresses('backup-1', ['127.0.0.1']);
  table.setAddresses('churn-1', ['127.0.0.1']);
});
afterEach(() => {
  for (const end of ends.splice(0).toReversed()) end();
});

const port = (index: number) => ports[index] ?? 0;

type PodPorts = Pick<ServerPorts, 'http' | 'grpc'>;

async function apply(name: string, first: number, { http, grpc }: PodPorts, rest: Partial<Route> = {}) {
  const route: Route = {
    generation: 1,
    modelDeployment: name,
    ports: { http: port(first), grpc: port(first + 1) },
    backends: [{ revision: `${name}-1`, weight: rest.ensemble === undefined ? 100 : 0, ports: { http, grpc } }],
    limits: { maxBodyBytes: 1_000_000, maxQueue: 10, maxInFlight: 10, timeoutMs: 10_000 },
    ...rest,
  };
  await table.apply(name, JSON.stringify(route));
  expect(table.report.refused).toEqual({});
}

const toBackup = { to: { modelDeployment: 'backup', modelName: 'backup' } };
const failingOver = () => apply('churn', 0, servers.failing.ports, { fallback: toBackup });
const ensembleOf = (combine: 'Average' | 'Vote', ownWeight = 1) =>
  apply('churn', 0, servers.churn.ports, {
    ensemble: {
      combine,
      members: [
        { to: { revision: 'churn-1' }, weight: ownWeight },
        { ...toBackup, weight: 3 },
      ],
    },
  });

interface Answer {
  readonly model_name: string;
  readonly outputs: readonly { readonly name: string; readonly data: readonly number[] }[];
}

const tensor = { name: 'x', shape: [1, 30], datatype: 'FP32' };
const inTensors = JSON.stringify({ inputs: [{ ...tensor, data: row }] });
const floats = Buffer.from(Float32Array.from(row).buffer);

async function post(path: string, body: string | Buffer = inTensors, headers: Record<string, string> = {}) {
  const answer = await fetch(`http://127.0.0.1:${port(0)}${path}`, { method: 'POST', body, headers });
  return { status: answer.status, headers: answer.headers, bytes: Buffer.from(await answer.arrayBuffer()) };
}

async function infer(path: string) {
  const { status: code, bytes } = await post(path);
  expect([code, String(bytes)]).toEqual([200, expect.any(String)]);
  return JSON.parse(String(bytes)) as Answer;
}

const valuesOf = ({ outputs }: Pick<Answer, 'outputs'>, name: string) =>
  outputs.find((output) => output.name === name)?.data ?? [];
const near = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 4));

/** The request in binary tensors, and the headers that say so. */
function inBinary(): [Buffer, Record<string, string>] {
  const parameters = { binary_data_size: floats.length };
  const request = { inputs: [{ ...tensor, parameters }], parameters: { binary_data_output: true } };
  const head = Buffer.from(JSON.stringify(request));
  return [Buffer.concat([head, floats]), { 'Inference-Header-Content-Length': String(head.length) }];
}

const { root } = protobuf.parse(OPEN_INFERENCE_PROTO, { keepCase: true });

/** Asks the router by gRPC. @throws ServiceError */
async function call(method: string, request: object, options: ClientOptions = {}) {
  const client = new Client(`127.0.0.1:${port(1)}`, credentials.createInsecure(), options);
  ends.push(() => client.close());
  const [asked, answered] = [`inference.${method}Request`, `inference.${method}Response`].map((name) =>
    root.lookupType(name),
  );
  const bytes = await new Promise<Buffer>((resolve, reject) =>
    client.makeUnaryRequest(
      `/inference.GRPCInferenceService/${method}`,
      (value: object) => Buffer.from(asked?.encode(asked.fromObject(value)).finish() ?? []),
      (answer: Buffer) => answer,
      request,
      (error, answer) => (answer === undefined ? reject(error) : resolve(answer)),
    ),
  );
  return answered?.toObject(answered.decode(bytes), { longs: Number, defaults: true }) ?? {};
}

const grpcRequest = {
  model_name: 'churn',
  model_version: '1',
  id: 'patient-15',
  inputs: [tensor],
  raw_input_contents: [floats],
};
const answeredByBackup = {
  model_name: 'backup',
  model_version: '9',
  id: 'patient-15',
  outputs: [{ name: 'label' }, { name: 'probabilities' }],
};

/** A pod that takes requests and never answers. */
async function silentPod() {
  let reads = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined).on('data', () => reads++);
    ends.push(() => socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => server.close());
  return { port: (server.address() as AddressInfo).port, reads: () => reads };
}

describe('another ModelDeployment as the fallback', () => {
  test.each(['/v2/models/churn/infer', '/v2/models/churn/versions/1/infer', '/v2/models/ch%75rn/infer?trace=1'])(
    'answers POST %s in place of an error, as the model that it is',
    async (path) => {
      await failingOver();
      const answer = await infer(path);
      expect(answer).toMatchObject({ model_name: 'backup', model_version: '9' });
      expect(valuesOf(answer, 'probabilities')).toEqual(near(expectedOf(BETTER)));
      expect(counters.snapshot()).toMatchObject({
        churn: { 'churn-1': { requests: 1, errors: 1 } },
        backup: { 'backup-1': { requests: 1, errors: 0 } },
      });
    },
  );

  test('answers a request that came by a proxy, whose target is a whole URL', async () => {
    await failingOver();
    const path = 'http://churn.shop.svc/v2/models/churn/infer';
    const asked = httpRequest({ port: port(0), path, method: 'POST', agent: false }).end(inTensors);
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    expect([answer.statusCode, await json(answer)]).toMatchObject([200, { model_name: 'backup' }]);
  });

  test('answers in binary tensors', async () => {
    await failingOver();
    const { status: code, headers, bytes } = await post('/v2/models/churn/infer', ...inBinary());
    const head = Number(headers.get('inference-header-content-length'));
    expect([code, JSON.parse(String(bytes.subarray(0, head)))]).toMatchObject([200, { model_name: 'backup' }]);
    // A label of eight bytes stands before them.
    expect([0, 1].map((at) => bytes.readFloatLE(head + 8 + 4 * at))).toEqual(near(expectedOf(BETTER)));
  });

  test.each(['/predict', '/predict/churn', '/predict/churn/versions/1', '/batch_predict', '/batch_predict/churn'])(
    'answers rows: POST %s',
    async (path) => {
      await failingOver();
      const { status: code, bytes } = await post(path, JSON.stringify({ instances: [row] }));
      expect([code, JSON.parse(String(bytes))]).toMatchObject([
        200,
        { model_name: 'backup', predictions: [{ label: 1 }] },
      ]);
    },
  );

  test('answers where no pod is ready, also what is asked about the model', async () => {
    await failingOver();
    table.setAddresses('churn-1', []);
    expect(await infer('/v2/models/churn/infer')).toMatchObject({ model_name: 'backup' });
    const about = await fetch(`http://127.0.0.1:${port(0)}/v2/models/churn`);
    expect([about.status, await about.json()]).toMatchObject([200, { name: 'backup', versions: ['9'] }]);
  });

  test('answers where an answer takes too long', async () => {
    const silent = await silentPod();
    // Not for gRPC: what a warm connection begins with would count as a read.
    const pod = { http: silent.port, grpc: servers.churn.ports.grpc };
    await apply('churn', 0, pod, { fallback: { ...toBackup, afterMs: 500 } });
    const answer = infer('/v2/models/churn/infer');
    await expect.poll(() => silent.reads()).toBeGreaterThan(0);
    await clock.advance(500);
    expect(await answer).toMatchObject({ model_name: 'backup' });
  });

  test('is asked by the name that the client gave where the route says none, as routes of older operators do', async () => {
    await apply('churn', 0, servers.failing.ports, { fallback: { to: { modelDeployment: 'backup' } } });
    const { status: code, bytes } = await post('/v2/models/churn/infer');
    expect([code, String(bytes)]).toEqual([404, expect.stringContaining('unknown model')]);
    await expect(call('ModelInfer', grpcRequest)).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  test('is not asked for what the client asks wrongly', async () => {
    await failingOver();
    const { status: code, bytes } = await post('/v2/models/chrun/infer');
    expect([code, String(bytes)]).toEqual([404, expect.stringContaining('chrun')]);
    expect(counters.snapshot().backup?.['backup-1']?.requests).toBe(0);
  });
});

describe('another ModelDeployment as the fallback of gRPC calls', () => {
  test('answers ModelInfer in place of an error, as the model that it is', async () => {
    await failingOver();
    const answer = await call('ModelInfer', grpcRequest);
    expect(answer).toMatchObject(answeredByBackup);
    const [, probabilities] = answer.raw_output_contents as Buffer[];
    expect([0, 4].map((at) => probabilities?.readFloatLE(at))).toEqual(near(expectedOf(BETTER)));
  });

  test('answers a call whose message comes in many pieces', async () => {
    await failingOver();
    const rows = 2_000;
    const answer = await call('ModelInfer', {
      ...grpcRequest,
      inputs: [{ ...tensor, shape: [rows, 30] }],
      raw_input_contents: [Buffer.concat(Array.from({ length: rows }, () => floats))],
    });
    expect(answer).toMatchObject({ model_name: 'backup', outputs: [{ shape: [rows] }, { shape: [rows, 2] }] });
  });

  test('answers where no pod is ready, also what is asked about the model', async () => {
    await failingOver();
    table.setAddresses('churn-1', []);
    expect(await call('ModelInfer', grpcRequest)).toMatchObject(answeredByBackup);
    expect(await call('ModelMetadata', { name: 'churn' })).toMatchObject({ name: 'backup', versions: ['9'] });
    expect(await call('ModelReady', { name: 'churn', version: '1' })).toEqual({ ready: true });
    expect(await call('ModelReady', {})).toEqual({ ready: true });
    expect(await call('ServerReady', {})).toEqual({ ready: true });
  });

  test('refuses compressed messages, as all servers do', async () => {
    await failingOver();
    table.setAddresses('churn-1', []);
    const asked = call('ModelInfer', grpcRequest, { 'grpc.default_compression_algorithm': compressionAlgorithms.gzip });
    await expect(asked).rejects.toMatchObject({ code: status.UNIMPLEMENTED });
  });
});

describe('an ensemble of ModelDeployments', () => {
  const mean = expectedOf(OLD).map((value, index) => (value + 3 * (expectedOf(BETTER)[index] ?? 0)) / 4);

  test('answers with the weighted mean under its own name', async () => {
    await ensembleOf('Average');
    const answer = await infer('/v2/models/churn/infer');
    expect(answer.model_name).toBe('churn');
    expect(valuesOf(answer, 'probabilities')).toEqual(near(mean));
  });

  test('answers binary tensors with the weighted mean', async () => {
    await ensembleOf('Average');
    const { status: code, bytes } = await post('/v2/models/churn/infer', ...inBinary());
    expect(code).toBe(200);
    expect(valuesOf(JSON.parse(String(bytes)) as Answer, 'probabilities')).toEqual(near(mean));
  });

  test.each([
    ['its own model, which has more', 4, OLD],
    ['the other one, which has more', 1, BETTER],
  ])('votes for the label of %s', async (_whose, ownWeight, model) => {
    const { rows, expected } = data;
    const at = rows.findIndex((_row, index) => expected[OLD]?.label[index] !== expected[BETTER]?.label[index]);
    await ensembleOf('Vote', ownWeight);
    const { bytes } = await post('/v2/models/churn/infer', JSON.stringify({ inputs: [{ ...tensor, data: rows[at] }] }));
    const answer = JSON.parse(String(bytes)) as Answer;
    expect([answer.model_name, valuesOf(answer, 'label')]).toEqual(['churn', [expected[model]?.label[at]]]);
  });

  test('asks for the version of its own model only', async () => {
    await ensembleOf('Average');
    expect((await infer('/v2/models/churn/versions/1/infer')).model_name).toBe('churn');
    expect((await post('/v2/models/churn/versions/2/infer')).status).toBe(404);
  });

  test.each(['/predict', '/batch_predict', '/predict/churn', '/v2/models/churn'])(
    'refuses POST %s with the way to ask: there is no one answer of all to it',
    async (path) => {
      await ensembleOf('Average');
      const { status: code, bytes } = await post(path, JSON.stringify({ instances: [row] }));
      expect([code, String(bytes)]).toEqual([
        501,
        expect.stringContaining(`an ensemble answers POST /v2/models/MODEL/infer only, not ${path}: `),
      ]);
      expect(counters.snapshot().churn?.['churn-1']?.requests).toBe(0);
    },
  );

  test('is no member of another ensemble, and says so', async () => {
    await ensembleOf('Average');
    const members = [
      { to: { revision: 'backup-1' }, weight: 1 },
      { to: { modelDeployment: 'churn', modelName: 'churn' }, weight: 1 },
    ];
    await apply('backup', 2, servers.backup.ports, { generation: 2, ensemble: { combine: 'Average', members } });
    const answer = await fetch(`http://127.0.0.1:${port(2)}/v2/models/backup/infer`, { method: 'POST', body: '{}' });
    expect([answer.status, await answer.json()]).toEqual([
      503,
      { error: 'ModelDeployment churn of the ensemble is an ensemble itself' },
    ]);
  });
});
