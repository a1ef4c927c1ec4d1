import { connect } from 'node:http2';
import { Metadata, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../../../e2e/cluster/free-port.ts';
import { encodeModelInferResponse } from '../../grpc/messages.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { MAX_COPIES } from '../buffered/buffered-exchange.ts';
import { failure, GrpcRelayFixture, message, none } from '../testing/grpc-relay-fixture.ts';
import { always, grpcTarget, type TargetUnderTest } from '../testing/target-under-test.ts';

type Unary = (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => void;

let net: GrpcRelayFixture;
beforeEach(() => {
  net = new GrpcRelayFixture();
});
afterEach(() => net.close());

const y = (...values: readonly number[]): Buffer =>
  encodeModelInferResponse({
    modelName: 'm',
    modelVersion: String(values[0]),
    id: undefined,
    outputs: [{ name: 'y', datatype: 'FP32', shape: [values.length], contents: { fp32Contents: values } }],
  });
const answering =
  (answer: Buffer): Unary =>
  (_call, callback) =>
    callback(null, answer);
const failing =
  (code: status): Unary =>
  (_call, callback) =>
    callback({ code });

const mirrored = ({ observer }: TargetUnderTest) => observer.snapshot().mirror;

async function setUp(primary: Unary, copy: Unary) {
  const requests: Buffer[] = [];
  const a = await net.pod('a', { unary: primary });
  const b = await net.pod('b', {
    unary: (call, callback) => {
      requests.push(call.request);
      copy(call, callback);
    },
    list: (call) => {
      call.write(message);
      call.end();
    },
  });
  const target = grpcTarget('churn-a', [a.port]);
  const mirror = grpcTarget('churn-b', [b.port]);
  const running = await net.relay(always(target, { mirror: { target: mirror, tolerance: 0.01 } }));
  return { target, mirror, requests, copied: b, ...running };
}

describe('a mirrored call', () => {
  it('is answered by its revision; the copy sees the same request and metadata, and is compared', async () => {
    let seen: Metadata | undefined;
    const { client, target, mirror, requests, upstreams } = await setUp(answering(y(1, 2)), (call, callback) => {
      seen = call.metadata;
      callback(null, y(1.001, 2));
    });
    const metadata = new Metadata();
    metadata.set('x-user-id', 'user-1');
    expect(await client.infer(message, metadata)).toEqual(y(1, 2));
    await expect.poll(() => mirrored(mirror)).toMatchObject({ requests: 1, errors: 0, compared: 1, agreed: 1 });
    expect(requests).toEqual([message]);
    expect(seen?.get('x-user-id')).toEqual(['user-1']);
    // Copies are no requests of users.
    expect([target.observer.requests, mirror.observer.requests]).toEqual([1, 0]);
    expect([target.pool.inFlight, mirror.pool.inFlight]).toEqual([0, 0]);
    expect(upstreams.budget.usedBytes).toBe(0);
  });

  it.each([
    ['numbers that differ', answering(y(1.1, 2)), { errors: 0, compared: 1, agreed: 0 }],
    ['a refusal', failing(status.INVALID_ARGUMENT), { errors: 0, compared: 1, agreed: 0 }],
    ['an error', failing(status.UNAVAILABLE), { errors: 1, compared: 0, agreed: 0 }],
    ['something unreadable', answering(Buffer.from([42, 255])), { errors: 0, compared: 0, agreed: 0 }],
  ])('a copy that answers %s does not touch the call', async (_name, copy, counted) => {
    const { client, mirror } = await setUp(answering(y(1, 2)), copy);
    expect(await client.infer(message, none)).toEqual(y(1, 2));
    await expect.poll(() => mirrored(mirror)).toMatchObject({ requests: 1, dropped: 0, ...counted });
  });

  it('the same refusal on both sides agrees; an error of the revision itself is not compared', async () => {
    const refusing = failing(status.INVALID_ARGUMENT);
    const both = await setUp(refusing, refusing);
    await failure(both.client.infer(message, none));
    await expect.poll(() => mirrored(both.mirror)).toMatchObject({ compared: 1, agreed: 1 });
    const one = await setUp(failing(status.INTERNAL), answering(y(1)));
    await failure(one.client.infer(message, none));
    await expect.poll(() => mirrored(one.mirror)).toMatchObject({ requests: 1, errors: 0, compared: 0 });
  });

  it('a method of another service is compared to the byte', async () => {
    const { client, mirror } = await setUp(answering(y(1)), answering(y(1.001)));
    await client.unary(message, none);
    await expect.poll(() => mirrored(mirror)).toMatchObject({ requests: 1, compared: 1, agreed: 0 });
  });

  it('a mirror that cannot be reached is an error of the mirror only', async () => {
    const { port } = await net.pod('a');
    const [target, mirror] = [grpcTarget('churn-a', [port]), grpcTarget('churn-b', [await freePort()])];
    const { client } = await net.relay(always(target, { mirror: { target: mirror, tolerance: 0 } }));
    expect(String(await client.unary(message, none))).toBe('a');
    await expect.poll(() => mirrored(mirror)).toMatchObject({ requests: 1, errors: 1, compared: 0 });
  });

  it('a copy never waits where users wait: with all pods of the mirror busy it is dropped', async () => {
    const { port } = await net.pod('a');
    const busy = await net.pod('b', { unary: () => undefined });
    const [target, mirror] = [grpcTarget('churn-a', [port]), grpcTarget('churn-b', [busy.port], { maxInFlight: 1 })];
    const { client, upstreams } = await net.relay(always(target, { mirror: { target: mirror, tolerance: 0 } }));
    await client.unary(message, none);
    await expect.poll(() => busy.calls).toBe(1);
    const usedBytes = upstreams.budget.usedBytes;
    await client.unary(message, none);
    expect(mirrored(mirror)).toMatchObject({ requests: 0, dropped: 1 });
    expect([mirror.pool.waiting, mirror.pool.inFlight]).toEqual([0, 1]);
    expect(upstreams.budget.usedBytes).toBe(usedBytes);
  });

  it('more copies at once than may be are dropped, also where their calls all began before the first was sent', async () => {
    const [a, busy] = [await net.pod('a'), await net.pod('b', { unary: () => undefined })];
    const room = { maxInFlight: 2 * MAX_COPIES };
    const [target, mirror] = [grpcTarget('churn-a', [a.port], room), grpcTarget('churn-b', [busy.port], room)];
    const { server, port } = await net.relay(always(target, { mirror: { target: mirror, tolerance: 0 } }));
    const session = connect(`http://127.0.0.1:${port}`);
    net.onClose(() => session.destroy());
    const path = { ':method': 'POST', ':path': '/test.Pod/Unary', 'content-type': 'application/grpc' };
    const calls = Array.from({ length: MAX_COPIES + 3 }, () => session.request(path));
    await expect.poll(() => server.inFlight).toBe(calls.length);
    for (const call of calls) call.resume().end(Buffer.from([0, 0, 0, 0, 0]));
    await expect.poll(() => target.observer.requests).toBe(calls.length);
    expect(mirrored(mirror)).toMatchObject({ requests: 0, dropped: 3 });
    await expect.poll(() => busy.calls).toBe(MAX_COPIES);
  });

  it.each([
    ['an answer', answering(y(1))],
    ['an error without one', failing(status.UNAVAILABLE)],
  ])('nothing of a copy waits any more after %s', async (_name, copy) => {
    const clock = new FakeClock();
    const [a, b] = [await net.pod('a', { unary: answering(y(1)) }), await net.pod('b', { unary: copy })];
    const [target, mirror] = [grpcTarget('churn-a', [a.port]), grpcTarget('churn-b', [b.port])];
    const { client } = await net.relay(always(target, { mirror: { target: mirror, tolerance: 0 } }), clock);
    await client.infer(message, none);
    await expect.poll(() => mirrored(mirror)).toMatchObject({ requests: 1 });
    await expect.poll(() => clock.waiting).toBe(0);
  });

  it('a client that goes away does not end the copy', async () => {
    const { promise: asked, resolve: answerCopy } = Promise.withResolvers<() => void>();
    const { client, target, mirror } = await setUp(
      () => undefined,
      (_call, callback) => answerCopy(() => callback(null, y(1))),
    );
    const call = client.client.makeUnaryRequest(
      '/test.Pod/Unary',
      (bytes: Buffer) => bytes,
      (bytes) => bytes,
      message,
      () => undefined,
    );
    const answer = await asked;
    call.cancel();
    await expect.poll(() => target.observer.cancelled).toBe(1);
    answer();
    await expect.poll(() => mirrored(mirror)).toMatchObject({ requests: 1, errors: 0, compared: 0 });
  });

  it('streams, and what is asked of the server itself, are not copied', async () => {
    const { client, mirror, copied } = await setUp(answering(y(1)), answering(y(1)));
    expect(String(await client.collect([message, message], none))).toBe('6');
    await client.unary(message, none, undefined, 'ServerReady');
    await client.infer(message, none);
    await expect.poll(() => mirrored(mirror)).toMatchObject({ requests: 1, dropped: 0 });
    expect(copied.calls).toBe(1);
  });

  it('without memory for a copy none is sent, and it is counted', async () => {
    const { client, mirror, copied, upstreams } = await setUp(answering(y(1)), answering(y(1)));
    const { budget } = upstreams;
    budget.take(32 * 2 ** 20);
    expect(await client.infer(message, none)).toEqual(y(1));
    expect(mirrored(mirror)).toMatchObject({ requests: 0, dropped: 1 });
    expect(copied.calls).toBe(0);
    expect(budget.usedBytes).toBe(32 * 2 ** 20);
  });
});

describe('an ensemble', () => {
  it('is refused over gRPC with the way that it can be asked; what is asked of the server itself goes to the first member', async () => {
    const { port } = await net.pod('a');
    const target = grpcTarget('churn-a', [port]);
    const members = [target, grpcTarget('churn-b', [port])].map((member) => ({ target: member, weight: 1 }));
    const { client } = await net.relay(always(target, { ensemble: { members, combine: 'Average' } }));
    expect(await failure(client.infer(message, none))).toMatchObject({
      code: status.UNIMPLEMENTED,
      details: expect.stringMatching(/over REST only.*POST \/v2\/models/),
    });
    expect(await failure(client.unary(message, none))).toMatchObject({ code: status.UNIMPLEMENTED });
    expect(String(await client.unary(message, none, undefined, 'ServerReady'))).toBe('a');
  });
});
