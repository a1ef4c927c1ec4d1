import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { freePort } from '../../../../e2e/cluster/free-port.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { choiceOf, RelayFixture, targetOf } from '../testing/relay-fixture.ts';
import type { Choice } from '../types.ts';

let net: RelayFixture;
beforeEach(() => {
  net = new RelayFixture();
});
afterEach(() => net.close());

interface PodAnswer {
  readonly status?: number;
  readonly json: unknown;
}

/** A pod that answers infer with JSON, and keeps the bodies that it got. */
async function startPod(answer: (body: string) => PodAnswer | undefined) {
  const bodies: string[] = [];
  const serve: RequestListener = (request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      bodies.push(Buffer.concat(pieces).toString('utf8'));
      const given = answer(bodies.at(-1) ?? '');
      if (given === undefined) return;
      response.writeHead(given.status ?? 200, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(given.json));
    });
  };
  return { port: await net.httpPod(serve), bodies };
}

const y = (...data: readonly number[]): PodAnswer => ({
  json: { model_name: 'm', outputs: [{ name: 'y', datatype: 'FP32', shape: [data.length], data }] },
});
const post = (body: string, headers = ''): string =>
  `POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;

async function start(choice: Choice, clock?: FakeClock) {
  const running = await net.relay(choice, clock === undefined ? {} : { clock });
  for (const target of [
    choice.mirror?.target,
    choice.fallback?.target,
    ...(choice.ensemble?.members ?? []).map((m) => m.target),
  ]) {
    target?.pool.watch(running.upstreams);
  }
  return { ...running, budget: running.upstreams.budget };
}

describe('mirror', () => {
  const setUp = async (copyAnswer: (body: string) => PodAnswer | undefined, tolerance = 0.01) => {
    const primary = await startPod(() => y(1, 2));
    const mirror = await startPod(copyAnswer);
    const [target, copies] = [targetOf([primary.port]), targetOf([mirror.port], { revision: 'm-2' })];
    const relay = await start(choiceOf(target, { mirror: { target: copies, tolerance } }));
    return { primary, mirror, target, copies, ...relay };
  };

  it('the client gets the answer of its revision; the copy sees the same request and is compared', async () => {
    const { port, primary, mirror, target, copies, budget } = await setUp(() => y(1.001, 2));
    expect(await net.raw(port, post('hello'))).toContain('"data":[1,2]');
    await expect.poll(() => copies.copies).toEqual([{ outcome: 'success', agreed: true }]);
    expect([primary.bodies, mirror.bodies]).toEqual([['hello'], ['hello']]);
    expect([target.outcomes, copies.outcomes]).toEqual([['success'], []]);
    await expect.poll(() => budget.usedBytes).toBe(0);
  });

  it.each([
    ['numbers that differ', () => y(1.1, 2), { outcome: 'success', agreed: false }],
    ['a refusal', () => ({ status: 400, json: { error: 'no' } }), { outcome: 'success', agreed: false }],
    ['an error', () => ({ status: 500, json: { error: 'no' } }), { outcome: 'error', agreed: undefined }],
  ])('a copy with %s', async (_name, answer, counted) => {
    const { port, copies } = await setUp(answer);
    expect(await net.raw(port, post('hello'))).toContain('200 OK');
    await expect.poll(() => copies.copies).toEqual([counted]);
  });

  it('a mirror that cannot be reached does not touch the request', async () => {
    const primary = await startPod(() => y(1));
    const copies = targetOf([await freePort()], { revision: 'm-2' });
    const { port } = await start(choiceOf(targetOf([primary.port]), { mirror: { target: copies, tolerance: 0 } }));
    expect(await net.raw(port, post('hello'))).toContain('200 OK');
    await expect.poll(() => copies.copies).toEqual([{ outcome: 'error', agreed: undefined }]);
  });

  it('a copy never waits where users wait: with all pods of the mirror busy it is dropped', async () => {
    const primary = await startPod(() => y(1));
    const mirror = await startPod(() => undefined);
    const room = { waiting: 0, max: 10 };
    const target = targetOf([primary.port], { room });
    const copies = targetOf([mirror.port], { revision: 'm-2', maxInFlight: 1, room });
    const { port } = await start(choiceOf(target, { mirror: { target: copies, tolerance: 0 } }));
    expect(await net.raw(port, post('one'))).toContain('200 OK');
    await expect.poll(() => mirror.bodies).toEqual(['one']);
    expect(await net.raw(port, post('two'))).toContain('200 OK');
    expect([copies.copies, room.waiting, copies.pool.inFlight]).toEqual([[{ outcome: 'dropped' }], 0, 1]);
  });

  it.each([
    ['the limit of the route', '', 'failed'],
    ['a shorter one of the client', 'Fairlead-Timeout-Ms: 700\r\n', 'neutral'],
  ])('a copy that takes longer than %s', async (_name, header, result) => {
    const clock = new FakeClock();
    const [primary, mirror] = [await startPod(() => y(1)), await startPod(() => undefined)];
    const copies = targetOf([mirror.port], { clock });
    const release = vi.spyOn(copies.pool, 'release');
    const { port } = await start(
      choiceOf(targetOf([primary.port]), { mirror: { target: copies, tolerance: 0 } }),
      clock,
    );
    net.client(port).write(post('hello', header));
    await expect.poll(() => mirror.bodies.length).toBe(1);
    await clock.advance(30_000);
    expect(release.mock.calls).toEqual([[expect.anything(), result]]);
  });

  it('a client that goes away does not end the copy', async () => {
    const primary = await startPod(() => undefined);
    const mirror = await startPod(() => y(1));
    const [target, copies] = [targetOf([primary.port]), targetOf([mirror.port])];
    const { port, budget } = await start(choiceOf(target, { mirror: { target: copies, tolerance: 0 } }));
    const client = net.client(port);
    client.write(post('hello'));
    await expect.poll(() => primary.bodies.length).toBe(1);
    client.destroy();
    await expect.poll(() => copies.copies).toEqual([{ outcome: 'success', agreed: undefined }]);
    expect(target.outcomes).toEqual(['cancelled']);
    await expect.poll(() => budget.usedBytes).toBe(0);
  });

  it('without memory for a copy none is sent, and the request goes on as a stream', async () => {
    const { port, primary, mirror, copies, budget } = await setUp(() => y(1, 2));
    const left = 32 * 2 ** 20 - budget.usedBytes;
    budget.take(left - 2_000);
    const body = 'x'.repeat(9_000);
    expect(await net.raw(port, post(body))).toContain('200 OK');
    expect(primary.bodies).toEqual([body]);
    expect([mirror.bodies, copies.copies]).toEqual([[], [{ outcome: 'dropped' }]]);
    expect(budget.usedBytes).toBe(left - 2_000);
  });

  it('what is no inference is not copied', async () => {
    const { port, mirror } = await setUp(() => y(1, 2));
    await net.raw(port, 'GET /v2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expect(mirror.bodies).toEqual([]);
  });
});

describe('fallback', () => {
  const setUp = async (answer: (body: string) => PodAnswer | undefined, afterMs?: number) => {
    const clock = afterMs === undefined ? undefined : new FakeClock();
    const primary = await startPod(answer);
    const other = await startPod(() => y(7));
    const [target, fallback] = [targetOf([primary.port]), targetOf([other.port], { revision: 'm-old' })];
    const relay = await start(choiceOf(target, { fallback: { target: fallback, afterMs } }), clock);
    return { primary, other, target, fallback, clock, ...relay };
  };

  it('an answer without an error is the client’s, and nobody else is asked', async () => {
    const { port, other, budget } = await setUp(() => y(1));
    expect(await net.raw(port, post('hello'))).toContain('"data":[1]');
    expect(other.bodies).toEqual([]);
    expect(budget.usedBytes).toBe(0);
  });

  it('an error is answered by the fallback, with the same body, and both are counted', async () => {
    const { port, other, target, fallback } = await setUp(() => ({ status: 500, json: { error: 'x'.repeat(70_000) } }));
    expect(await net.raw(port, post('hello'))).toContain('"data":[7]');
    expect(other.bodies).toEqual(['hello']);
    expect([target.outcomes, fallback.outcomes]).toEqual([['error'], ['success']]);
    expect(target.pool.inFlight).toBe(0);
  });

  it('a refusal is the client’s own', async () => {
    const { port, other } = await setUp(() => ({ status: 400, json: { error: 'no' } }));
    expect(await net.raw(port, post('hello'))).toContain('400 Bad Request');
    expect(other.bodies).toEqual([]);
  });

  it('a revision that takes too long is given up for the fallback', async () => {
    const { port, primary, clock, target, fallback } = await setUp(() => undefined, 50);
    const answer = net.raw(port, post('hello'));
    await expect.poll(() => primary.bodies.length).toBe(1);
    await clock?.advance(49);
    expect(target.outcomes).toEqual([]);
    await clock?.advance(1);
    await expect.poll(() => fallback.outcomes).toEqual(['success']);
    await clock?.advance(2_000);
    expect(await answer).toContain('"data":[7]');
    expect(target.outcomes).toEqual(['error']);
  });

  it('what a revision may take begins when its request is whole: a client that sends slowly is not its fault', async () => {
    const { port, primary, clock, target, fallback } = await setUp(() => undefined, 50);
    const client = net.client(port);
    client.write(post('hello', 'Expect: 100-continue\r\n').slice(0, -3));
    expect(String(await once(client, 'data'))).toContain('100 Continue');
    await clock?.advance(1_000);
    client.write('llo');
    await expect.poll(() => primary.bodies).toEqual(['hello']);
    await clock?.advance(49);
    expect(target.outcomes).toEqual([]);
    await clock?.advance(1);
    await expect.poll(() => fallback.outcomes).toEqual(['success']);
  });

  it('a fallback that is asked on the connection on which it erred before has no more time than any other', async () => {
    const clock = new FakeClock();
    const other = await net.recordingPod((socket, seen) => {
      if (seen.length === 1) socket.write('HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n');
    });
    const [target, stable] = [targetOf([await freePort()]), targetOf([other.port], { clock })];
    const { port } = await start(choiceOf(target, { elsewhere: [stable], fallback: { target: stable } }), clock);
    const answer = net.raw(port, post('hello'));
    await expect.poll(() => other.seen.length).toBe(2);
    await clock.advance(30_000);
    await clock.advance(2_000);
    expect(await answer).toMatch(/^HTTP\/1.1 504 [\s\S]*m-1 did not answer within 30000 ms/);
  });

  it('a revision whose pods are all busy for too long is given up for the fallback', async () => {
    const clock = new FakeClock();
    const other = await startPod(() => y(7));
    const [target, fallback] = [targetOf([await freePort()], { maxInFlight: 0 }), targetOf([other.port])];
    const { port } = await start(choiceOf(target, { fallback: { target: fallback, afterMs: 50 } }), clock);
    const answer = net.raw(port, post('hello'));
    await expect.poll(() => target.pool.waiting).toBe(1);
    await clock.advance(50);
    await expect.poll(() => fallback.outcomes).toEqual(['success']);
    await clock.advance(2_000);
    expect(await answer).toContain('"data":[7]');
    expect(target.outcomes).toEqual(['error']);
  });

  it('a revision without a pod that can be reached', async () => {
    const other = await startPod(() => y(7));
    const [target, fallback] = [targetOf([await freePort()]), targetOf([other.port])];
    const { port } = await start(choiceOf(target, { fallback: { target: fallback } }));
    expect(await net.raw(port, post('hello'))).toContain('"data":[7]');
  });

  it('a revision that has no pod, at once', async () => {
    const other = await startPod(() => y(7));
    const [target, fallback] = [targetOf([]), targetOf([other.port])];
    const { port } = await start(choiceOf(target, { fallback: { target: fallback } }));
    expect(await net.raw(port, post('hello'))).toContain('"data":[7]');
    expect(target.outcomes).toEqual(['error']);
  });

  it('a revision whose last pod vanishes while the request waits, and a fallback that has none either', async () => {
    const other = await startPod(() => y(7));
    const [target, fallback] = [targetOf([await freePort()], { maxInFlight: 0 }), targetOf([other.port])];
    const { port } = await start(choiceOf(target, { fallback: { target: fallback } }));
    const answer = net.raw(port, post('hello'));
    await expect.poll(() => target.pool.waiting).toBe(1);
    target.pool.update([]);
    expect(await answer).toContain('"data":[7]');
    fallback.pool.update([]);
    expect(await net.raw(port, post('hello'))).toMatch(/^HTTP\/1.1 503 [\s\S]*has no ready pod/);
  });

  it('a revision for which too many wait', async () => {
    const other = await startPod(() => y(7));
    const busy = { maxInFlight: 0, room: { waiting: 0, max: 0 } };
    const [target, fallback] = [targetOf([await freePort()], busy), targetOf([other.port])];
    const { port } = await start(choiceOf(target, { fallback: { target: fallback } }));
    expect(await net.raw(port, post('hello'))).toContain('"data":[7]');
    expect(other.bodies).toEqual(['hello']);
  });

  it('when the fallback fails too, the client gets its answer', async () => {
    const bad = await startPod(() => ({ status: 503, json: { error: 'first' } }));
    const worse = await startPod(() => ({ status: 500, json: { error: 'second' } }));
    const { port } = await start(choiceOf(targetOf([bad.port]), { fallback: { target: targetOf([worse.port]) } }));
    expect(await net.raw(port, post('hello'))).toMatch(/^HTTP\/1.1 500 [\s\S]*second/);
  });

  it('without memory to keep the body the request is refused', async () => {
    const { port, primary, budget } = await setUp(() => y(1));
    budget.take(32 * 2 ** 20);
    expect(await net.raw(port, post('hello'))).toMatch(
      /^HTTP\/1.1 503 [\s\S]*kept for other requests fill 33554432 of 33554432 bytes/,
    );
    expect(primary.bodies).toEqual([]);
    expect(budget.usedBytes).toBe(32 * 2 ** 20);
  });
});

describe('ensemble', () => {
  const setUp = async (answers: readonly ((body: string) => PodAnswer | undefined)[], clock?: FakeClock) => {
    const pods = await Promise.all(answers.map(startPod));
    const targets = pods.map(({ port }, index) => targetOf([port], { revision: `m-${index}` }));
    const [first] = targets;
    if (first === undefined) throw new Error('no members');
    const members = targets.map((target, index) => ({ target, weight: index + 1 }));
    const relay = await start(choiceOf(first, { ensemble: { members, combine: 'Average' } }), clock);
    return { pods, targets, ...relay };
  };

  it('all members answer, and their mean by weight is the answer', async () => {
    const { port, pods, targets, budget } = await setUp([() => y(1, 1), () => y(4, 7)]);
    const answer = await net.raw(port, post('hello'));
    expect(answer).toContain('"outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[3,5]}]');
    expect(pods.map(({ bodies }) => bodies)).toEqual([['hello'], ['hello']]);
    expect(targets.map(({ outcomes }) => outcomes)).toEqual([['success'], ['success']]);
    expect(budget.usedBytes).toBe(0);
  });

  it('a connection may ask again', async () => {
    const { port } = await setUp([() => y(1), () => y(4)]);
    const keep = post('hello').replace('Connection: close\r\n', '');
    const answer = await net.raw(port, keep + keep + post('hello'));
    expect(answer.match(/"data":\[3\]/g)).toHaveLength(3);
  });

  it.each([
    [
      'errs',
      () => ({ status: 500, json: { error: 'broke' } }),
      502,
      /m-1 of the ensemble answered 500: \{\\"error\\":\\"broke/,
    ],
    ['refuses', () => ({ status: 400, json: { error: 'bad' } }), 400, /m-1 of the ensemble answered 400/],
    [
      'answers something else',
      () => ({ json: { predictions: [1] } }),
      502,
      /m-1 did not answer in the Open Inference Protocol/,
    ],
    ['has another shape', () => y(1, 2), 502, /output y is FP32 \[1\] of m-0, but FP32 \[2\] of m-1/],
  ])('a member that %s is named', async (_name, answer, status, message) => {
    const { port, budget } = await setUp([() => y(1), answer]);
    const text = await net.raw(port, post('hello'));
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(text).toMatch(message);
    expect(budget.usedBytes).toBe(0);
  });

  it('a member that cannot be reached is named, and the others are let go', async () => {
    const slow = await startPod(() => undefined);
    const [first, second] = [targetOf([slow.port]), targetOf([await freePort()], { revision: 'm-9' })];
    const members = [first, second].map((target) => ({ target, weight: 1 }));
    const { port } = await start(choiceOf(first, { ensemble: { members, combine: 'Average' } }));
    expect(await net.raw(port, post('hello'))).toMatch(/^HTTP\/1.1 502 [\s\S]*m-9 of the ensemble: no connection/);
    expect(first.outcomes).toEqual(['withdrawn']);
    expect(first.pool.inFlight).toBe(0);
  });

  it('a member that loses its last pod while the request waits for it is named at once', async () => {
    const slow = await startPod(() => undefined);
    const [first, second] = [targetOf([slow.port]), targetOf([await freePort()], { revision: 'm-9', maxInFlight: 0 })];
    const members = [first, second].map((target) => ({ target, weight: 1 }));
    const { port } = await start(choiceOf(first, { ensemble: { members, combine: 'Average' } }));
    const answer = net.raw(port, post('hello'));
    await expect.poll(() => second.pool.waiting).toBe(1);
    second.pool.update([]);
    expect(await answer).toMatch(/^HTTP\/1.1 502 [\s\S]*m-9 of the ensemble: revision m-9 has no ready pod/);
    expect(first.pool.inFlight).toBe(0);
  });

  it('a member that is late is named', async () => {
    const clock = new FakeClock();
    const { port, pods, targets } = await setUp([() => y(1), () => undefined], clock);
    const answer = net.raw(port, post('hello'));
    await expect.poll(() => [pods[1]?.bodies.length, targets[0]?.outcomes.length]).toEqual([1, 1]);
    await clock.advance(30_000);
    await clock.advance(2_000);
    expect(await answer).toMatch(/^HTTP\/1.1 504 [\s\S]*m-1 did not answer within 30000 ms/);
  });
});
