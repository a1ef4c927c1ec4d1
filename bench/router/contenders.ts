import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Route } from '../../src/api/route.ts';
import { ROUTER_ENVIRONMENT } from '../../src/controllers/router/environment.ts';
import type { RouterState } from '../../src/serving/router/kept-state.ts';
import { pinned, SERVER_CORE } from '../server/load.ts';

export interface Running {
  readonly pid: number;
  readonly port: number;
  stop(): void;
}

const LOAD_CORE = 1;
const READY_WITHIN_MS = 60_000;
/** Routes and their backends always have one for REST. */
const UNUSED_PORT = 17_299;
const NOBODYS_PORT = 1;
const here = (name: string): string => fileURLToPath(new URL(`contenders/${name}`, import.meta.url));

/** Two pods, on the core that load comes from: what is in front of them has its core for itself. */
export async function startBackends(ports: readonly number[]): Promise<readonly Running[]> {
  return Promise.all(ports.map((port) => startProgram('backend.ts', [port], port, LOAD_CORE)));
}

/** A program of this folder, on the relays' core unless another is said. */
export function startProgram(
  program: string,
  ports: readonly number[],
  port: number,
  core = SERVER_CORE,
): Promise<Running> {
  return start(core, process.execPath, [here(program), ...ports.map(String)], port);
}

/**
 * Our router, as its pod runs it, without an API server: its route and the pods, 90 to 10, are what it kept before. With
 * `protocol` grpc its own port and the pods' are those of gRPC.
 */
export function startRouter(
  program: string,
  port: number,
  [stable = 0, canary = 0]: readonly number[],
  { flags = [], protocol = 'http' }: { readonly flags?: readonly string[]; readonly protocol?: 'http' | 'grpc' } = {},
): Promise<Running> {
  const ports = (one: number) => (protocol === 'http' ? { http: one } : { http: UNUSED_PORT, grpc: one });
  const route: Route = {
    generation: 1,
    modelDeployment: 'churn',
    ports: ports(port),
    backends: [
      { revision: 'canary', weight: 10, ports: ports(canary) },
      { revision: 'stable', weight: 90, ports: ports(stable) },
    ],
    limits: { maxBodyBytes: 67_108_864, maxQueue: 1_000, maxInFlight: 1_000, timeoutMs: 60_000 },
  };
  const state: RouterState = {
    routes: { churn: JSON.stringify(route) },
    addresses: { stable: ['127.0.0.1'], canary: ['127.0.0.1'] },
  };
  const folder = mkdtempSync(join(tmpdir(), 'bench-router-'));
  write(folder, 'state.json', JSON.stringify(state));
  const own = ['--namespace', 'bench', '--pod-name', 'router', '--host', '127.0.0.1', '--metrics-port', '0'];
  return start(
    SERVER_CORE,
    process.execPath,
    [...flags, program, 'router', ...own, '--drain-delay', '0', '--state-dir', folder],
    port,
    { ...ROUTER_ENVIRONMENT, KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(NOBODYS_PORT) },
  );
}

/** Two pods that answer gRPC calls with what they got. */
export async function startGrpcBackends(ports: readonly number[]): Promise<readonly Running[]> {
  return Promise.all(ports.map((port) => startProgram('../../server/echo-grpc.ts', [port], port, LOAD_CORE)));
}

export const has = (command: string): boolean => spawnSync('which', [command]).status === 0;

/** nginx with one worker: `split_clients` by a random identifier, keep-alive on both sides. */
export function startNginx(port: number, [stable, canary]: readonly number[]): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-nginx-'));
  const upstream = (name: string, backend: number | undefined): string =>
    `upstream ${name} { server 127.0.0.1:${backend}; keepalive 256; keepalive_requests 1000000000; }`;
  const file = write(
    folder,
    'nginx.conf',
    `daemon off; master_process off; worker_processes 1; pid ${folder}/pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  split_clients $request_id $revision { 10% canary; * stable; }
  ${upstream('stable', stable)}
  ${upstream('canary', canary)}
  server {
    listen 127.0.0.1:${port};
    keepalive_requests 1000000000;
    location / { proxy_pass http://$revision; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }
  }
}
`,
  );
  return start(SERVER_CORE, 'nginx', ['-p', folder, '-c', file], port);
}

/** HAProxy with one thread, keep-alive on both sides. */
export function startHaproxy(port: number, [stable, canary]: readonly number[]): Promise<Running> {
  const file = write(
    mkdtempSync(join(tmpdir(), 'bench-haproxy-')),
    'haproxy.cfg',
    `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend front
  bind 127.0.0.1:${port}
  use_backend canary if { rand(100) lt 10 }
  default_backend stable
backend stable
  server stable 127.0.0.1:${stable}
backend canary
  server canary 127.0.0.1:${canary}
`,
  );
  return start(SERVER_CORE, 'haproxy', ['-db', '-f', file], port);
}

function write(folder: string, name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

async function start(
  core: number,
  command: string,
  args: readonly string[],
  port: number,
  environment: Readonly<Record<string, string>> = {},
): Promise<Running> {
  const [taskset = '', ...pin] = pinned(core);
  const child = spawn(taskset, [...pin, command, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...environment },
  });
  await Promise.race([accepts(port), ended(child, command)]);
  return { pid: child.pid ?? 0, port, stop: () => child.kill('SIGINT') };
}

async function ended(child: ChildProcess, command: string): Promise<never> {
  const [code] = await once(child, 'exit');
  throw new Error(`${command} ended with code ${code}`);
}

/** Resolves once something listens on the port. */
async function accepts(port: number): Promise<void> {
  const untilMs = performance.now() + READY_WITHIN_MS;
  while (performance.now() < untilMs) {
    const socket = connect(port, '127.0.0.1');
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens on port ${port} after ${READY_WITHIN_MS} ms`);
}
