import { queryObjects } from 'node:v8';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../../../e2e/cluster/free-port.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { choiceOf, OK, RelayFixture, targetOf } from '../testing/relay-fixture.ts';

const GET = 'GET /m HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
const post = (body: string): string =>
  `POST /m HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const UNPROCESSED = 'HTTP/1.1 503 Service Unavailable\r\nFairlead-Unprocessed: 1\r\nContent-Length: 4\r\n\r\nbusy';

let net: RelayFixture;
beforeEach(() => {
  net = new RelayFixture();
});
afterEach(() => net.close());

describe('what never reached a model is asked of another pod', () => {
  it('a connection that is refused', async () => {
    const good = await net.recordingPod((socket) => socket.write(OK));
    // Its clock stands still: the pod that is away does not come back from its ejection.
    const target = targetOf([await freePort(), good.port], { clock: new FakeClock() });
    const { port } = await net.relay(choiceOf(target));
    for (let round = 0; round < 4; round++) expect(await net.raw(port, post('hello'))).toContain('200 OK');
    expect(good.seen.every((request) => request.endsWith('hello'))).toBe(true);
    expect(target.outcomes).toEqual(['success', 'success', 'success', 'success']);
    expect(target.pool.ejected).toBe(1);
  });

  it('two pods that are away, one after the other', async () => {
    const good = await net.recordingPod((socket) => socket.write(OK));
    const { port } = await net.relay(choiceOf(targetOf([await freePort(), await freePort(), good.port])));
    expect(await net.raw(port, GET)).toContain('200 OK');
  });

  it('all pods of a revision that went in one instant: another revision answers, and the first one is to blame', async () => {
    const good = await net.recordingPod((socket) => socket.write(OK));
    const [canary, stable] = [
      targetOf([await freePort(), await freePort()], { revision: 'm-2' }),
      targetOf([good.port]),
    ];
    const { port } = await net.relay(choiceOf(canary, { elsewhere: [stable] }));
    for (let round = 0; round < 3; round++) expect(await net.raw(port, GET)).toContain('200 OK');
    expect(canary.outcomes).toEqual(['error', 'error', 'error']);
    expect(stable.outcomes).toEqual(['success', 'success', 'success']);
  });

  it('a revision without endpoints: another one answers, and nothing is counted for the first', async () => {
    const good = await net.recordingPod((socket) => socket.write(OK));
    const [canary, stable] = [targetOf([], { revision: 'm-2' }), targetOf([good.port])];
    const { port } = await net.relay(choiceOf(canary), { choiceAgain: choiceOf(stable) });
    expect(await net.raw(port, GET)).toContain('200 OK');
    expect([canary.outcomes, stable.outcomes]).toEqual([[], ['success']]);
  });

  it('an idle connection that its server closes as the request comes, even where there is one pod only', async () => {
    let connections = 0;
    const port = await net.pod((socket) => {
      const isStale = ++connections <= 1;
      socket.on('data', () => (isStale ? socket.resetAndDestroy() : socket.write(OK)));
    });
    const target = targetOf([port]);
    // Its clock stands still: the connection breaks at once, however slow the machine is.
    const relay = await net.relay(choiceOf(target), { clock: new FakeClock() });
    await expect.poll(() => connections).toBe(1);
    expect(await net.raw(relay.port, post('hello'))).toContain('200 OK');
    expect({ connections, outcomes: target.outcomes }).toEqual({ connections: 2, outcomes: ['success'] });
  });

  it('an answer that says that no model has seen the request', async () => {
    const busy = await net.recordingPod((socket) => socket.write(UNPROCESSED));
    const good = await net.recordingPod((socket) => socket.write(OK));
    const target = targetOf([busy.port, good.port]);
    const { port } = await net.relay(choiceOf(target));
    for (let round = 0; round < 4; round++) expect(await net.raw(port, post('hello'))).toContain('200 OK');
    expect(busy.seen.length).toBeGreaterThan(0);
    expect(target.outcomes).toEqual(['success', 'success', 'success', 'success']);
    expect(target.pool.inFlight).toBe(0);
  });

  it('a body in tiny chunks, whole, and without an object for each of them while it is kept', async () => {
    let isWhole = false;
    const busy = await net.recordingPod((socket, seen) => {
      if (isWhole || !seen.at(-1)?.endsWith('0\r\n\r\n')) return;
      isWhole = true;
      socket.write(UNPROCESSED);
    });
    const good = await net.echoPod();
    const target = targetOf([busy.port, good]);
    const { port } = await net.relay(choiceOf(target, { maxBodyBytes: 100_000 }));
    const buffers = () => queryObjects(Buffer, { format: 'count' });
    const before = buffers();
    const body = Array.from({ length: 20_000 }, (_, index) => String(index % 10)).join('');
    const client = net.client(port);
    let got = '';
    client.setEncoding('latin1').on('data', (text: string) => (got += text));
    client.write('POST /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    client.write(body.replaceAll(/./g, '1\r\n$&\r\n'));
    await expect.poll(() => busy.seen.join('').length).toBeGreaterThan(20_000 * 6);
    expect(buffers() - before).toBeLessThan(1_000);
    client.write('0\r\n\r\n');
    await expect.poll(() => got).toContain(`\r\n\r\n/m ${body}`);
    expect(target.outcomes).toEqual(['success']);
  });

  it('once: the second such answer is the client’s', async () => {
    const pods = [
      await net.recordingPod((socket) => socket.write(UNPROCESSED)),
      await net.recordingPod((socket) => socket.write(UNPROCESSED)),
    ];
    const target = targetOf(pods.map(({ port }) => port));
    const { port } = await net.relay(choiceOf(target));
    expect(await net.raw(port, GET)).toContain('503 Service Unavailable');
    expect(pods.map(({ seen }) => seen.length)).toEqual([1, 1]);
    expect(target.outcomes).toEqual(['error']);
  });
});

describe('what may have reached a model is not sent again', () => {
  it('a new connection that breaks', async () => {
    const bad = await net.recordingPod((socket) => socket.resetAndDestroy());
    const target = targetOf([await freePort()], { maxInFlight: 0 });
    const { port } = await net.relay(choiceOf(target));
    const answer = net.raw(port, post('hello'));
    await expect.poll(() => target.pool.waiting).toBe(1);
    target.pool.configure({ maxInFlight: 1, room: { waiting: 0, max: 10 } });
    // Without a warm connection: the pool tells of the endpoint only what waits for it.
    target.pool.update([{ address: '127.0.0.1', ports: { http: bad.port } }]);
    expect(await answer).toMatch(/^HTTP\/1.1 502 Bad Gateway[\s\S]*no answer from 127.0.0.1 of m-1/);
    expect(bad.seen).toHaveLength(1);
    expect(target.outcomes).toEqual(['error']);
  });

  it('an answer of 503 that does not say so', async () => {
    const bad = await net.recordingPod((socket) => socket.write('HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n'));
    const other = await net.recordingPod((socket) => socket.write(OK));
    const { port } = await net.relay(choiceOf(targetOf([bad.port, other.port])));
    const answers = [await net.raw(port, GET), await net.raw(port, GET)];
    expect(answers.filter((answer) => answer.startsWith('HTTP/1.1 503 No'))).toHaveLength(1);
    expect(bad.seen).toHaveLength(1);
  });

  it('an answer that broke off in the middle: the client sees that it is not whole', async () => {
    const bad = await net.recordingPod((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello');
      setImmediate(() => socket.resetAndDestroy());
    });
    const target = targetOf([bad.port]);
    const { port } = await net.relay(choiceOf(target));
    expect(await net.raw(port, GET)).toMatch(/hello$/);
    expect(bad.seen).toHaveLength(1);
    expect(target.outcomes).toEqual(['error']);
  });

  it('a body of which too much was sent to be kept', async () => {
    let connections = 0;
    const port = await net.pod((socket) => {
      connections++;
      let bytes = 0;
      socket.on('data', (data) => {
        bytes += data.length;
        if (bytes > 200_000) socket.resetAndDestroy();
      });
    });
    const target = targetOf([port]);
    const relay = await net.relay(choiceOf(target, { maxBodyBytes: 1e7 }));
    await expect.poll(() => connections).toBe(1);
    const answer = await net.raw(relay.port, post('x'.repeat(1_000_000)));
    expect(answer).toMatch(/^(HTTP\/1.1 502 |$)/);
    expect(connections).toBe(1);
  });
});

describe('no pod at all', () => {
  it('a pod that refuses and nobody else to ask is answered 503 with the reason', async () => {
    const target = targetOf([await freePort()]);
    const { port } = await net.relay(choiceOf(target));
    expect(await net.raw(port, GET)).toMatch(
      /^HTTP\/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n[\s\S]*no connection to 127.0.0.1 of m-1: ECONNREFUSED/,
    );
  });

  it('a revision without one that nobody can stand in for is 503 at once', async () => {
    const target = targetOf([]);
    const { port } = await net.relay(choiceOf(target));
    expect(await net.raw(port, GET)).toMatch(/^HTTP\/1.1 503 [\s\S]*retry-after: 1[\s\S]*m-1 has no ready pod/);
    expect(target.outcomes).toEqual(['error']);
  });

  it('requests wait for pods that are busy, and are answered when another one comes', async () => {
    const good = await net.recordingPod((socket) => socket.write(OK));
    const slow = await net.recordingPod(() => undefined);
    const target = targetOf([slow.port], { maxInFlight: 1 });
    const { port } = await net.relay(choiceOf(target));
    net.client(port).write(GET);
    await expect.poll(() => slow.seen.length).toBe(1);
    const answers = [net.raw(port, post('one')), net.raw(port, GET)];
    await expect.poll(() => target.pool.waiting).toBe(2);
    target.pool.update([{ address: '127.0.0.1', ports: { http: good.port } }]);
    for (const answer of await Promise.all(answers)) expect(answer).toContain('200 OK');
  });

  it('one more than may wait is answered 429 with the numbers', async () => {
    const target = targetOf([await freePort()], { maxInFlight: 0, room: { waiting: 0, max: 1 } });
    const { port } = await net.relay(choiceOf(target));
    net.client(port).write(GET);
    await expect.poll(() => target.pool.waiting).toBe(1);
    expect(await net.raw(port, GET)).toMatch(
      /^HTTP\/1.1 429 Too Many Requests\r\nconnection: close\r\nretry-after: 1\r\n[\s\S]*1 requests wait for the 1 endpoints of m-1, as many as may; 0 are in flight/,
    );
  });
});
