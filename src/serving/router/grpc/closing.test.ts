import { once } from 'node:events';
import { connect } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeClock } from '../../testing/fake-clock.ts';
import { callHead, END_STREAM, frame, PREFACE } from '../testing/grpc-frames.ts';
import { GrpcRelayFixture, message, none } from '../testing/grpc-relay-fixture.ts';

let net: GrpcRelayFixture;
beforeEach(() => {
  net = new GrpcRelayFixture();
});
afterEach(() => net.close());

test.each([10, 1_000_000])('the last answer, of %i bytes, has left when a relay has closed', async (bytes) => {
  const arrived = Promise.withResolvers<() => void>();
  const { port } = await net.pod('a', {
    unary: (_call, callback) => arrived.resolve(() => callback(null, Buffer.alloc(bytes))),
  });
  const { client, server } = await net.relayTo([port]);
  const call = client.unary(message, none);
  const answer = await arrived.promise;
  const killed = server.close().then(() => server.kill());
  answer();
  expect(await call).toHaveLength(bytes);
  await killed;
});

test('a connection whose other end never ends it holds a relay that closes for two seconds', async () => {
  const clock = new FakeClock();
  const { port } = await net.pod('a');
  const { server, target, port: relayed } = await net.relayTo([port], {}, { clock });
  const socket = connectTcp({ port: relayed, host: '127.0.0.1', allowHalfOpen: true });
  net.onClose(() => void socket.destroy());
  socket.resume();
  const ended = once(socket, 'end');
  socket.write(Buffer.concat([PREFACE, callHead({}), frame('data', END_STREAM, 1, Buffer.alloc(5))]));
  await expect.poll(() => [target.observer.requests, server.inFlight]).toEqual([1, 0]);
  let isClosed = false;
  const closed = server.close().then(() => {
    isClosed = true;
  });
  await ended;
  await clock.advance(1_999);
  expect(isClosed).toBe(false);
  await clock.advance(1);
  await closed;
  expect(clock.waiting).toBe(0);
});

test('what a client does not read of an answer that is complete holds a relay that closes, but not without end', async () => {
  const clock = new FakeClock();
  const { port } = await net.pod('a', { unary: (_call, callback) => callback(null, Buffer.alloc(10_000)) });
  const { server, target, port: relayed } = await net.relayTo([port], {}, { clock });
  const session = connect(`http://127.0.0.1:${relayed}`, { settings: { initialWindowSize: 1_000 } });
  net.onClose(() => session.destroy());
  const stream = session.request({ ':method': 'POST', ':path': '/test.Pod/Unary', 'content-type': 'application/grpc' });
  stream.on('error', () => undefined).end(Buffer.from([0, 0, 0, 0, 0]));
  await expect.poll(() => target.observer.requests).toBe(1);
  expect([target.pool.inFlight, server.inFlight]).toEqual([0, 1]);
  const closed = server.close();
  await clock.advance(2_000);
  expect(server.inFlight).toBe(1);
  await clock.advance(298_000);
  await closed;
  expect(server.inFlight).toBe(0);
});
