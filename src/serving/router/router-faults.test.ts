import { Agent, request } from 'undici';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePort } from '../../../e2e/cluster/free-port.ts';
import type { Route } from '../../api/route.ts';
import { RevisionCounters } from '../counts/revision-counters.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { NamedPod } from '../testing/named-pod.ts';
import { quietLogger } from '../testing/served.ts';
import { HttpPort } from './http-port.ts';
import { HttpUpstreams } from './http1/upstreams.ts';
import { RouteTable } from './route-table.ts';

/** A whole data plane over HTTP: a table, its port, pods. */
let table: RouteTable;
/** It stands still: nothing is late because the machine is slow. */
let clock: FakeClock;
let counters: RevisionCounters;
let port: number;
let draws: number;
let pods: Map<string, NamedPod>;
let agent: Agent;

beforeEach(async () => {
  counters = new RevisionCounters();
  draws = 0;
  clock = new FakeClock();
  port = await freePort();
  agent = new Agent({ connections: 8 });
  pods = new Map([
    ['canary', await NamedPod.start('canary')],
    ['stable', await NamedPod.start('stable')],
  ]);
  const upstreams = new HttpUpstreams({ clock });
  table = new RouteTable({
    host: '127.0.0.1',
    clock,
    // Every tenth of the draws, in turn.
    random: () => (draws++ % 10) / 10,
    logger: quietLogger,
    counters,
    open: {
      http: (router) => new HttpPort({ router, upstreams, clock, random: Math.random }),
      grpc: (router) => new HttpPort({ router, upstreams, clock, random: Math.random }),
    },
    onPool: (pool) => pool.watch(upstreams),
    onChange: () => undefined,
  });
  for (const revision of pods.keys()) table.setAddresses(revision, ['127.0.0.1']);
});
afterEach(async () => {
  table.kill();
  await agent.destroy();
  for (const pod of pods.values()) pod.kill();
});

function route(generation: number, weight: number, rest: Partial<Route> = {}): string {
  const backend = (revision: string, share: number) => ({
    revision,
    weight: share,
    ports: { http: pods.get(revision)?.port ?? 0 },
  });
  const whole: Route = {
    generation,
    modelDeployment: 'churn',
    ports: { http: port },
    backends: [backend('canary', weight), backend('stable', 100 - weight)],
    limits: { maxBodyBytes: 1_000, maxQueue: 100, maxInFlight: 100, timeoutMs: 2_000 },
    ...rest,
  };
  return JSON.stringify(whole);
}

async function ask(headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const answer = await request(`http://127.0.0.1:${port}/predict`, {
    method: 'POST',
    body: '{}',
    headers,
    dispatcher: agent,
  });
  return `${answer.statusCode} ${await answer.body.text()}`;
}

async function tally(requests: number): Promise<Record<string, number>> {
  const answers = await Promise.all(Array.from({ length: requests }, () => ask()));
  return Object.fromEntries([...Map.groupBy(answers, (answer) => answer)].map(([answer, all]) => [answer, all.length]));
}

test('requests go by the weights, and by the next weights from the moment at which they are applied', async () => {
  await table.apply('churn', route(1, 10));
  expect(await tally(100)).toEqual({ '200 canary': 10, '200 stable': 90 });
  await table.apply('churn', route(2, 50));
  expect(await tally(100)).toEqual({ '200 canary': 50, '200 stable': 50 });
  expect(counters.snapshot().churn).toMatchObject({
    canary: { requests: 60, errors: 0 },
    stable: { requests: 140, errors: 0 },
  });
});

test('all canary pods gone in one instant: no request fails, before and after the endpoints say so', async () => {
  await table.apply('churn', route(1, 50));
  expect(await tally(100)).toEqual({ '200 canary': 50, '200 stable': 50 });
  pods.get('canary')?.kill();
  expect(await tally(200)).toEqual({ '200 stable': 200 });
  table.setAddresses('canary', []);
  expect(await tally(100)).toEqual({ '200 stable': 100 });
  const passedOver = [...counters.entries()].find(({ revision }) => revision === 'canary')?.counter.passedOver;
  expect(passedOver).toBe(50);
});

test('routes that change under load cost no request', async () => {
  await table.apply('churn', route(1, 0));
  let isDone = false;
  const outcomes: Promise<Record<string, number>>[] = [];
  const load = (async () => {
    while (!isDone) {
      const round = tally(20);
      outcomes.push(round);
      await round;
    }
  })();
  for (let generation = 2; generation <= 40; generation++) {
    const backends =
      generation % 3 === 0
        ? { backends: [{ revision: 'stable', weight: 100, ports: { http: pods.get('stable')?.port ?? 0 } }] }
        : {};
    await table.apply('churn', route(generation, generation % 100, backends));
    await new Promise((resolve) => setImmediate(resolve));
  }
  isDone = true;
  await load;
  const answers = new Set((await Promise.all(outcomes)).flatMap((round) => Object.keys(round)));
  expect([...answers].filter((answer) => !answer.startsWith('200'))).toEqual([]);
  expect(table.report.applied).toEqual({ churn: 40 });
});

test('a port that closes answers what it has and tells its clients to go', async () => {
  await table.apply('churn', route(1, 0));
  expect(await ask()).toBe('200 stable');
  const removed = table.remove('churn');
  const answer = await request(`http://127.0.0.1:${port}/predict`, { method: 'POST', body: '{}', dispatcher: agent });
  expect(answer.headers.connection).toBe('close');
  expect(await answer.body.text()).toBe('stable');
  await removed;
  const closed = table.close();
  await clock.advance(1_000);
  await closed;
  await expect(ask()).rejects.toThrow();
});
