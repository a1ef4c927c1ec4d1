/**
 * The router beside what else could stand there, in one run: `npm run bench -- router [--only saturated,paced,processes,memory,grpc]
 * [--rounds 6] [--seconds 0.8] [--memory-requests 1000000] [--connections 1,16,64] [--profile FOLDER] [--program src/main.ts]`.
 * Ours is the program from the bundle that the image holds, with the heap that Node gives itself in its pod.
 * Every contender splits the same requests 90 to 10 over the same two pods and has one core for itself; load and pods have the
 * other. Contenders take turns in short rounds; figures are medians of the rounds, and ratios are medians of the rounds' ratios.
 */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { bundle } from '../../e2e/bundle.ts';
import { HEAP_FLAGS } from '../heap-flags.ts';
import { ECHO } from '../server/echo-method.ts';
import { LoadProcess, type Measurement } from '../server/load.ts';
import { grpcMessage, jsonRequest } from '../server/requests.ts';
import {
  has,
  type Running,
  startBackends,
  startGrpcBackends,
  startHaproxy,
  startNginx,
  startProgram,
  startRouter,
} from './contenders.ts';
import { PacedProcess } from './paced.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'saturated,paced,processes,memory,grpc' },
    rounds: { type: 'string', default: '6' },
    seconds: { type: 'string', default: '0.8' },
    connections: { type: 'string', default: '1,16,64' },
    'memory-requests': { type: 'string', default: '1000000' },
    profile: { type: 'string' },
    program: { type: 'string' },
  },
});
const PARTS = new Set(values.only.split(','));
const ROUNDS = Number(values.rounds);
const DURATION_MS = Number(values.seconds) * 1000;
const CONNECTIONS = values.connections.split(',').map(Number);
const BACKENDS = [7101, 7102];
const GRPC_BACKENDS = [7111, 7112];
const REST: Request = { payload: jsonRequest(1, 30).toString('base64'), path: '' };
const GRPC: Request = { payload: grpcMessage(1, 30).toString('base64'), path: ECHO.path };
const { payload } = REST;
/** After so many requests V8 has compiled what is hot. */
const WARM_REQUESTS = 30_000;
const MAX_WARM_MS = 20_000;
const PACE_PER_SECOND = 2_000;
/** Of the memory's part, which may take long. */
const ROUNDS_A_LINE = 12;

/** What every request of a load is. */
interface Request {
  readonly payload: string;
  readonly path: string;
}

const running: { stop(): void }[] = [];
function keep<T extends { stop(): void }>(started: T): T {
  running.push(started);
  return started;
}

interface Contender extends Running {
  readonly name: string;
}

