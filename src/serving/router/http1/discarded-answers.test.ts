import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../testing/fake-clock.ts';
import { choiceOf, OK, RelayFixture, targetOf } from '../testing/relay-fixture.ts';

let net: RelayFixture;
beforeEach(() => {
  net = new RelayFixture();
});
afterEach(() => net.close());

const POST = 'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi';

/** A relay before a pod that answers each request with the next of `answers`, and a fallback that answers all. */
async function relayBefore(...answers: readonly string[]) {
  const sockets: Socket[] = [];
  let requests = 0;
  const failing = await net.pod((socket) => {
    sockets.push(socket);
    socket.on('data', () => socket.write(answers[requests++] ?? OK));
  });
  const other = await net.pod((socket) => socket.on('data', () => socket.write(OK)));
  const clock = new FakeClock();
  const [target, fallback] = [targetOf([failing]), targetOf([other], { revision: 'm-old' })];
  const { port } = await net.relay(choiceOf(target, { fallback: { target: fallback } }), { clock });
  await expect.poll(() => sockets.length).toBe(1);
  /** Asks once; the answer is that of the fallback where the pod fails. */
  const ask = async () => {
    const answer = net.raw(port, POST);
    await expect.poll(() => fallback.outcomes.length + target.outcomes.length).toBeGreaterThan(0);
    return answer;
  };
  return { ask, clock, target, fallback, sockets };
}

describe('what is left of an answer that the fallback replaced', () => {
  it.each([
    ['comes to its end', 'HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nwrong'],
    [
      'comes in several chunks at once',
      'HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwr\r\n3\r\nong\r\n0\r\n\r\n',
    ],
  ])('passes by where it %s, and its connection is used again', async (_name, answer) => {
    const { ask, target, fallback, sockets } = await relayBefore(answer);
    expect(await ask()).toContain('200 OK');
    expect([target.outcomes, fallback.outcomes]).toEqual([['error'], ['success']]);
    expect(await ask()).toContain('200 OK');
    expect(target.outcomes).toEqual(['error', 'success']);
    expect(sockets).toHaveLength(1);
  });

  it('is not waited for for ever: its connection ends after a second', async () => {
    const { ask, clock, fallback, sockets } = await relayBefore(
      'HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nand then',
    );
    expect(await ask()).toContain('200 OK');
    expect(fallback.outcomes).toEqual(['success']);
    await clock.advance(999);
    expect(sockets[0]?.destroyed).toBe(false);
    await clock.advance(1);
    await expect.poll(() => sockets[0]?.destroyed).toBe(true);
  });
});
