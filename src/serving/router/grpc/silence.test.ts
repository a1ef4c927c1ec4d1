import { once } from 'node:events';
import { type ServerDuplexStream, type ServerWritableStream, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeClock } from '../../testing/fake-clock.ts';
import { GrpcRelayFixture, message, none } from '../testing/grpc-relay-fixture.ts';
import { steady } from '../testing/steady.ts';

const SILENCE_MS = 300_000;

let net: GrpcRelayFixture;
let clock: FakeClock;
beforeEach(() => {
  net = new GrpcRelayFixture();
  clock = new FakeClock();
});
afterEach(() => net.close());

const writeOn = (call: ServerWritableStream<Buffer, Buffer>, onWritten: () => void): void => {
  const write = (): void => {
    do onWritten();
    while (call.write(Buffer.alloc(64 * 1024)));
    call.once('drain', write);
  };
  write();
};

test('a client that does not read its answer gives its pod back after a while, which is nobody’s error', async () => {
  const arrived = Promise.withResolvers<ServerWritableStream<Buffer, Buffer>>();
  let written = 0;
  const { port } = await net.pod('a', {
    list: (call) => {
      writeOn(call, () => written++);
      arrived.resolve(call);
    },
  });
  const { client, target, server } = await net.relayTo([port], {}, { clock });
  const list = client.list(none);
  const failed = once(list, 'error');
  await once(list, 'data');
  list.pause();
  const cancelled = once(await arrived.promise, 'cancelled');
  await steady(() => written);
  await clock.advance(SILENCE_MS - 1);
  expect(target.pool.inFlight).toBe(1);
  await clock.advance(1);
  expect(target.pool.inFlight).toBe(0);
  expect(target.observer).toMatchObject({ requests: 0, withdrawn: 1 });
  await cancelled;
  list.resume();
  expect((await failed)[0]).toMatchObject({ code: status.CANCELLED });
  await expect.poll(() => [server.inFlight, clock.waiting]).toEqual([0, 0]);
});

test('a pod that goes silent in the middle of its answer is to blame', async () => {
  const { port } = await net.pod('a', { list: (call) => void call.write(message) });
  const { client, target } = await net.relayTo([port], {}, { clock });
  const list = client.list(none);
  const failed = once(list, 'error');
  await once(list, 'data');
  await clock.advance(SILENCE_MS);
  expect((await failed)[0]).toMatchObject({
    code: status.DEADLINE_EXCEEDED,
    details: 'nothing moved on the call for 300000 ms',
  });
  expect(target.observer.snapshot()).toMatchObject({ requests: 1, errors: 1 });
  expect(target.pool.inFlight).toBe(0);
});

test('an answer of which a piece comes now and then lives on', async () => {
  const arrived = Promise.withResolvers<ServerWritableStream<Buffer, Buffer>>();
  const { port } = await net.pod('a', { list: arrived.resolve });
  const { client, target } = await net.relayTo([port], {}, { clock });
  const list = client.list(none);
  const atPod = await arrived.promise;
  for (let round = 0; round < 3; round++) {
    atPod.write(message);
    await once(list, 'data');
    await clock.advance(SILENCE_MS - 1);
  }
  atPod.end();
  expect((await once(list, 'status'))[0]).toMatchObject({ code: status.OK });
  expect(target.observer.snapshot()).toMatchObject({ requests: 1, errors: 0 });
});

test('a stream on which something moves lives on, and a client that has nothing more to say is no error of its pod', async () => {
  const arrived = Promise.withResolvers<ServerDuplexStream<Buffer, Buffer>>();
  const { port } = await net.pod('a', {
    chat: (call) => {
      call.on('data', (chunk: Buffer) => call.write(chunk));
      arrived.resolve(call);
    },
  });
  const { client, target } = await net.relayTo([port], {}, { clock });
  const chat = client.chat(none);
  const failed = once(chat, 'error');
  for (let round = 0; round < 3; round++) {
    chat.write(message);
    await once(chat, 'data');
    await clock.advance(SILENCE_MS - 1);
  }
  await clock.advance(1);
  expect((await failed)[0]).toMatchObject({ code: status.DEADLINE_EXCEEDED });
  expect(target.observer).toMatchObject({ requests: 0, withdrawn: 1 });
});
