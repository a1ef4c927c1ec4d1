/**
 * The server's speed beside its bars, in one run: `npm run bench -- server [--rounds 8] [--seconds 0.6] [--only rest,grpc,...]`.
 * Contenders take turns in many short rounds. `median` is the median of the rounds' ratios; `best` compares the best round
 * of each, which is what remains of a machine's other work: use it where the machine is not quiet.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { startPythonServer } from '../python/server.ts';
import { ECHO } from './echo-method.ts';
import { LoadProcess, type Measurement, pinned, SERVER_CORE } from './load.ts';
import type { LoadJob } from './load-job.ts';
import { binaryRequest, grpcMessage, jsonRequest } from './requests.ts';
import { modelPath, rawRowsPerSecond, startFairlead, startGrpcEcho, startHttpEcho } from './servers.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '0.6' },
    only: { type: 'string', default: 'engine,rest,grpc,binary,batching,python' },
  },
});
const ROUNDS = Number(values.rounds);
const PARTS = new Set(values.only.split(','));
const MODEL = 'breast-cancer-v2.onnx';
const COLUMNS = 30;
const CONNECTIONS = [1, 16, 64];

interface Contender {
  readonly name: string;
  readonly server: { readonly pid: number };
  readonly load: LoadProcess;
  readonly port: number;
  readonly payload: Buffer;
  readonly path?: string;
}

/** After so many requests V8 has compiled what is hot; in production that takes seconds of a process's life. */
const WARM_REQUESTS = 40_000;
const MAX_WARM_MS = 30_000;

/** Lets servers get hot before they are measured. */
async function warm(contenders: readonly Contender[]): Promise<void> {
  for (const { server, load, port, payload, path = '' } of contenders) {
    const job = { port, connections: 16, warmUpMs: 0, durationMs: 2000, payload: payload.toString('base64'), path };
    const endsAtMs = performance.now() + MAX_WARM_MS;
    for (let requests = 0; requests < WARM_REQUESTS && performance.now() < endsAtMs; ) {
      requests += (await load.measure(job, server.pid)).requests;
    }
  }
}

/** Measures contenders in turns; for each the rounds' figures. */
async function race(contenders: readonly Contender[], connections: number): Promise<Measurement[][]> {
  const figures: Measurement[][] = contenders.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, { server, load, port, payload, path = '' }] of contenders.entries()) {
      const durationMs = Number(values.seconds) * 1000;
      const job: LoadJob = { port, connections, warmUpMs: 400, durationMs, payload: payload.toString('base64'), path };
      figures[index]?.push(await load.measure(job, server.pid));
    }
  }
  return figures;
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

const of = (figures: readonly Measurement[] | undefined, what: (figure: Measurement) => number): number[] =>
  (figures ?? []).map(what);

/** The median of the rounds' ratios of the first to the second. */
function ratio(a: readonly number[], b: readonly number[]): number {
  return median(a.map((figure, round) => figure / (b[round] ?? Number.NaN)));
}

function show(what: string, figure: string, aim = ''): void {
  console.log(`${what.padEnd(66)} ${figure.padStart(9)}  ${aim}`);
}

function showMeasurement(name: string, figures: readonly Measurement[] | undefined): void {
  const best = Math.round(Math.max(...of(figures, rate)));
  const p50 = median(of(figures, ({ p50Ms }) => p50Ms)).toFixed(2);
  const p99 = median(of(figures, ({ p99Ms }) => p99Ms)).toFixed(2);
  const cpu = median(of(figures, ({ cpuMicros }) => cpuMicros)).toFixed(0);
  show(
    `  ${name}`,
    `${Math.round(median(of(figures, rate)))}/s`,
    `best ${best}/s; p50 ${p50} ms, p99 ${p99} ms, ${cpu} us CPU`,
  );
}

const tail = ({ p99Ms, p50Ms }: Measurement): number => p99Ms - p50Ms;
const rate = ({ perSecond }: Measurement): number => perSecond;

/** Shows how many times as many requests a second ours answers. */
function showRate(
  ours: readonly Measurement[] | undefined,
  theirs: readonly Measurement[] | undefined,
  aim: string,
): void {
  const best = Math.max(...of(ours, rate)) / Math.max(...of(theirs, rate));
  show(
    '  requests a second: median ratio, best ratio',
    `${ratio(of(ours, rate), of(theirs, rate)).toFixed(2)}  ${best.toFixed(2)}`,
    aim,
  );
}

async function compare(title: string, contenders: readonly Contender[], connections: number): Promise<void> {
  const [bar, ours] = await race(contenders, connections);
  console.log(`${title}, ${connections} connections`);
  showMeasurement(contenders[0]?.name ?? '', bar);
  showMeasurement(contenders[1]?.name ?? '', ours);
  showRate(ours, bar, 'aim >= 0.70');
  if (connections !== 16) return;
  const best = Math.min(...of(ours, tail)) / Math.min(...of(bar, tail));
  show(
    '  p99 less p50: median ratio, best ratio',
    `${ratio(of(ours, tail), of(bar, tail)).toFixed(2)}  ${best.toFixed(2)}`,
    'aim <= 1.50',
  );
}

