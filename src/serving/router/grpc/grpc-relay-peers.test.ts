import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { Metadata, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeClock } from '../../testing/fake-clock.ts';
import { GrpcRelayFixture, message } from '../testing/grpc-relay-fixture.ts';

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
    expect(clock.waiting).toBe(0);
    chat.write(message);
    chat.resume();
    const [ended] = await once(chat, 'status');
    expect(ended).toMatchObject({ code: status.OK });
    chat.cancel();
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
  net.onClose(() => void socket.destroy());
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
