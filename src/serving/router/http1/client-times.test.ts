import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeClock } from '../../testing/fake-clock.ts';
import { choiceOf, RelayFixture, targetOf } from '../testing/relay-fixture.ts';
import { ResponseHead } from './response-head.ts';

let net: RelayFixture;
beforeEach(() => {
  net = new RelayFixture();
});
afterEach(() => {
  vi.restoreAllMocks();
  return net.close();
});

describe('time', () => {
  const start = async (timeoutMs = 30_000) => {
    const clock = new FakeClock();
    const { port: silent, seen } = await net.recordingPod(() => undefined);
    const target = targetOf([silent], { clock });
    const relay = await net.relay(choiceOf(target, { timeoutMs }), { clock });
    return { clock, seen, target, ...relay };
  };

  it('an answer that does not come in time is 504 with the limit, and the endpoint is to blame', async () => {
    const { clock, seen, target, port } = await start();
    const release = vi.spyOn(target.pool, 'release');
    const answer = net.raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await expect.poll(() => seen.length).toBe(1);
    await clock.advance(29_999);
    expect(target.outcomes).toEqual([]);
    await clock.advance(1);
    await clock.advance(2_000);
    expect(await answer).toMatch(/^HTTP\/1.1 504 Gateway Timeout[\s\S]*m-1 did not answer within 30000 ms/);
    expect(target.outcomes).toEqual(['error']);
    expect(release.mock.calls).toEqual([[expect.anything(), 'failed']]);
  });

  it('the client’s own deadline counts where it is shorter; the pod is told what is left of it, and is not to blame', async () => {
    const { clock, seen, target, port } = await start();
    const release = vi.spyOn(target.pool, 'release');
    const answer = net.raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nFairlead-Timeout-Ms: 700\r\n\r\n');
    await expect.poll(() => seen.length).toBe(1);
    expect(seen[0]).toContain('fairlead-timeout-ms: 700\r\n');
    expect(seen[0]?.match(/timeout-ms/gi)).toHaveLength(1);
    await clock.advance(700);
    await clock.advance(2_000);
    expect(await answer).toMatch(/^HTTP\/1.1 504 [\s\S]*within 700 ms/);
    expect(target.outcomes).toEqual(['error']);
    expect(release.mock.calls).toEqual([[expect.anything(), 'neutral']]);
  });

  it.each([
    ['an interim answer', 'HTTP/1.1 102 Processing\r\n\r\n', /^HTTP\/1.1 102 Processing\r\n\r\nHTTP\/1.1 504 /],
    ['half a head', 'HTTP/1.1 200 O', /^HTTP\/1.1 504 /],
  ])('a pod that sends only %s has no more time than any other', async (_name, beginning, answered) => {
    const clock = new FakeClock();
    const pod = await net.recordingPod((socket) => socket.write(beginning));
    const { port } = await net.relay(choiceOf(targetOf([pod.port], { clock })), { clock });
    const reads = vi.spyOn(ResponseHead.prototype, 'read');
    const answer = net.raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await expect.poll(() => reads.mock.calls.length).toBe(1);
    await clock.advance(30_000);
    await clock.advance(2_000);
    expect(await answer).toMatch(answered);
  });

  it('a pod that nobody gets in time is 503 with the numbers', async () => {
    const clock = new FakeClock();
    const target = targetOf([await net.echoPod()], { clock, maxInFlight: 0 });
    const { port } = await net.relay(choiceOf(target), { clock });
    const answer = net.raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await expect.poll(() => target.pool.waiting).toBe(1);
    await clock.advance(30_000);
    await clock.advance(2_000);
    expect(await answer).toMatch(
      /^HTTP\/1.1 503 [\s\S]*none of the 1 endpoints of m-1 had room within 30000 ms: 0 requests are in flight, 1 wait/,
    );
    expect(target.pool.waiting).toBe(0);
  });

  it('a head that comes too slowly is 408', async () => {
    const clock = new FakeClock();
    const { port } = await net.relay(choiceOf(targetOf([await net.echoPod()], { clock })), { clock });
    const client = net.client(port);
    let got = '';
    client.on('data', (data: Buffer) => {
      got += data.toString('latin1');
    });
    // The answer to the first request shows that the beginning of the second one has been read.
    client.write('GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n');
    await expect.poll(() => got).toMatch(/\/first $/);
    got = '';
    await clock.advance(10_000);
    await expect.poll(() => got).toMatch(/^HTTP\/1.1 408 Request Timeout[\s\S]*the head did not come within 10000 ms/);
  });

  it('a body that comes too slowly is 408, and the endpoint is not to blame', async () => {
    const { clock, seen, target, port } = await start();
    const answer = net.raw(port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello');
    await expect.poll(() => seen.length).toBe(1);
    await clock.advance(30_000);
    await clock.advance(2_000);
    expect(await answer).toMatch(/^HTTP\/1.1 408 Request Timeout[\s\S]*the request did not come within 30000 ms/);
    expect(target.outcomes).toEqual(['withdrawn']);
  });

  it('an idle connection is closed without a word, one that is used is not', async () => {
    const clock = new FakeClock();
    const { port, relay } = await net.relay(choiceOf(targetOf([await net.echoPod()], { clock })), { clock });
    const client = net.client(port);
    client.resume();
    for (let round = 0; round < 3; round++) {
      client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      const before = client.bytesRead;
      await expect.poll(() => client.bytesRead).toBeGreaterThan(before);
      await clock.advance(74_000);
    }
    expect(relay.connections).toBe(1);
    await clock.advance(1_000);
    await expect.poll(() => relay.connections).toBe(0);
  });
});

describe('drain', () => {
  it('connections that are used end with their next answer, idle ones after a moment', async () => {
    const clock = new FakeClock();
    const { port, relay } = await net.relay(choiceOf(targetOf([await net.echoPod()], { clock })), { clock });
    const [used, idle] = [net.client(port), net.client(port)];
    let got = '';
    used.on('data', (data: Buffer) => (got += data.toString('latin1')));
    idle.resume();
    await expect.poll(() => relay.connections).toBe(2);
    const drained = relay.drain();
    used.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await expect.poll(() => got).toContain('connection: close\r\n');
    await clock.advance(1_000);
    await clock.advance(2_000);
    await drained;
    expect(relay.connections).toBe(0);
  });
});
