import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { node, onnxModel } from './testing/onnx-model.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const model = `file://${here('../../e2e/models/breast-cancer-v2.onnx')}`;
const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

interface LogLine {
  readonly message: string;
  readonly http?: number;
  readonly metrics?: number;
  readonly reason?: string;
}

/** Runs `fairlead server` as a process; `until` waits for a line of its log. */
function run(flags: readonly string[], env: Record<string, string> = {}) {
  const ports = ['--host', '127.0.0.1', '--http-port', '0', '--grpc-port', '0', '--metrics-port', '0'];
  const child = spawn(process.execPath, [here('../main.ts'), 'server', ...ports, ...flags], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(child);
  const lines: LogLine[] = [];
  const waiting: (() => void)[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(JSON.parse(line));
    for (const wake of waiting.splice(0)) wake();
  });
  const exited = once(child, 'close').then(([code]) => code as number | null);
  const until = async (message: RegExp): Promise<LogLine> => {
    for (;;) {
      const found = lines.find((line) => message.test(line.message));
      if (found !== undefined) return found;
      await Promise.race([new Promise<void>((resolve) => waiting.push(resolve)), exited]);
      const ended = child.exitCode ?? child.signalCode;
      if (ended !== null && !lines.some((line) => message.test(line.message))) {
        throw new Error(`the server ended with ${ended}: ${JSON.stringify(lines)}`);
      }
    }
  };
  return { child, until, exited, lines };
}

test('a server alone serves a real model, logs what it is told to, and ends by SIGTERM with 0', async () => {
  const config = { models: [{ name: 'bc', version: '2', uri: model }], predictionLog: { samplingRate: 1 } };
  const { child, until, exited, lines } = run(['--drain-delay', '0'], {
    FAIRLEAD_SERVER_CONFIG: JSON.stringify(config),
  });
  const { http } = await until(/^listening$/);
  await until(/^ready$/);
  const row = JSON.parse(readFileSync(here('../../e2e/models/breast-cancer.json'), 'utf8')).rows[0];
  const answer = await fetch(`http://127.0.0.1:${http}/predict`, {
    method: 'POST',
    body: JSON.stringify({ instance: row }),
  });
  expect(await answer.json()).toMatchObject({
    model_name: 'bc',
    model_version: '2',
    prediction: { label: expect.any(Number) },
  });
  child.kill('SIGTERM');
  expect(await exited).toBe(0);
  expect(lines).toContainEqual(expect.objectContaining({ message: 'prediction', model: 'bc', version: '2' }));
  expect(lines.at(-1)?.message).toBe('stopped: every request was answered');
});

test('a second signal ends a server at once', async () => {
  const { child, until, exited } = run(['--model', `bc=${model}`, '--drain-delay', '60s', '--grace', '90s']);
  await until(/^ready$/);
  child.kill('SIGTERM');
  await until(/^stopping/);
  child.kill('SIGTERM');
  expect(await exited).toBe(1);
});

test('the grace limit ends a server that still has a request to answer', async () => {
  const { child, until, exited } = run(['--model', `bc=${model}`, '--drain-delay', '0', '--grace', '2s']);
  const { http } = await until(/^listening$/);
  await until(/^ready$/);
  // Its body never ends, which a server waits for longer than this one may.
  const client = connect(http ?? 0, '127.0.0.1').on('error', () => undefined);
  client.write('POST /predict HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n{');
  // The server has read its head: to one that stops before that, there is no request.
  await once(client, 'data');
  child.kill('SIGTERM');
  expect(await exited).toBe(1);
  client.destroy();
});

test('a second signal ends a server at once also amid a run of a thread, which nothing else ends', async () => {
  // Products of three matrices, as large as the request says.
  const products = [
    node('MatMul', ['a', 'a'], ['b']),
    node('MatMul', ['b', 'a'], ['c']),
    node('MatMul', ['c', 'a'], ['d']),
  ];
  const bytes = onnxModel({
    nodes: [node('Expand', ['one', 'x'], ['a']), ...products, node('ReduceMax', ['d'], ['y'], { keepdims: 0 })],
    inputs: { x: { integers: [2] } },
    outputs: { y: [] },
    stored: { one: { shape: [1, 1] } },
  });
  const directory = mkdtempSync(join(tmpdir(), 'fairlead-server-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'products.onnx');
  writeFileSync(path, bytes);
  const input = (size: number) => ({ name: 'x', datatype: 'INT64', shape: [2], data: [size, size] });
  const config = { models: [{ name: 'p', uri: `file://${path}`, examples: [{ inputs: [input(400)] }] }] };
  const { child, until, exited } = run(['--drain-delay', '0', '--grace', '90s'], {
    FAIRLEAD_SERVER_CONFIG: JSON.stringify(config),
  });
  const { http, metrics } = await until(/^listening$/);
  await until(/moved to a thread of its own/);
  const ask = { method: 'POST', body: JSON.stringify({ inputs: [input(4_000)] }) };
  const answer = fetch(`http://127.0.0.1:${http}/v2/models/p/infer`, ask);
  const failed = expect(answer).rejects.toThrow();
  const inFlight = async () => {
    const counts = await fetch(`http://127.0.0.1:${metrics}/counts`);
    return ((await counts.json()) as { inFlight: number }).inFlight;
  };
  await expect.poll(inFlight).toBe(1);
  child.kill('SIGTERM');
  await until(/^stopping/);
  child.kill('SIGTERM');
  expect(await exited).toBe(1);
  await failed;
});

test.each([
  ['a model that is not there', ['--model', 'bc=file:///none/such.onnx'], 'ModelNotFound'],
  ['a flag that is wrong', ['--model', 'bc'], 'InvalidConfiguration'],
])('%s ends a server with 1, and the kubelet reads why', async (_, flags, reason) => {
  const directory = mkdtempSync(join(tmpdir(), 'fairlead-server-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const terminationLog = join(directory, 'termination-log');
  writeFileSync(terminationLog, '');
  const { exited, lines } = run(flags, { FAIRLEAD_TERMINATION_LOG: terminationLog });
  expect(await exited).toBe(1);
  expect(JSON.parse(readFileSync(terminationLog, 'utf8'))).toEqual({
    reason,
    message: expect.stringMatching(/such\.onnx|--model bc/),
  });
  expect(lines.at(-1)?.reason).toBe(reason);
});
