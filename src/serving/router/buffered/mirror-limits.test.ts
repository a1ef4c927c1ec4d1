import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { choiceOf, OK, RelayFixture, targetOf } from '../testing/relay-fixture.ts';
import { MAX_COPIES } from './buffered-exchange.ts';
import { MAX_BUFFERED_BYTES } from './collected-bytes.ts';

let net: RelayFixture;
beforeEach(() => {
  net = new RelayFixture();
});
afterEach(() => net.close());

/** A relay whose requests are copied to a mirror that never answers. */
async function start(answer: string) {
  const primary = await net.recordingPod((socket) => socket.write(answer));
  const mirror = await net.recordingPod(() => undefined);
  const target = targetOf([primary.port], { maxInFlight: 1_000 });
  const copies = targetOf([mirror.port], { revision: 'm-2', maxInFlight: 1_000 });
  const { port, upstreams } = await net.relay(choiceOf(target, { mirror: { target: copies, tolerance: 0 } }));
  return { primary, target, copies, port, budget: upstreams.budget };
}

/** A request of which the relay has the head, and none of the body. */
async function begin(port: number, bytes: number): Promise<Socket> {
  const client = net.client(port);
  client.write(
    `POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${bytes}\r\n\r\n`,
  );
  expect(String(await once(client, 'data'))).toContain('100 Continue');
  return client;
}

it('requests that all begin before the first copy is sent have no more copies at once than others', async () => {
  const { target, copies, port } = await start(OK);
  const clients = await Promise.all(Array.from({ length: MAX_COPIES + 3 }, () => begin(port, 1)));
  for (const client of clients) client.resume().write('x');
  await expect.poll(() => target.outcomes.length).toBe(clients.length);
  expect(copies.pool.inFlight).toBe(MAX_COPIES);
  expect(copies.copies).toEqual(Array.from({ length: 3 }, () => ({ outcome: 'dropped' })));
});

it('a request that goes on as a stream for lack of memory gives back what it had, before it is whole', async () => {
  const { primary, port, budget } = await start('');
  budget.take(MAX_BUFFERED_BYTES - 4_000);
  const client = await begin(port, 5_000);
  client.write('x'.repeat(1_000));
  await expect.poll(() => budget.usedBytes).toBe(MAX_BUFFERED_BYTES - 2_000);
  client.write('y'.repeat(3_999));
  await expect.poll(() => primary.seen.join('')).toMatch(/x{1000}y{3999}$/);
  expect(budget.usedBytes).toBe(MAX_BUFFERED_BYTES - 4_000);
});
