import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { choiceOf, OK, RelayFixture, targetOf } from '../testing/relay-fixture.ts';
import { steady } from '../testing/steady.ts';

// Megabytes: on a busy machine they take their time.
vi.setConfig({ testTimeout: 60_000 });

let net: RelayFixture;
beforeEach(() => {
  net = new RelayFixture();
});
afterEach(() => net.close());

describe('semantics', () => {
  it('HTTP/1.0 gets one answer, without chunks', async () => {
    const { port } = await net.relay(choiceOf(targetOf([await net.echoPod()])));
    const answer = await net.raw(
      port,
      'POST /chunks HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi',
    );
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    expect(answer).toContain('connection: close\r\n\r\n/chunks hi');
    expect(answer).not.toMatch(/transfer-encoding/i);
  });

  it('HTTP/1.0 reaches the pod as HTTP/1.1 with a Host', async () => {
    const pod = await net.recordingPod((socket) => {
      socket.write(OK);
    });
    const { port } = await net.relay(choiceOf(targetOf([pod.port])));
    await net.raw(port, 'GET /m HTTP/1.0\r\nA: b\r\n\r\n');
    expect(pod.seen[0]).toMatch(/^GET \/m HTTP\/1.1\r\nHost:\r\nA: b\r\nvia: /);
  });

  it.each([
    ['chunked', 'Transfer-Encoding:\tCHUNKED \t\r\n', '2\r\nhi\r\n0\r\n\r\n', /\r\ntransfer-encoding: chunked\r\nvia/],
    ['a length', 'Content-Length: \t02 \r\n', 'hi', /\r\ncontent-length: 2\r\nvia/],
  ])('%s with blanks around it reaches the pod without them', async (_name, header, body, forwarded) => {
    const pod = await net.recordingPod((socket, seen) => {
      if (seen.join('').includes('hi')) socket.write(OK);
    });
    const { port } = await net.relay(choiceOf(targetOf([pod.port])));
    await net.raw(port, `POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${header}\r\n${body}`);
    expect(pod.seen.join('')).toMatch(forwarded);
    expect(pod.seen.join('').match(/content-length|transfer-encoding/gi)).toHaveLength(1);
  });

  it('a URL as target names the host, whatever Host says', async () => {
    const pod = await net.recordingPod((socket) => {
      socket.write(OK);
    });
    const { port } = await net.relay(choiceOf(targetOf([pod.port])));
    await net.raw(port, 'GET http://b:80?x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expect(pod.seen[0]).toMatch(/^GET \/\?x HTTP\/1.1\r\nHost: b:80\r\nvia: /);
  });

  it.each([
    ['HEAD', 'HEAD / HTTP/1.1', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'],
    ['HEAD of chunks', 'HEAD / HTTP/1.1', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['204', 'GET / HTTP/1.1', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['304', 'GET / HTTP/1.1', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n'],
  ])('%s has no body', async (_name, line, answer) => {
    const pod = await net.pod((socket) => socket.on('data', () => socket.write(answer)));
    const { port } = await net.relay(choiceOf(targetOf([pod])));
    const request = `${line}\r\nHost: a\r\n\r\n`;
    const all = await net.raw(port, request, `${line}\r\nHost: a\r\nConnection: close\r\n\r\n`);
    const last = answer.replace(/\r\n\r\n$/, '\r\nconnection: close\r\n\r\n');
    expect(all).toBe(answer + last);
  });

  it('an answer that ends with its connection is passed on so', async () => {
    const pod = await net.pod((socket) => socket.on('data', () => socket.end('HTTP/1.0 200 OK\r\n\r\nuntil the end')));
    const target = targetOf([pod]);
    const { port } = await net.relay(choiceOf(target));
    expect(await net.raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).toBe(
      'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end',
    );
    expect(target.outcomes).toEqual(['success']);
  });

  it('100 Continue comes when the body is wanted, and from the router', async () => {
    const pod = await net.recordingPod((socket, seen) => {
      if (seen.at(-1)?.endsWith('hello')) socket.write(OK);
    });
    const { port } = await net.relay(choiceOf(targetOf([pod.port])));
    const client = net.client(port);
    const got: string[] = [];
    client.on('data', (data: Buffer) => got.push(data.toString('latin1')));
    client.write('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n');
    await expect.poll(() => got.join('')).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    client.write('hello');
    await expect.poll(() => got.join('')).toContain('200 OK');
    expect(pod.seen.join('')).not.toMatch(/expect/i);
  });

  it('a change of protocol that a client offers is passed over', async () => {
    const pod = await net.recordingPod((socket) => {
      socket.write(OK);
    });
    const { port } = await net.relay(choiceOf(targetOf([pod.port])));
    await net.raw(
      port,
      'GET /m HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n\r\n',
    );
    expect(pod.seen.join('')).not.toMatch(/upgrade|http2-settings/i);
  });

  it('a pod that answers before the body is over is heard, and the client’s connection ends', async () => {
    const pod = await net.pod((socket) =>
      socket.once('data', () => socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno')),
    );
    const { port } = await net.relay(choiceOf(targetOf([pod])), { times: { lingerMs: 50 } });
    const answer = await net.raw(port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello');
    expect(answer).toBe('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nconnection: close\r\n\r\nno');
  });

  it('a client that goes away takes its request with it', async () => {
    const seen: string[] = [];
    let closed = 0;
    const pod = await net.pod((socket) => {
      socket.on('data', (data) => seen.push(data.toString('latin1')));
      socket.on('close', () => closed++);
    });
    const target = targetOf([pod]);
    const { port, relay } = await net.relay(choiceOf(target));
    const client = net.client(port);
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await expect.poll(() => seen.length).toBe(1);
    client.destroy();
    await expect.poll(() => closed).toBe(1);
    expect(target.outcomes).toEqual(['cancelled']);
    expect({ inFlight: target.pool.inFlight, connections: relay.connections }).toEqual({ inFlight: 0, connections: 0 });
  });

  it.each([
    ['while it waits for a pod', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi', 0, 'cancelled'],
    ['before its request is whole', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhi', 9, 'withdrawn'],
    ['in the middle of its answer', 'GET /answer HTTP/1.1\r\nHost: a\r\n\r\n', 9, 'withdrawn'],
  ])('a client that goes away %s', async (_, request, maxInFlight, outcome) => {
    const pod = await net.recordingPod((socket, seen) => {
      if (seen.join('').includes('/answer')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi');
    });
    const target = targetOf([pod.port], { maxInFlight });
    const { port } = await net.relay(choiceOf(target));
    const client = net.client(port);
    client.write(request);
    if (maxInFlight === 0) await expect.poll(() => target.pool.waiting).toBe(1);
    else if (request.includes('/answer')) await once(client, 'data');
    else await expect.poll(() => pod.seen.length).toBeGreaterThan(0);
    client.destroy();
    await expect.poll(() => target.outcomes).toEqual([outcome]);
  });
});

describe('back-pressure', () => {
  it('a body goes no faster than the pod reads it', async () => {
    const sockets: Socket[] = [];
    const pod = await net.pod((socket) => {
      socket.pause();
      sockets.push(socket);
    });
    const { port } = await net.relay(choiceOf(targetOf([pod]), { maxBodyBytes: 2 ** 30 }));
    const client = net.client(port);
    client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${2 ** 27}\r\n\r\n`);
    const piece = Buffer.alloc(2 ** 20);
    let sent = 0;
    const more = (): void => {
      while (sent < 128 && client.write(piece)) sent++;
      sent++;
      if (sent < 128) client.once('drain', more);
    };
    more();
    const before = await steady(() => sent);
    expect(before).toBeLessThan(64);
    client.destroy();
  });

  it('an answer comes no faster than the client reads it', async () => {
    let written = 0;
    const pod = await net.pod((socket) =>
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${2 ** 27}\r\n\r\n`);
        const piece = Buffer.alloc(2 ** 20);
        const more = (): void => {
          while (written < 128 && socket.write(piece)) written++;
          written++;
          if (written < 128) socket.once('drain', more);
        };
        more();
      }),
    );
    const { port } = await net.relay(choiceOf(targetOf([pod])));
    const client = net.client(port);
    client.pause();
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const before = await steady(() => written);
    expect(before).toBeLessThan(64);
    let got = 0;
    client.on('data', (data: Buffer) => (got += data.length));
    client.resume();
    await expect.poll(() => got).toBeGreaterThanOrEqual(2 ** 27);
  });
});
