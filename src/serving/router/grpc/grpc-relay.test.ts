import { once } from 'node:events';
import { connect, constants } from 'node:http2';
import { Metadata, type ServerDuplexStream, type ServerUnaryCall, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeClock } from '../../testing/fake-clock.ts';
import { GrpcTestClient } from '../testing/grpc-pod.ts';
import { failure, GrpcRelayFixture, message, none } from '../testing/grpc-relay-fixture.ts';
import { steady } from '../testing/steady.ts';

/** RST_STREAM of stream 1, CANCEL. */
const RESET_OF_FIRST_STREAM = Buffer.from([0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8]);
const same = (bytes: Buffer): Buffer => bytes;

let net: GrpcRelayFixture;
beforeEach(() => {
  net = new GrpcRelayFixture();
});
afterEach(() => net.close());

describe('calls pass', () => {
  test('a unary call passes with its metadata, and its trailers come back', async () => {
    let seen: Metadata | undefined;
    const { port } = await net.pod('a', {
      unary: (call, callback) => {
        seen = call.metadata;
        const trailers = new Metadata();
        trailers.set('x-cost', '7');
        callback({ code: status.INVALID_ARGUMENT, details: 'the row is short', metadata: trailers });
      },
    });
    const { client, target } = await net.relayTo([port]);
    const metadata = new Metadata();
    metadata.set('x-user-id', 'user-1');
    metadata.set('x-raw-bin', Buffer.from([0, 255]));
    const error = await failure(client.unary(message, metadata));
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT, details: 'the row is short' });
    expect(error.metadata.get('x-cost')).toEqual(['7']);
    expect(seen?.get('x-user-id')).toEqual(['user-1']);
    expect(seen?.get('x-raw-bin')).toEqual([Buffer.from([0, 255])]);
    // The client's error is none of the revision's.
    expect(target.observer.snapshot()).toMatchObject({ requests: 1, errors: 0 });
    expect(target.pool.inFlight).toBe(0);
  });

  test('streams pass in all directions, half-closed ones too', async () => {
    const { port } = await net.pod('a', {
      list: (call) => {
        for (let index = 0; index < 100; index++) call.write(Buffer.from(String(index)));
        call.end();
      },
    });
    const { client, target } = await net.relayTo([port]);
    const rows = Array.from({ length: 100 }, (_, index) => Buffer.alloc(1_000, index));
    expect(String(await client.collect(rows, none))).toBe('100000');

    const listed: string[] = [];
    for await (const chunk of client.list(none)) listed.push(String(chunk));
    expect(listed).toEqual(Array.from({ length: 100 }, (_, index) => String(index)));

    const chat = client.chat(none);
    chat.write(Buffer.from('one'));
    expect(String((await once(chat, 'data'))[0])).toBe('one');
    chat.write(Buffer.from('two'));
    expect(String((await once(chat, 'data'))[0])).toBe('two');
    chat.end();
    chat.resume();
    const [ended] = await once(chat, 'status');
    expect(ended).toMatchObject({ code: status.OK });
    expect(target.observer.snapshot()).toMatchObject({ requests: 3, errors: 0 });
    expect(target.pool.inFlight).toBe(0);
  });

  test('messages of megabytes pass whole in both directions', async () => {
    const { port } = await net.pod('a', { unary: (call, callback) => callback(null, call.request) });
    const { client } = await net.relayTo([port], { maxBodyBytes: 4_000_000 });
    const large = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => index % 251));
    expect((await client.unary(large, none)).equals(large)).toBe(true);
  });

  test('a client that does not read holds the pod back, and its bytes are not piled up here', async () => {
    let accepted = 0;
    const { port } = await net.pod('a', {
      list: (call) => {
        const chunk = Buffer.alloc(64 * 1024);
        const write = (): void => {
          while (call.write(chunk)) accepted++;
          accepted++;
          call.once('drain', write);
        };
        write();
        call.on('cancelled', () => call.removeAllListeners('drain'));
      },
    });
    const { client } = await net.relayTo([port]);
    const list = client.list(none);
    list.on('error', () => undefined);
    await once(list, 'data');
    list.pause();
    expect((await steady(() => accepted)) * 64 * 1024).toBeLessThan(8 * 2 ** 20);
    list.cancel();
  });

  test('a pod that does not read holds the client back', async () => {
    const { port } = await net.pod('a', { chat: (call) => void call.pause() });
    const { client } = await net.relayTo([port]);
    const chat = client.chat(none);
    chat.on('error', () => undefined);
    let written = 0;
    const write = (): void => {
      const isTaken = chat.write(Buffer.alloc(64 * 1024), () => {
        written++;
      });
      if (isTaken) setImmediate(write);
      else chat.once('drain', write);
    };
    write();
    expect((await steady(() => written)) * 64 * 1024).toBeLessThan(8 * 2 ** 20);
    chat.cancel();
  });

  test('calls of one connection are balanced over the pods', async () => {
    const pods = [await net.pod('a'), await net.pod('b'), await net.pod('c')];
    const { client } = await net.relayTo(pods.map(({ port }) => port));
    for (let index = 0; index < 30; index++) await client.unary(message, none);
    expect(pods.map(({ calls }) => calls)).toEqual([10, 10, 10]);
  });
});

