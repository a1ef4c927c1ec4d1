/**
 * How long a server takes from its start to its first prediction, and what it holds when idle, beside FastAPI with the
 * same model: `npm run bench -- start [--runs 9]`. The program is the bundle that the image holds; starts take turns.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { command } from '../../e2e/cluster/command.ts';
import { repositoryRoot } from '../../e2e/cluster/paths.ts';
import { breastCancer } from '../../e2e/models/data.ts';
import { startPythonServer } from '../python/server.ts';
import { modelPath } from '../server/servers.ts';

const { values } = parseArgs({ options: { runs: { type: 'string', default: '9' } } });
const RUNS = Number(values.runs);
const MODEL = 'breast-cancer-v2.onnx';
const NAME = 'm';
const PORTS = { fairlead: 7301, python: 7302 } as const;
const START_TIMEOUT_MS = 60_000;
/** Long enough for what a start leaves behind to be collected. */
const IDLE_MS = 3_000;

interface Start {
  readonly firstAnswerMs: number;
  readonly idleBytes: number;
}

interface Running {
  readonly pid: number;
  stop(): Promise<unknown>;
}

const row = breastCancer().rows[0] ?? [];
const body = JSON.stringify({ inputs: [{ name: 'x', shape: [1, row.length], datatype: 'FP32', data: row }] });

/** Asks for a prediction until there is one. */
async function firstAnswer(port: number): Promise<void> {
  const url = `http://127.0.0.1:${port}/v2/models/${NAME}/infer`;
  const headers = { 'content-type': 'application/json' };
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  while (performance.now() < deadlineMs) {
    const answer = await fetch(url, { method: 'POST', headers, body }).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.status === 200) return;
    await delay(5);
  }
  throw new Error(`no prediction from port ${port} within ${START_TIMEOUT_MS / 1000} s`);
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

async function measure(port: number, start: () => Promise<Running> | Running): Promise<Start> {
  const startMs = performance.now();
  const starting = Promise.resolve(start());
  await firstAnswer(port);
  const firstAnswerMs = performance.now() - startMs;
  const running = await starting;
  await delay(IDLE_MS);
  const idleBytes = await residentBytes(running.pid);
  await running.stop();
  return { firstAnswerMs, idleBytes };
}

function startBundle(directory: string): Running {
  const args = [join(directory, 'main.js'), 'server', '--model', `${NAME}=file://${modelPath(MODEL)}`];
  const ports = ['--http-port', String(PORTS.fairlead), '--grpc-port', '0', '--metrics-port', '0'];
  const child = spawn(process.execPath, [...args, '--host', '127.0.0.1', ...ports], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  return {
    pid: child.pid ?? 0,
    stop() {
      child.kill('SIGKILL');
      return exited;
    },
  };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;
}

function show(name: string, starts: readonly Start[]): Start {
  const firstAnswerMs = median(starts.map((start) => start.firstAnswerMs));
  const idleBytes = median(starts.map((start) => start.idleBytes));
  console.log(
    `${name.padEnd(24)} first prediction ${firstAnswerMs.toFixed(0)} ms, idle ${(idleBytes / 2 ** 20).toFixed(0)} MiB`,
  );
  return { firstAnswerMs, idleBytes };
}

const directory = await mkdtemp(join(tmpdir(), 'fairlead-bundle-'));
try {
  await command(process.execPath, [join(repositoryRoot, 'scripts', 'build.ts'), '--out', directory]);
  const fairlead: Start[] = [];
  const python: Start[] = [];
  const model = { name: NAME, path: modelPath(MODEL) };
  for (let run = 0; run <= RUNS; run++) {
    const ours = await measure(PORTS.fairlead, () => startBundle(directory));
    const theirs = await measure(PORTS.python, () => startPythonServer(model, PORTS.python, 'plain'));
    // The first of each fills the caches of the disk.
    if (run > 0) {
      fairlead.push(ours);
      python.push(theirs);
    }
  }
  console.log(`${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}; medians of ${RUNS} starts`);
  const ours = show('fairlead server', fairlead);
  const theirs = show('FastAPI + uvicorn', python);
  console.log(
    `start, ratio             ${(ours.firstAnswerMs / theirs.firstAnswerMs).toFixed(2)} (aim: under 1000 ms)`,
  );
  console.log(`idle memory, ratio       ${(ours.idleBytes / theirs.idleBytes).toFixed(2)} (aim: under 110 MiB)`);
} finally {
  await rm(directory, { recursive: true, force: true });
}
