import { beforeEach, expect, test } from 'vitest';
import type { CountsSnapshot } from '../api/counts.ts';
import { ANNOTATIONS } from '../api/names.ts';
import { ApiClient } from '../runtime/api-client.ts';
import { ApiError, ConnectionError } from '../runtime/api-error.ts';
import type { ApiRequest, Transport } from '../runtime/kube-transport.ts';
import { silentLogger } from '../runtime/testing/cluster.ts';
import { FakeClock } from '../runtime/testing/fake-clock.ts';
import { RevisionCounter } from '../serving/counts/revision-counter.ts';
import { LeaseReport } from './lease-report.ts';

/** An API server that has one Lease, or none, and may be away. */
class LeaseServer implements Transport {
  readonly writes: string[] = [];
  annotations: Readonly<Record<string, string>> | undefined;
  isAway = false;

  async json({ method, path, body }: ApiRequest): Promise<unknown> {
    if (this.isAway) throw new ConnectionError(path, new Error('away'));
    const { metadata } = body as { metadata: { annotations: Readonly<Record<string, string | null>> } };
    this.writes.push(method);
    if (method === 'POST' && this.annotations !== undefined) throw new ApiError(path, 409, { reason: 'AlreadyExists' });
    if (method === 'PATCH' && this.annotations === undefined) throw new ApiError(path, 404, { reason: 'NotFound' });
    const merged = Object.entries({ ...this.annotations, ...metadata.annotations });
    this.annotations = Object.fromEntries(merged.flatMap(([key, value]) => (value === null ? [] : [[key, value]])));
    return {};
  }

  async *stream(): AsyncGenerator<Uint8Array> {}
  async close(): Promise<void> {}
}

let server: LeaseServer;
let clock: FakeClock;
let report: LeaseReport;

beforeEach(() => {
  server = new LeaseServer();
  clock = new FakeClock();
  report = new LeaseReport({
    client: new ApiClient(server, 'fairlead'),
    clock,
    random: () => 0.5,
    logger: silentLogger,
    namespace: 'shop',
    podName: 'router-1',
    podUid: 'uid-1',
  });
});

const told = (annotation: string): unknown => JSON.parse(server.annotations?.[annotation] ?? 'null');
const applied = (generation: number) => ({ applied: { churn: generation }, refused: {} });
const never = new AbortController().signal;

test('what changes at once is told in one write, what changes later in another, and nothing at rest', async () => {
  for (let generation = 1; generation <= 50; generation++) report.tell(applied(generation));
  await clock.advance(10);
  expect(server.writes).toEqual(['POST']);
  expect(told(ANNOTATIONS.appliedRoutes)).toEqual({ churn: 50 });
  report.tell(applied(51));
  await clock.advance(10);
  expect(server.writes).toEqual(['POST', 'PATCH']);
  report.tell(applied(51));
  await clock.advance(3_600_000);
  expect(server.writes).toEqual(['POST', 'PATCH']);
});

test('a Lease that this pod left before its container was started again is written on', async () => {
  server.annotations = { [ANNOTATIONS.appliedRoutes]: '{"churn":1}' };
  report.tell(applied(2));
  await clock.advance(10);
  expect(told(ANNOTATIONS.appliedRoutes)).toEqual({ churn: 2 });
});

test('the last counts of the process before, in this pod, are taken off its Lease', async () => {
  server.annotations = { [ANNOTATIONS.finalCounts]: '{"instance":"before","inFlight":0,"revisions":{}}' };
  report.tell(applied(1));
  await clock.advance(10);
  expect(server.annotations).not.toHaveProperty([ANNOTATIONS.finalCounts]);
  const ended = report.end({ instance: 'a', inFlight: 0, revisions: {} }, never);
  await clock.advance(10);
  await ended;
  expect(told(ANNOTATIONS.finalCounts)).toMatchObject({ instance: 'a' });
});

test('a Lease that somebody deleted is made again', async () => {
  report.tell(applied(1));
  await clock.advance(10);
  server.annotations = undefined;
  report.tell(applied(2));
  await clock.advance(1_000);
  expect(told(ANNOTATIONS.appliedRoutes)).toEqual({ churn: 2 });
});

test('what could not be written is written when the API server is back, as it is then', async () => {
  server.isAway = true;
  report.tell(applied(1));
  await clock.advance(60_000);
  report.tell({ applied: { churn: 2 }, refused: { fraud: 'x'.repeat(10_000) } });
  server.isAway = false;
  await clock.advance(5_000);
  expect(server.writes).toEqual(['POST']);
  expect(told(ANNOTATIONS.appliedRoutes)).toEqual({ churn: 2 });
  expect(told(ANNOTATIONS.refusedRoutes)).toEqual({ fraud: 'x'.repeat(500) });
});

test('the last counts are left beside what is applied', async () => {
  report.tell(applied(1));
  const ended = report.end({ instance: 'a', inFlight: 0, revisions: {} }, never);
  await clock.advance(10);
  await ended;
  expect(told(ANNOTATIONS.appliedRoutes)).toEqual({ churn: 1 });
  expect(told(ANNOTATIONS.finalCounts)).toEqual({ instance: 'a', inFlight: 0, revisions: {} });
});

test('the last counts of a ModelDeployment that is named as what every object has are left', async () => {
  const revisions = { constructor: { 'constructor-a': new RevisionCounter().snapshot() } };
  const ended = report.end({ instance: 'a', inFlight: 0, revisions }, never);
  await clock.advance(10);
  await ended;
  expect(told(ANNOTATIONS.finalCounts)).toEqual({ instance: 'a', inFlight: 0, revisions });
});

test('the last counts are given up when there is no time left', async () => {
  server.isAway = true;
  const limit = new AbortController();
  const ended = report.end({ instance: 'a', inFlight: 0, revisions: {} }, limit.signal);
  await clock.advance(1_000);
  limit.abort();
  await ended;
  server.isAway = false;
  await clock.advance(60_000);
  expect(server.writes).toEqual([]);
});

test('of counts that are more than an annotation may hold those of rollouts are kept, and the busiest', async () => {
  const revisions: CountsSnapshot['revisions'] = {};
  for (let index = 0; index < 3_000; index++) {
    const counter = new RevisionCounter();
    for (let request = 0; request < index; request++) counter.ended('success', 0.01);
    const own: Record<string, ReturnType<RevisionCounter['snapshot']>> = { [`r-${index}`]: counter.snapshot() };
    // One that is rolled out, with few requests.
    if (index === 0) own['r-canary'] = counter.snapshot();
    revisions[`md-${index}`] = own;
  }
  const ended = report.end({ instance: 'a', inFlight: 0, revisions }, never);
  await clock.advance(10);
  await ended;
  const text = server.annotations?.[ANNOTATIONS.finalCounts] ?? '';
  expect(text.length).toBeLessThan(200_000);
  expect(text.length).toBeGreaterThan(150_000);
  const kept = told(ANNOTATIONS.finalCounts) as CountsSnapshot;
  expect(Object.keys(kept.revisions['md-0'] ?? {})).toEqual(['r-0', 'r-canary']);
  expect(kept.revisions).toHaveProperty('md-2999');
  expect(kept.revisions).not.toHaveProperty('md-1');
});