const running: { stop(): unknown }[] = [];
function keep<T extends { stop(): unknown }>(started: T): T {
  running.push(started);
  return started;
}

async function engine(): Promise<void> {
  for (const [model, rows] of [
    [MODEL, 1],
    [MODEL, 32],
    ['tiny/wide-mlp.onnx', 1],
    ['tiny/wide-mlp.onnx', 32],
  ] as const) {
    const perSecond = await rawRowsPerSecond(model, COLUMNS, rows);
    show(
      `raw onnxruntime-node, ${model}, ${rows} rows a run`,
      `${Math.round(perSecond)}/s`,
      `${(1e6 / perSecond).toFixed(1)} us a row`,
    );
  }
}

async function rest(http: LoadProcess): Promise<void> {
  const payload = jsonRequest(1, COLUMNS);
  const contenders: Contender[] = [
    { name: 'node:http echo', server: keep(await startHttpEcho(7201)), load: http, port: 7201, payload },
    {
      name: 'fairlead',
      server: keep(await startFairlead(MODEL, { http: 7202, grpc: 0 })),
      load: http,
      port: 7202,
      payload,
    },
  ];
  await warm(contenders);
  for (const connections of CONNECTIONS) await compare('REST, one row as JSON', contenders, connections);
}

async function grpc(load: LoadProcess): Promise<void> {
  const payload = grpcMessage(1, COLUMNS);
  const contenders: Contender[] = [
    {
      name: 'grpc-js echo',
      server: keep(await startGrpcEcho(7211)),
      load,
      port: 7211,
      payload,
      path: ECHO.path,
    },
    {
      name: 'fairlead',
      server: keep(await startFairlead(MODEL, { http: 0, grpc: 7212 })),
      load,
      port: 7212,
      payload,
      path: '/inference.GRPCInferenceService/ModelInfer',
    },
  ];
  await warm(contenders);
  for (const connections of CONNECTIONS) await compare('gRPC, one row raw', contenders, connections);
}

async function binary(load: LoadProcess): Promise<void> {
  const server = keep(await startFairlead('tiny/identity-fp32.onnx', { http: 7221, grpc: 0 }));
  const contender = { server, load, port: 7221 };
  const contenders: Contender[] = [
    { ...contender, name: 'JSON', payload: jsonRequest(32, 784) },
    { ...contender, name: 'binary', payload: binaryRequest(32, 784) },
  ];
  const [json, bytes] = await race(contenders, 4);
  console.log('REST, 32x784 floats there and back, 4 connections');
  showMeasurement('JSON', json);
  showMeasurement('binary tensors', bytes);
  showRate(bytes, json, 'aim >= 3.00');
}

async function batching(load: LoadProcess): Promise<void> {
  const payload = jsonRequest(1, COLUMNS);
  const model = 'tiny/wide-mlp.onnx';
  const off = keep(await startFairlead(model, { http: 7231, grpc: 0 }, ['--max-batch-size', '1']));
  const on = keep(await startFairlead(model, { http: 7232, grpc: 0 }));
  const contenders: Contender[] = [
    { name: 'off', server: off, load, port: 7231, payload },
    { name: 'on', server: on, load, port: 7232, payload },
  ];
  await warm(contenders);
  const [single, batched] = await race(contenders, 64);
  console.log('REST, a model whose weights cost more than its rows, 64 connections');
  showMeasurement('batching off', single);
  showMeasurement('batching on', batched);
  showRate(batched, single, 'aim >= 1.50');
}

async function python(load: LoadProcess): Promise<void> {
  const payload = jsonRequest(1, COLUMNS);
  const ours = keep(await startFairlead(MODEL, { http: 7241, grpc: 0 }));
  for (const [variant, port] of [
    ['plain', 7242],
    ['orjson', 7243],
  ] as const) {
    const model = { name: 'm', path: modelPath(MODEL) };
    const server = keep(await startPythonServer(model, port, variant, pinned(SERVER_CORE)));
    const contenders: Contender[] = [
      { name: variant, server, load, port, payload },
      { name: 'fairlead', server: ours, load, port: 7241, payload },
    ];
    await warm(contenders);
    for (const connections of CONNECTIONS) {
      const [theirs, figures] = await race(contenders, connections);
      console.log(`REST beside FastAPI + uvicorn + onnxruntime (${variant}), ${connections} connections`);
      showMeasurement(`FastAPI, ${variant}`, theirs);
      showMeasurement('fairlead', figures);
      showRate(figures, theirs, variant === 'plain' ? 'aim >= 5.00' : '');
    }
  }
}

const http = keep(new LoadProcess('http-load.ts'));
const grpcLoad = keep(new LoadProcess('grpc-load.ts'));
try {
  console.log(`${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}; servers on one core, load on another\n`);
  if (PARTS.has('engine')) await engine();
  if (PARTS.has('rest')) await rest(http);
  if (PARTS.has('grpc')) await grpc(grpcLoad);
  if (PARTS.has('binary')) await binary(http);
  if (PARTS.has('batching')) await batching(http);
  if (PARTS.has('python')) await python(http);
} finally {
  for (const started of running) await started.stop();
}
