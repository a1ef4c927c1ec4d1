import { once } from 'node:events';
import { connect } from 'node:http2';
import { expect, onTestFinished, test } from 'vitest';
import { MAX_CONNECTION_AGE_MS } from '../../connection-age.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { GrpcTestClient } from '../testing/grpc-pod.ts';
import { GrpcRelayFixture, message, none } from '../testing/grpc-relay-fixture.ts';

async function setUp() {
  const net = new GrpcRelayFixture();
  onTestFinished(() => net.close());
  const { port: pod } = await net.pod('a');
  const clock = new FakeClock();
  return { clock, ...(await net.relayTo([pod], {}, { clock })) };
}

test('the call that begins on a connection that has grown old is its last: the client is told to go elsewhere', async () => {
  const { clock, port } = await setUp();
  const session = connect(`http://127.0.0.1:${port}`);
  onTestFinished(() => session.destroy());
  const call = async () => {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/test.Pod/Unary',
      'content-type': 'application/grpc',
    });
    stream.end(Buffer.from([0, 0, 0, 0, 0])).resume();
    const [trailers] = await once(stream, 'trailers');
    return trailers['grpc-status'];
  };
  expect(await call()).toBe('0');
  await clock.advance(MAX_CONNECTION_AGE_MS - 1);
  expect([await call(), session.closed]).toEqual(['0', false]);
  await clock.advance(1);
  const toldToGo = once(session, 'goaway');
  expect(await call()).toBe('0');
  expect((await toldToGo)[0]).toBe(0);
  await once(session, 'close');
});

test('a client goes on over new connections without an error', async () => {
  const { clock, port } = await setUp();
  const client = new GrpcTestClient(port, {});
  onTestFinished(() => client.close());
  for (let round = 0; round < 5; round++) {
    const calls = Array.from({ length: 20 }, () => client.unary(message, none));
    expect((await Promise.all(calls)).map(String)).toEqual(Array.from({ length: 20 }, () => 'a'));
    await clock.advance(MAX_CONNECTION_AGE_MS);
  }
});
