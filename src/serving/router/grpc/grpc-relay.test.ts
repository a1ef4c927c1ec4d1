import { once } from 'node:events';
import { connect as connectHttp2, createServer as createHttp2Server, type Http2Server } from 'node:http2';
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer } from 'node:net';
import { Metadata, type ServerDuplexStream, type ServerUnaryCall, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../batching/batcher.ts';
import { GrpcPod, GrpcTestClient, type PodHandlers } from '../testing/grpc-pod.ts';
import { always, grpcTarget, type TargetOptions } from '../testing/target-under-test.ts';
import type { Choice, RequestRouter } from '../types.ts';
import { GrpcRelay } from './grpc-relay.ts';
import { GrpcUpstreams } from './grpc-upstreams.ts';

let ending: (() => void | Promise<void>)[];
beforeEach(() => {
  ending = [];
});
afterEach(async () => {
  for (const end of ending.toReversed()) await end();
});

async function pod(name: string, handlers: PodHandlers = {}): Promise<GrpcPod> {
  const started = await GrpcPod.start(name, handlers);
  ending.push(() => started.stop());
  return started;
}

async function relay(router: RequestRouter) {
  const upstreams = new GrpcUpstreams(systemClock);
  const server = new GrpcRelay({ router, upstreams, clock: systemClock });
  const port = await server.listen('127.0.0.1', 0);
  const client = new GrpcTestClient(port);
  ending.push(() => {
    client.close();
    server.kill();
    upstreams.destroy();
  });
  return { server, client, upstreams, port };
}

/** A relay before pods of one revision. */
async function relayTo(ports: readonly number[], rest: Partial<Choice> = {}, options: TargetOptions = {}) {
  const target = grpcTarget('churn-new', ports, options);
  return { target, ...(await relay(always(target, rest))) };
}

const failure = (call: Promise<unknown>): Promise<ServiceError> =>
  call.then(
    () => Promise.reject(new Error('the call succeeded')),
    (error: ServiceError) => error,
  );
const message = Buffer.from('row');
const none = new Metadata();

/** A port on which nobody listens. */
async function deadPort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Windows and buffers on the way fill up, and then nothing moves any more. */
async function standsStill(count: () => number): Promise<void> {
  for (let before = -1; count() === 0 || count() !== before; ) {
    before = count();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

describe('calls pass', () => {
  test('a unary call passes with its metadata, and its trailers come back', async () => {
    let seen: Metadata | undefined;
    const { port } = await pod('a', {
      unary: (call, callback) => {
        seen = call.metadata;
        const trailers = new Metadata();
        trailers.set('x-cost', '7');
        callback({ code: status.INVALID_ARGUMENT, details: 'the row is short', metadata: trailers });
      },
    });
    const { client, target } = await relayTo([port]);
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
    const { port } = await pod('a', {
      list: (call) => {
        for (let index = 0; index < 100; index++) call.write(Buffer.from(String(index)));
        call.end();
      },
    });
    const { client, target } = await relayTo([port]);
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
    const { port } = await pod('a', { unary: (call, callback) => callback(null, call.request) });
    const { client } = await relayTo([port], { maxBodyBytes: 4_000_000 });
    const large = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => index % 251));
    expect((await client.unary(large, none)).equals(large)).toBe(true);
  });

  test('a client that does not read holds the pod back, and its bytes are not piled up here', async () => {
    let accepted = 0;
    const { port } = await pod('a', {
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
    const { client } = await relayTo([port]);
    const list = client.list(none);
    list.on('error', () => undefined);
    await once(list, 'data');
    list.pause();
    await standsStill(() => accepted);
    expect(accepted * 64 * 1024).toBeLessThan(8 * 2 ** 20);
    list.cancel();
  });

  test('a pod that does not read holds the client back', async () => {
    const { port } = await pod('a', { chat: (call) => void call.pause() });
    const { client } = await relayTo([port]);
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
    await standsStill(() => written);
    expect(written * 64 * 1024).toBeLessThan(8 * 2 ** 20);
    chat.cancel();
  });

  test('calls of one connection are balanced over the pods', async () => {
    const pods = [await pod('a'), await pod('b'), await pod('c')];
    const { client } = await relayTo(pods.map(({ port }) => port));
    for (let index = 0; index < 30; index++) await client.unary(message, none);
    expect(pods.map(({ calls }) => calls)).toEqual([10, 10, 10]);
  });
});

describe('ends', () => {
  test('a call that the client cancels is cancelled at the pod, and counts for nothing', async () => {
    const arrived = Promise.withResolvers<ServerDuplexStream<Buffer, Buffer>>();
    const { port } = await pod('a', { chat: arrived.resolve });
    const { client, target } = await relayTo([port]);
    const chat = client.chat(none);
    chat.on('error', () => undefined);
    chat.write(message);
    const atPod = await arrived.promise;
    const cancelled = once(atPod, 'cancelled');
    chat.cancel();
    await cancelled;
    expect(target.observer).toMatchObject({ requests: 0, cancelled: 1 });
    expect(target.pool.inFlight).toBe(0);
  });

  test("the client's deadline reaches the pod, and ends the call here as well", async () => {
    const arrived = Promise.withResolvers<ServerUnaryCall<Buffer, Buffer>>();
    const { port } = await pod('a', { unary: (call) => arrived.resolve(call) });
    const { client, target } = await relayTo([port]);
    const error = failure(client.unary(message, none, 300));
    const deadline = Number((await arrived.promise).getDeadline());
    expect(deadline - Date.now()).toBeLessThan(300);
    expect(await error).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await expect.poll(() => target.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
    expect(target.pool.inFlight).toBe(0);
  });

  test('an answer that does not begin within the limit of the route is DEADLINE_EXCEEDED, with the numbers', async () => {
    const { port } = await pod('a', { unary: () => undefined });
    const { client, target } = await relayTo([port], { timeoutMs: 50 });
    const error = await failure(client.unary(message, none));
    expect(error).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(error.details).toMatch(/no answer from churn-new within \d+ ms/);
    expect(target.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
  });

  test('a message longer than the limit is RESOURCE_EXHAUSTED as soon as its length is known', async () => {
    const { port } = await pod('a');
    const { client, target } = await relayTo([port], { maxBodyBytes: 1_000 });
    const error = await failure(client.unary(Buffer.alloc(100_000), none));
    expect(error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(error.details).toContain('100000 bytes; the largest that is taken has 1000');
    expect(target.observer.snapshot()).toMatchObject({ requests: 0 });
    expect(target.pool.inFlight).toBe(0);
    expect(String(await client.collect([Buffer.alloc(900), Buffer.alloc(900)], none))).toBe('1800');
  });

  test('no revision to ask is UNAVAILABLE with the reason', async () => {
    const { client } = await relay({ choose: () => ({ reason: 'no revision of churn can answer' }) });
    expect(await failure(client.unary(message, none))).toMatchObject({
      code: status.UNAVAILABLE,
      details: 'no revision of churn can answer',
    });
  });

  test('when pods are busy calls wait for their turn, and more than may wait are RESOURCE_EXHAUSTED', async () => {
    const held: (() => void)[] = [];
    const { port } = await pod('a', {
      unary: (_call, callback) => void held.push(() => callback(null, Buffer.from('a'))),
    });
    const { client, target } = await relayTo([port], {}, { maxInFlight: 1, maxQueue: 1 });
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
    const dying = await pod('a', { chat: (call) => void call.write(message) });
    const { client, target } = await relayTo([dying.port]);
    const chat = client.chat(none);
    const failed = once(chat, 'error');
    chat.write(message);
    await once(chat, 'data');
    dying.stop();
    expect((await failed)[0]).toMatchObject({ code: status.UNAVAILABLE });
    expect(target.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
  });
});

describe('hostile and odd peers', () => {
  test('a field of one connection, which Node lets in and refuses to send, is not passed on and costs no pod its place', async () => {
    const { port } = await pod('a');
    const { target, port: relayed } = await relayTo([port]);
    const ended = await rawCall(relayed, { 'http2-settings': 'AAMAAABkAARAAAAAAAIAAAAA', 'x-odd': 'yes' });
    expect(ended).toBe('trailers');
    await expect.poll(() => target.observer.snapshot()).toMatchObject({ requests: 1, errors: 0 });
    expect(target.pool.ejected).toBe(0);
  });

  test('a deadline beyond what timers can wait is none', async () => {
    const { port } = await pod('a', {
      chat: (call) => {
        call.write(message);
        call.on('data', () => call.end());
      },
    });
    const { client } = await relayTo([port]);
    const metadata = new Metadata();
    const chat = client.client.makeBidiStreamRequest(
      '/test.Pod/Chat',
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      metadata,
      { deadline: Date.now() + 60 * 24 * 3_600_000 },
    );
    await once(chat, 'data');
    await new Promise((resolve) => setTimeout(resolve, 20));
    chat.write(message);
    chat.resume();
    const [ended] = await once(chat, 'status');
    expect(ended).toMatchObject({ code: status.OK });
    chat.cancel();
  });

  test('what is no gRPC is answered 415', async () => {
    const { port } = await relay({ choose: () => ({ reason: 'none' }) });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const stream = session.request({ ':method': 'GET', ':path': '/' });
    const [headers] = await once(stream, 'response');
    expect(headers[':status']).toBe(415);
    session.destroy();
  });
});

describe('another pod is asked', () => {
  test('when the first cannot be reached: no call fails', async () => {
    const good = await pod('good');
    const { client, target } = await relayTo([await deadPort(), good.port]);
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.unary(message, none)));
    expect(new Set(answers.map(String))).toEqual(new Set(['good']));
    expect(target.observer.snapshot()).toMatchObject({ requests: 20, errors: 0 });
  });

  test('when the first refuses the stream unread: once, with all that was sent', async () => {
    const good = await pod('good', { unary: (call, callback) => callback(null, call.request) });
    const refusing = await refusingServer();
    const { client } = await relayTo([refusing.port, good.port]);
    for (let index = 0; index < 4; index++) expect(String(await client.unary(message, none))).toBe('row');
    expect(refusing.refused()).toBeGreaterThan(0);
  });

  test('but not when the call may have reached a model', async () => {
    const dying = await pod('a', { unary: () => dying.stop() });
    const other = await pod('b');
    const { client } = await relayTo([dying.port, other.port]);
    const outcomes = await Promise.allSettled([client.unary(message, none), client.unary(message, none)]);
    expect(outcomes.filter((outcome) => outcome.status === 'rejected')).toHaveLength(1);
    expect(other.calls).toBe(1);
  });

  test('of another revision, when the chosen one has lost its last pod', async () => {
    const stable = await pod('stable');
    const elsewhere = grpcTarget('churn-old', [stable.port]);
    const { client, target } = await relayTo([await deadPort()], { elsewhere: [elsewhere] });
    expect(String(await client.unary(message, none))).toBe('stable');
    expect(elsewhere.observer.snapshot()).toMatchObject({ requests: 1, errors: 0 });
    expect(target.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
    expect(target.pool.inFlight + elsewhere.pool.inFlight).toBe(0);
  });

  test('as the fallback, when the revision takes too long', async () => {
    const slow = await pod('slow', { unary: () => undefined });
    const good = await pod('good');
    const target = grpcTarget('churn-old', [good.port]);
    const { client, target: first } = await relayTo([slow.port], { fallback: { target, afterMs: 30 } });
    expect(String(await client.unary(message, none))).toBe('good');
    expect(first.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
    expect(first.pool.inFlight + target.pool.inFlight).toBe(0);
  });

  test('as the fallback, when the revision errs; the error counts against the revision', async () => {
    const bad = await pod('bad', { unary: (_call, callback) => callback({ code: status.INTERNAL }) });
    const good = await pod('good');
    const target = grpcTarget('churn-old', [good.port]);
    const { client, target: first } = await relayTo([bad.port], { fallback: { target } });
    expect(String(await client.unary(message, none))).toBe('good');
    expect(first.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
    expect(target.observer.snapshot()).toMatchObject({ requests: 1, errors: 0 });
  });
});

test('a relay that stops answers what it has, and new calls go elsewhere', async () => {
  const arrived = Promise.withResolvers<() => void>();
  const { port } = await pod('a', {
    unary: (_call, callback) => arrived.resolve(() => callback(null, Buffer.from('late'))),
  });
  const { client, server } = await relayTo([port]);
  const call = client.unary(message, none);
  const answer = await arrived.promise;
  const closed = server.close();
  answer();
  expect(String(await call)).toBe('late');
  await closed;
  expect(server.inFlight).toBe(0);
  expect(await failure(client.unary(message, none))).toMatchObject({ code: status.UNAVAILABLE });
});

/** Accepts connections and refuses every stream before it reads it, as a server with too many does. */
async function refusingServer(): Promise<{ port: number; refused: () => number }> {
  let refused = 0;
  const server: Http2Server = createHttp2Server();
  server.on('stream', (stream) => {
    refused++;
    stream.on('error', () => undefined);
    stream.close(7);
  });
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => sessions.add(session));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ending.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, refused: () => refused };
}

/** A unary call in hand-made frames, for fields that no client sends. Resolves to how its stream ended. */
async function rawCall(
  port: number,
  fields: Readonly<Record<string, string>>,
): Promise<'trailers' | 'reset' | 'closed'> {
  const frame = (type: number, flags: number, stream: number, payload: Buffer): Buffer => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(stream, 5);
    return Buffer.concat([head, payload]);
  };
  const all = {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': '/test.Pod/Unary',
    ':authority': 'x',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...fields,
  };
  // Literal fields without indexing and without Huffman coding: a 0 byte, and both texts after their lengths.
  const block = Object.entries(all).map(([name, value]) =>
    Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)]),
  );
  const socket = connectTcp(port, '127.0.0.1');
  ending.push(() => void socket.destroy());
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  socket.write(frame(4, 0, 0, Buffer.alloc(0)));
  socket.write(frame(1, 4, 1, Buffer.concat(block)));
  socket.write(frame(0, 1, 1, Buffer.alloc(5)));
  let received = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 9 && received.length >= 9 + received.readUIntBE(0, 3)) {
      const [type, flags, stream] = [received.readUInt8(3), received.readUInt8(4), received.readUInt32BE(5)];
      received = received.subarray(9 + received.readUIntBE(0, 3));
      if (stream !== 1) continue;
      if (type === 3) return 'reset';
      if (type === 1 && (flags & 1) !== 0) return 'trailers';
    }
  }
  return 'closed';
}