async function startContenders(ours: string): Promise<readonly Contender[]> {
  const profiling = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`];
  const flags = [...HEAP_FLAGS, ...profiling];
  const program = async (name: string, file: string, port: number): Promise<Contender> => ({
    name,
    ...keep(await startProgram(file, [port, ...BACKENDS], port)),
  });
  const router = { name: 'fairlead', ...keep(await startRouter(ours, 17_202, BACKENDS, { flags })) };
  if (!PARTS.has('saturated') && !PARTS.has('paced')) return [router];
  const contenders = [
    await program('bare relay', 'bare-relay.ts', 7201),
    router,
    await program('node:http + undici', 'undici-relay.ts', 7203),
  ];
  if (has('nginx')) contenders.push({ name: 'nginx', ...keep(await startNginx(7204, BACKENDS)) });
  if (has('haproxy')) contenders.push({ name: 'HAProxy', ...keep(await startHaproxy(7205, BACKENDS)) });
  for (const command of ['nginx', 'haproxy']) if (!has(command)) console.log(`${command} is not installed: left out`);
  return contenders;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

function show(what: string, figures: string): void {
  console.log(`  ${what.padEnd(40)} ${figures}`);
}

async function warm(load: LoadProcess, { port, pid }: Running, request = REST): Promise<void> {
  const job = { port, connections: 16, warmUpMs: 0, durationMs: 1_500, ...request };
  const untilMs = performance.now() + MAX_WARM_MS;
  for (let requests = 0; requests < WARM_REQUESTS && performance.now() < untilMs; ) {
    requests += (await load.measure(job, pid)).requests;
  }
}

/** Each contender's measurements, round by round. */
async function race(
  load: LoadProcess,
  contenders: readonly Contender[],
  connections: number,
  request: Request,
): Promise<ReadonlyMap<string, readonly Measurement[]>> {
  const rounds = new Map<string, Measurement[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, port, pid } of contenders) {
      const job = { port, connections, warmUpMs: 300, durationMs: DURATION_MS, ...request };
      rounds.get(name)?.push(await load.measure(job, pid));
    }
  }
  return rounds;
}

async function saturated(
  load: LoadProcess,
  contenders: readonly Contender[],
  direct: Contender,
  request = REST,
): Promise<void> {
  for (const connections of CONNECTIONS) {
    console.log(`saturated, ${connections} connections${request === GRPC ? ', gRPC' : ''}`);
    const rounds = await race(load, [direct, ...contenders], connections, request);
    const ours = rounds.get('fairlead') ?? [];
    for (const [name, figures] of rounds) {
      const rate = Math.round(median(figures.map(({ perSecond }) => perSecond)));
      const cpu = median(figures.map(({ cpuMicros }) => cpuMicros)).toFixed(1);
      const p50 = median(figures.map(({ p50Ms }) => p50Ms)).toFixed(2);
      const p99 = median(figures.map(({ p99Ms }) => p99Ms)).toFixed(2);
      const ratio = (of: (figure: Measurement) => number): string =>
        median(ours.map((figure, round) => of(figure) / of(figures[round] ?? figure))).toFixed(2);
      const beside =
        name === 'fairlead'
          ? ''
          : `fairlead to it: requests ${ratio(({ perSecond }) => perSecond)}, per CPU ${ratio(({ cpuMicros }) => 1 / cpuMicros)}`;
      show(name, `${rate}/s, ${cpu} us CPU, p50 ${p50} ms, p99 ${p99} ms   ${beside}`);
    }
  }
}

async function paced(contenders: readonly Contender[], direct: Contender): Promise<void> {
  console.log(`at ${PACE_PER_SECOND} requests a second, 32 connections: what is added to the direct path`);
  const generator = keep(new PacedProcess());
  const all = [direct, ...contenders];
  const figures = new Map<string, { p50Ms: number; p99Ms: number; unsent: number }[]>(
    all.map(({ name }) => [name, []]),
  );
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, port } of all) {
      const job = { port, connections: 32, perSecond: PACE_PER_SECOND, warmUpMs: 300, durationMs: 2_000, payload };
      figures.get(name)?.push(await generator.measure(job));
    }
  }
  const bar = figures.get(direct.name) ?? [];
  for (const [name, measured] of figures) {
    const added = (of: 'p50Ms' | 'p99Ms'): string =>
      median(measured.map((figure, round) => figure[of] - (bar[round]?.[of] ?? Number.NaN))).toFixed(2);
    const unsent = measured.reduce((sum, figure) => sum + figure.unsent, 0);
    const own = `p50 ${median(measured.map(({ p50Ms }) => p50Ms)).toFixed(2)}, p99 ${median(measured.map(({ p99Ms }) => p99Ms)).toFixed(2)} ms`;
    show(
      name,
      `${own}; added p50 ${added('p50Ms')} ms (aim < 0.3), p99 ${added('p99Ms')} ms (aim < 1.5)${unsent > 0 ? `; ${unsent} unsent` : ''}`,
    );
  }
}

/** gRPC calls beside a pass-through of grpc-js; neither reads messages. */
async function grpc(ours: string): Promise<void> {
  const backends = await startGrpcBackends(GRPC_BACKENDS);
  for (const backend of backends) keep(backend);
  const [stable] = backends;
  if (stable === undefined) throw new Error('the pods did not start');
  const router = { flags: HEAP_FLAGS, protocol: 'grpc' as const };
  const passThrough = await startProgram('grpc-passthrough.ts', [7221, ...GRPC_BACKENDS], 7221);
  const contenders: readonly Contender[] = [
    { name: 'grpc-js pass-through', ...keep(passThrough) },
    { name: 'fairlead', ...keep(await startRouter(ours, 17_222, GRPC_BACKENDS, router)) },
  ];
  const load = keep(new LoadProcess('grpc-load.ts'));
  for (const contender of contenders) await warm(load, contender, GRPC);
  await saturated(load, contenders, { ...stable, name: 'direct' }, GRPC);
}

/** CPU a request of two routers that share the load, beside one that has all of it. */
async function processes(load: LoadProcess, one: Contender, ours: string): Promise<void> {
  const second = { name: 'second', ...keep(await startRouter(ours, 17_212, BACKENDS, { flags: HEAP_FLAGS })) };
  const other = keep(new LoadProcess('http-load.ts'));
  await warm(load, second);
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const job = { warmUpMs: 300, durationMs: DURATION_MS, payload, path: '' };
    const alone = await load.measure({ ...job, port: one.port, connections: 32 }, one.pid);
    const both = await Promise.all([
      load.measure({ ...job, port: one.port, connections: 16 }, one.pid),
      other.measure({ ...job, port: second.port, connections: 16 }, second.pid),
    ]);
    const requests = both.reduce((sum, figure) => sum + figure.requests, 0);
    const cpuMicros = both.reduce((sum, figure) => sum + figure.cpuMicros * figure.requests, 0) / requests;
    ratios.push(cpuMicros / alone.cpuMicros);
  }
  console.log('two processes');
  show('CPU a request, to that of one', `${median(ratios).toFixed(2)} (aim <= 1.10)`);
}

async function memory(load: LoadProcess, router: Contender): Promise<void> {
  const wanted = Number(values['memory-requests']);
  const idle = residentMiB(router.pid);
  console.log(`memory over ${wanted} requests, 64 connections`);
  let requests = 0;
  const resident: number[] = [];
  const startMs = performance.now();
  while (requests < wanted) {
    const job = { port: router.port, connections: 64, warmUpMs: 0, durationMs: 5_000, payload, path: '' };
    requests += (await load.measure(job, router.pid)).requests;
    resident.push(residentMiB(router.pid));
    if (resident.length % ROUNDS_A_LINE === 0) show(`after ${requests} requests`, `${resident.at(-1)?.toFixed(1)} MiB`);
  }
  const half = Math.ceil(resident.length / 2);
  const [before, after] = [median(resident.slice(0, half)), median(resident.slice(half))];
  show(
    `${requests} requests in ${((performance.now() - startMs) / 1000).toFixed(0)} s`,
    `${Math.max(...resident).toFixed(1)} MiB at most (aim < 100); warm ${idle.toFixed(1)}, first half ${before.toFixed(1)}, second half ${after.toFixed(1)}, at the end ${resident.at(-1)?.toFixed(1)} MiB`,
  );
}

function residentMiB(pid: number): number {
  const kib = /VmRSS:\s+([0-9]+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
}

// Whoever ends the benchmark early ends its contenders too.
process.once('exit', () => {
  for (const started of running) started.stop();
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const load = keep(new LoadProcess('http-load.ts'));
const bundled = values.program === undefined ? await bundle() : undefined;
const ours = values.program ?? bundled?.program ?? '';
try {
  console.log(
    `${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}; relays on one core, load and pods on another`,
  );
  console.log(`load average ${readFileSync('/proc/loadavg', 'utf8').split(' ')[0]}\n`);
  const backends = await startBackends(BACKENDS);
  for (const backend of backends) keep(backend);
  const [stable] = backends;
  const contenders = await startContenders(ours);
  const router = contenders.find(({ name }) => name === 'fairlead');
  if (stable === undefined || router === undefined) throw new Error('the contenders did not start');
  const direct: Contender = { ...stable, name: 'direct' };
  for (const contender of contenders) await warm(load, contender);
  if (PARTS.has('saturated')) await saturated(load, contenders, direct);
  if (PARTS.has('paced')) await paced(contenders, direct);
  if (PARTS.has('processes')) await processes(load, router, ours);
  if (PARTS.has('memory')) await memory(load, router);
  if (PARTS.has('grpc')) await grpc(ours);
} finally {
  for (const started of running) started.stop();
  await bundled?.remove();
}
