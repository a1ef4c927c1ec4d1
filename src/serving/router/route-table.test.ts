import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePorts } from '../../../e2e/cluster/free-port.ts';
import type { Route } from '../../api/route.ts';
import { RevisionCounters } from '../counts/revision-counters.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { quietLogger } from '../testing/served.ts';
import { RouteTable } from './route-table.ts';
import { RevealingListener, revealed } from './testing/revealing-listener.ts';

let table: RouteTable;
let clock: FakeClock;
let counters: RevisionCounters;
let changes: number;
let ports: readonly number[];

beforeEach(async () => {
  clock = new FakeClock();
  counters = new RevisionCounters();
  changes = 0;
  ports = await freePorts(4);
  table = new RouteTable({
    host: '127.0.0.1',
    clock,
    random: () => 0.5,
    logger: quietLogger,
    counters,
    open: { http: (router) => new RevealingListener(router), grpc: (router) => new RevealingListener(router) },
    onPool: () => undefined,
    onChange: () => changes++,
  });
});
afterEach(() => table.kill());

const port = (index: number) => ports[index] ?? 0;
const backend = (revision: string, weight: number) => ({ revision, weight, ports: { http: 8080, grpc: 9000 } });

function route(modelDeployment: string, generation: number, rest: Partial<Route> = {}): string {
  const whole: Route = {
    generation,
    modelDeployment,
    ports: { http: port(0) },
    backends: [backend('churn-old', 100)],
    limits: { maxBodyBytes: 1_000, maxQueue: 10, maxInFlight: 10, timeoutMs: 1_000 },
    ...rest,
  };
  return JSON.stringify(whole);
}

test('a route opens its ports, and sends to pods that are known before and after it', async () => {
  table.setAddresses('churn-old', ['10.0.0.1']);
  await table.apply('churn', route('churn', 1, { ports: { http: port(0), grpc: port(1) } }));
  expect(await revealed(port(0))).toBe('churn-old');
  expect(await revealed(port(1))).toBe('churn-old');
  expect(table.report).toEqual({ applied: { churn: 1 }, refused: {} });
  table.setAddresses('churn-old', []);
  expect(await revealed(port(0))).toBe('no revision of churn can answer: churn-old (weight 100, 0 ready pods)');
  expect([...table.unroutable()]).toEqual([['churn', 1]]);
  table.setAddresses('churn-old', ['10.0.0.2']);
  expect(await revealed(port(0))).toBe('churn-old');
});

test('another generation takes the place of the one before, at once', async () => {
  table.setAddresses('churn-old', ['10.0.0.1']);
  table.setAddresses('churn-new', ['10.0.0.2']);
  await table.apply('churn', route('churn', 1));
  await table.apply('churn', route('churn', 2, { backends: [backend('churn-new', 100)] }));
  expect(await revealed(port(0))).toBe('churn-new');
  expect(table.report.applied).toEqual({ churn: 2 });
  expect([...table.revisions()].map(({ revision }) => revision)).toEqual(['churn-new']);
  // Its counts are still told: a rollout that ended is judged by them.
  expect(Object.keys(counters.snapshot().churn ?? {})).toEqual(['churn-old', 'churn-new']);
});

test('a refused route leaves the one before in force and is reported with the reason, until it is put right', async () => {
  table.setAddresses('churn-old', ['10.0.0.1']);
  await table.apply('churn', route('churn', 1));
  await table.apply('churn', route('churn', 2, { backends: [backend('churn-old', 50)] }));
  expect(await revealed(port(0))).toBe('churn-old');
  expect(table.report).toEqual({
    applied: { churn: 1 },
    refused: { churn: expect.stringContaining('must add up to 100') },
  });
  await table.apply('churn', route('churn', 3));
  expect(table.report).toEqual({ applied: { churn: 3 }, refused: {} });
});

test('a refusal is forgotten when the route in force is written again', async () => {
  await table.apply('churn', route('churn', 1));
  await table.apply('churn', '{');
  await table.apply('churn', route('churn', 1));
  expect(table.report).toEqual({ applied: { churn: 1 }, refused: {} });
});

test('a route that bears the name of another ModelDeployment is refused', async () => {
  await table.apply('churn', route('fraud', 1));
  expect(table.report).toEqual({ applied: {}, refused: { churn: expect.stringContaining('that of churn') } });
});