describe('ends', () => {
  test('a call that the client cancels is cancelled at the pod, and counts for nothing where it was not whole', async () => {
    const arrived = Promise.withResolvers<ServerDuplexStream<Buffer, Buffer>>();
    const { port } = await net.pod('a', { chat: arrived.resolve });
    const { target, port: relayPort } = await net.relayTo([port]);
    const wire = await net.wire(relayPort);
    const client = new GrpcTestClient(wire.port);
    net.onClose(() => client.close());
    const chat = client.chat(none);
    chat.on('error', () => undefined);
    chat.write(message);
    const atPod = await arrived.promise;
    const cancelled = once(atPod, 'cancelled');
    // By hand: a client of Node's ends its side before it resets a stream, others do not.
    wire.send(RESET_OF_FIRST_STREAM);
    await cancelled;
    expect(target.observer).toMatchObject({ requests: 0, cancelled: 0, withdrawn: 1 });
    expect(target.pool.inFlight).toBe(0);
  });

  test('a call that the client gives up waiting for counts as that, with the time that it waited', async () => {
    const clock = new FakeClock();
    const arrived = Promise.withResolvers<void>();
    const { port } = await net.pod('a', { unary: () => arrived.resolve() });
    const { client, target } = await net.relayTo([port], {}, { clock });
    const call = client.client.makeUnaryRequest('/test.Pod/Unary', same, same, message, none, () => undefined);
    await arrived.promise;
    await clock.advance(1_500);
    call.cancel();
    await expect.poll(() => target.observer.cancelled).toBe(1);
    expect(target.observer.snapshot()).toMatchObject({ requests: 0, cancelled: 1, latency: { sumSeconds: 1.5 } });
  });

  test("the client's deadline reaches the pod, and ends the call here as well", async () => {
    const clock = new FakeClock();
    const arrived = Promise.withResolvers<ServerUnaryCall<Buffer, Buffer>>();
    const { port } = await net.pod('a', { unary: (call) => arrived.resolve(call) });
    const { client, target, upstreams } = await net.relayTo([port], { timeoutMs: 120_000 }, { clock });
    const suspect = vi.spyOn(upstreams, 'suspect');
    const error = failure(client.unary(message, none, 60_000));
    const deadline = Number((await arrived.promise).getDeadline());
    expect(deadline - Date.now()).toBeLessThanOrEqual(60_000);
    await clock.advance(60_000);
    expect(await error).toMatchObject({
      code: status.DEADLINE_EXCEEDED,
      details: 'no answer from churn-new within 60000 ms',
    });
    // The pod is not to blame, but it may be gone.
    expect(suspect).toHaveBeenCalledOnce();
    expect(target.pool.ejected).toBe(0);
    expect(target.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
    expect(target.pool.inFlight).toBe(0);
  });

  test('a call that the client ends shortly before its deadline counts as an error, as their clocks are not one', async () => {
    const clock = new FakeClock();
    const arrived = Promise.withResolvers<void>();
    const { port } = await net.pod('a', { unary: () => arrived.resolve() });
    const { target, port: relayPort } = await net.relayTo([port], { timeoutMs: 120_000 }, { clock });
    const session = connect(`http://127.0.0.1:${relayPort}`);
    net.onClose(() => session.destroy());
    const call = session.request({
      ':method': 'POST',
      ':path': '/test.Pod/Unary',
      'content-type': 'application/grpc',
      'grpc-timeout': '60S',
    });
    call.on('error', () => undefined);
    call.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
    await arrived.promise;
    await clock.advance(59_990);
    call.close(constants.NGHTTP2_CANCEL);
    await expect.poll(() => target.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
    expect(target.observer.cancelled).toBe(0);
  });

  test('an answer that does not begin within the limit of the route is DEADLINE_EXCEEDED, with the numbers', async () => {
    const { port } = await net.pod('a', { unary: () => undefined });
    const { client, target } = await net.relayTo([port], { timeoutMs: 50 });
    const error = await failure(client.unary(message, none));
    expect(error).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(error.details).toMatch(/no answer from churn-new within \d+ ms/);
    expect(target.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
  });

  test('a message longer than the limit is RESOURCE_EXHAUSTED as soon as its length is known', async () => {
    const { port } = await net.pod('a');
    const { client, target } = await net.relayTo([port], { maxBodyBytes: 1_000 });
    const error = await failure(client.unary(Buffer.alloc(100_000), none));
    expect(error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(error.details).toContain('100000 bytes; the largest that is taken has 1000');
    expect(target.observer.snapshot()).toMatchObject({ requests: 0 });
    expect(target.pool.inFlight).toBe(0);
    expect(String(await client.collect([Buffer.alloc(900), Buffer.alloc(900)], none))).toBe('1800');
  });

  test('no revision to ask is UNAVAILABLE with the reason', async () => {
    const { client } = await net.relay({ choose: () => ({ reason: 'no revision of churn can answer' }) });
    expect(await failure(client.unary(message, none))).toMatchObject({
      code: status.UNAVAILABLE,
      details: 'no revision of churn can answer',
    });
  });

  test('when pods are busy calls wait for their turn, and more than may wait are RESOURCE_EXHAUSTED', async () => {
    const held: (() => void)[] = [];
    const { port } = await net.pod('a', {
      unary: (_call, callback) => void held.push(() => callback(null, Buffer.from('a'))),
    });
    const { client, target } = await net.relayTo([port], {}, { maxInFlight: 1, maxQueue: 1 });
    const first = client.unary(message, none);
    await expect.poll(() => held.length).toBe(1);
    const second = client.unary(message, none);
    await expect.poll(() => target.pool.waiting).toBe(1);
    expect(await failure(client.unary(message, none))).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    held[0]?.();
    await first;
    await expect.poll(() => held.length).toBe(2);
    held[1]?.();
    expect(String(await second)).toBe('a');
  });

  test('a pod that dies in the middle of an answer ends the call with UNAVAILABLE', async () => {
    const dying = await net.pod('a', { chat: (call) => void call.write(message) });
    const { client, target } = await net.relayTo([dying.port]);
    const chat = client.chat(none);
    const failed = once(chat, 'error');
    chat.write(message);
    await once(chat, 'data');
    dying.stop();
    expect((await failed)[0]).toMatchObject({ code: status.UNAVAILABLE });
    expect(target.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
  });
});

test('a relay that stops answers what it has, and new calls go elsewhere', async () => {
  const arrived = Promise.withResolvers<() => void>();
  const { port } = await net.pod('a', {
    unary: (_call, callback) => arrived.resolve(() => callback(null, Buffer.from('late'))),
  });
  const { client, server } = await net.relayTo([port]);
  const call = client.unary(message, none);
  const answer = await arrived.promise;
  const closed = server.close();
  answer();
  expect(String(await call)).toBe('late');
  await closed;
  expect(server.inFlight).toBe(0);
  expect(await failure(client.unary(message, none))).toMatchObject({ code: status.UNAVAILABLE });
});
