import { once } from 'node:events';
import { connect as connectHttp2, constants, createServer, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { Metadata, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeClock } from '../../testing/fake-clock.ts';
import { callHead, END_STREAM, frame, PREFACE, reset } from '../testing/grpc-frames.ts';
import { failure, GrpcRelayFixture, message, none } from '../testing/grpc-relay-fixture.ts';
import { steady } from '../testing/steady.ts';

let net: GrpcRelayFixture;
beforeEach(() => {
  net = new GrpcRelayFixture();
});
afterEach(() => net.close());

describe('hostile and odd peers', () => {
  test('a field of one connection, which Node lets in and refuses to send, is not passed on and costs no pod its place', async () => {
    const { port } = await net.pod('a');
    const { target, port: relayed } = await net.relayTo([port]);
    const ended = await rawCall(relayed, { 'http2-settings': 'AAMAAABkAARAAAAAAAIAAAAA', 'x-odd': 'yes' });
    expect(ended).toBe('trailers');
    await expect.poll(() => target.observer.snapshot()).toMatchObject({ requests: 1, errors: 0 });
    expect(target.pool.ejected).toBe(0);
  });

  test('a deadline beyond what timers can wait is none', async () => {
    const { port } = await net.pod('a', {
      chat: (call) => {
        call.write(message);
        call.on('data', () => call.end());
      },
    });
    const clock = new FakeClock();
    const { client } = await net.relayTo([port], {}, { clock });
    const metadata = new Metadata();
    const chat = client.client.makeBidiStreamRequest(
      '/test.Pod/Chat',
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      metadata,
      { deadline: Date.now() + 60 * 24 * 3_600_000 },
    );
    await once(chat, 'data');
    // That of silence: the one before the head is moved on to it.
    expect(clock.waiting).toBe(1);
    chat.write(message);
    chat.resume();
    const [ended] = await once(chat, 'status');
    expect(ended).toMatchObject({ code: status.OK });
    chat.cancel();
    await expect.poll(() => clock.waiting).toBe(0);
  });

  test('what is no gRPC is answered 415', async () => {
    const { port } = await net.relay({ choose: () => ({ reason: 'none' }) });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const stream = session.request({ ':method': 'GET', ':path': '/' });
    const [headers] = await once(stream, 'response');
    expect(headers[':status']).toBe(415);
    session.destroy();
  });
});

describe('a stream that its client resets', () => {
  test.each([
    ['that is no gRPC', { 'content-type': 'text/plain' }],
    ['that no revision can answer', {}],
  ])('before it is answered, one %s, ends nothing but itself', async (_name, fields) => {
    const { client, port } = await net.relay({ choose: () => ({ reason: 'none' }) });
    for (const code of [constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_INTERNAL_ERROR, constants.NGHTTP2_CANCEL]) {
      const socket = connectTcp(port, '127.0.0.1');
      net.onClose(() => void socket.destroy());
      let received = '';
      socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
      const ping = frame('ping', 0, 0, Buffer.from('are here'));
      socket.write(Buffer.concat([PREFACE, callHead(fields), reset(code), ping]));
      await expect.poll(() => received).toContain('are here');
      socket.resetAndDestroy();
    }
    expect(await failure(client.unary(message, none))).toMatchObject({ code: status.UNAVAILABLE, details: 'none' });
  });

  test('while it is not read, as its pod does not read, gives its place back at once', async () => {
    const arrived = Promise.withResolvers<ServerHttp2Stream>();
    const pod = createServer();
    pod.on('stream', (stream) => {
      stream.on('error', () => undefined);
      arrived.resolve(stream);
    });
    pod.listen(0, '127.0.0.1');
    await once(pod, 'listening');
    net.onClose(() => void pod.close());
    const relayed = await net.relayTo([(pod.address() as AddressInfo).port], { maxBodyBytes: 8_000_000 });
    const session = connectHttp2(`http://127.0.0.1:${relayed.port}`);
    net.onClose(() => session.destroy());
    const call = session.request({
      ':method': 'POST',
      ':path': '/test.Pod/Unary',
      'content-type': 'application/grpc',
    });
    call.on('error', () => undefined);
    const large = Buffer.alloc(4_000_000);
    large.writeUInt32BE(large.length - 5, 1);
    call.write(large);
    const atPod = await arrived.promise;
    const podEnded = once(atPod, 'close');
    await steady(() => session.state.remoteWindowSize ?? 0);
    expect(relayed.target.pool.inFlight).toBe(1);
    call.close(constants.NGHTTP2_NO_ERROR);
    await expect.poll(() => relayed.target.pool.inFlight).toBe(0);
    expect(relayed.target.observer).toMatchObject({ requests: 0, cancelled: 0, withdrawn: 1 });
    await podEnded;
    expect(atPod.rstCode).toBe(constants.NGHTTP2_CANCEL);
    await expect.poll(() => relayed.server.inFlight).toBe(0);
  });
});

/** A unary call in hand-made frames, for fields that no client sends. Resolves to how its stream ended. */
async function rawCall(
  port: number,
  fields: Readonly<Record<string, string>>,
): Promise<'trailers' | 'reset' | 'closed'> {
  const socket = connectTcp(port, '127.0.0.1');
  net.onClose(() => void socket.destroy());
  socket.write(Buffer.concat([PREFACE, callHead(fields), frame('data', END_STREAM, 1, Buffer.alloc(5))]));
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