test('of two routes that want one port the first keeps it, and the other gets it when it is given up', async () => {
  table.setAddresses('churn-old', ['10.0.0.1']);
  table.setAddresses('fraud-old', ['10.0.0.2']);
  await table.apply('churn', route('churn', 1));
  await table.apply('fraud', route('fraud', 7, { backends: [backend('fraud-old', 100)] }));
  expect(table.report).toEqual({
    applied: { churn: 1 },
    refused: { fraud: `/ports/http ${port(0)} is that of ModelDeployment churn` },
  });
  expect(await revealed(port(0))).toBe('churn-old');
  await table.apply('churn', route('churn', 2, { ports: { http: port(1) } }));
  expect(table.report).toEqual({ applied: { churn: 2, fraud: 7 }, refused: {} });
  expect(await revealed(port(0))).toBe('fraud-old');
  expect(await revealed(port(1))).toBe('churn-old');
});

test('a port that another program has is waited for', async () => {
  const other = createServer().listen(port(0), '127.0.0.1');
  await once(other, 'listening');
  await table.apply('churn', route('churn', 1));
  expect(table.report.refused.churn).toMatch(/EADDRINUSE/);
  await once(other.close(), 'close');
  await clock.advance(1_000);
  await expect.poll(() => table.report).toEqual({ applied: { churn: 1 }, refused: {} });
  expect(changes).toBe(2);
});

test('a route of which one port cannot be opened opens none', async () => {
  await table.apply('fraud', route('fraud', 1, { ports: { http: port(1) } }));
  await table.apply('churn', route('churn', 1, { ports: { http: port(0), grpc: port(1) } }));
  expect(table.report.refused.churn).toContain(`/ports/grpc ${port(1)}`);
  expect(await revealed(port(0))).toBe('refused');
});

test('requests that are with pods are told by ModelDeployment and revision', async () => {
  table.setAddresses('churn-old', ['10.0.0.1']);
  await table.apply('churn', route('churn', 1, { backends: [backend('churn-new', 0), backend('churn-old', 100)] }));
  await table.apply('fraud', route('fraud', 1, { ports: { http: port(1) }, backends: [backend('fraud-old', 100)] }));
  const pool = [...table.revisions()].find(({ revision }) => revision === 'churn-old')?.pool;
  pool?.take();
  pool?.take();
  expect(table.load).toEqual({ churn: { 'churn-new': 0, 'churn-old': 2 }, fraud: { 'fraud-old': 0 } });
});

test('a removed route closes its ports', async () => {
  await table.apply('churn', route('churn', 1));
  await table.remove('churn');
  expect(await revealed(port(0))).toBe('refused');
  expect(table.report).toEqual({ applied: {}, refused: {} });
});

test('changes that come at once are applied in the order in which they came', async () => {
  table.setAddresses('churn-old', ['10.0.0.1']);
  await Promise.all([
    ...Array.from({ length: 20 }, (_, index) => table.apply('churn', route('churn', index + 1))),
    table.remove('churn'),
    table.apply('churn', route('churn', 99)),
  ]);
  expect(table.report.applied).toEqual({ churn: 99 });
  expect(await revealed(port(0))).toBe('churn-old');
});

test('what changes nothing is not reported', async () => {
  await table.apply('churn', route('churn', 1));
  await table.apply('churn', route('churn', 1));
  await table.remove('fraud');
  expect(changes).toBe(1);
});

test('a fallback and an ensemble may be another ModelDeployment, asked as its own route says', async () => {
  table.setAddresses('fraud-old', ['10.0.0.2']);
  await table.apply('fraud', route('fraud', 1, { ports: { http: port(1) }, backends: [backend('fraud-old', 100)] }));
  const members = ['fraud', 'fraud'].map((modelDeployment) => ({ to: { modelDeployment }, weight: 1 }));
  const ensemble = { combine: 'Average' as const, members };
  await table.apply('churn', route('churn', 1, { backends: [backend('churn-old', 0)], ensemble }));
  expect(await revealed(port(0))).toBe('fraud-old');
  await table.remove('fraud');
  expect(await revealed(port(0))).toContain('ModelDeployment fraud of the ensemble has no route');
});
