import type { Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeClock } from '../../testing/fake-clock.ts';
import { choiceOf, RelayFixture, targetOf } from '../testing/relay-fixture.ts';

// Hundreds of connections and megabytes: on a busy machine they take their time.
vi.setConfig({ testTimeout: 60_000 });

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

let net: RelayFixture;
beforeEach(() => {
  net = new RelayFixture();
});
afterEach(() => net.close());

/** A pod that answers each request with its target and body, in chunks where the target asks for it. */
const echo = () =>
  net.httpPod((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = Buffer.concat(pieces);
      if (request.url?.startsWith('/chunks') === true) {
        response.write(`${request.url} `);
        response.end(body);
      } else {
        response.setHeader('Content-Length', (request.url ?? '').length + 1 + body.length);
        response.end(`${request.url} ${body}`);
      }
    });
  });

/** A pod that never answers. */
const silent = (seen: string[] = []) =>
  net.pod((socket) => socket.on('data', (data) => seen.push(data.toString('latin1'))));

/** Resolves to a count that grew, once it does not grow any more. */
async function steady(count: () => number): Promise<number> {
  let last = 0;
  await expect
    .poll(
      () => {
        const before = last;
        last = count();
        return last > 0 && last === before;
      },
      { interval: 100, timeout: 5_000 },
    )
    .toBe(true);
  return last;
}

/** What a client reads as answers: status, and body without its framing. */
function bodies(text: string): string[] {
  const found: string[] = [];
  for (let rest = text; rest.length > 0; ) {
    const headEnd = rest.indexOf('\r\n\r\n') + 4;
    const head = rest.slice(0, headEnd);
    rest = rest.slice(headEnd);
    const length = /content-length: (\d+)/i.exec(head)?.[1];
    let body = '';
    if (length !== undefined) {
      body = rest.slice(0, Number(length));
      rest = rest.slice(Number(length));
    } else if (/transfer-encoding: chunked/i.test(head)) {
      for (;;) {
        const lineEnd = rest.indexOf('\r\n');
        const size = Number.parseInt(rest.slice(0, lineEnd), 16);
        body += rest.slice(lineEnd + 2, lineEnd + 2 + size);
        rest = rest.slice(lineEnd + 4 + size);
        if (size === 0) break;
      }
    }
    found.push(`${/^HTTP\/1.1 (\d+)/.exec(head)?.[1]} ${body}`);
  }
  return found;
}

describe('a stream of requests', () => {
  const stream = [
    'POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    '\r\nPOST /two HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n',
    'GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n',
    'POST /chunks/4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n',
    'GET http://b.example:8080/five?x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  ].join('');
  const answers = ['200 /one hello', '200 /two abcde', '200 /chunks ', '200 /chunks/4 0123456789', '200 /five?x '];

  it('is answered in order', async () => {
    const { port } = await net.relay(choiceOf(targetOf([await echo()])));
    expect(bodies(await net.raw(port, stream))).toEqual(answers);
  });

  it('is answered the same however it is cut into pieces', async () => {
    const target = targetOf([await echo()]);
    const { port } = await net.relay(choiceOf(target));
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat({ max: stream.length - 1 }), { maxLength: 12 }), async (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), stream.length];
        const pieces = at.slice(1).map((end, index) => stream.slice(at[index], end));
        expect(bodies(await net.raw(port, ...pieces.filter((piece) => piece !== '')))).toEqual(answers);
      }),
      { numRuns: 60 },
    );
    expect(target.outcomes.every((outcome) => outcome === 'success')).toBe(true);
    expect(target.pool.inFlight).toBe(0);
  });

  it('an answer is the same however it is cut into pieces', async () => {
    const whole =
      'HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n4;q\r\nabcd\r\n1\r\ne\r\n0\r\nT: u\r\n\r\n';
    let cuts: number[] = [];
    const pod = await net.pod((socket) =>
      socket.on('data', async () => {
        const at = [0, ...cuts, whole.length];
        for (const [index, end] of at.slice(1).entries()) {
          socket.write(whole.slice(at[index], end));
          await new Promise((resolve) => setImmediate(resolve));
        }
      }),
    );
    const { port } = await net.relay(choiceOf(targetOf([pod])));
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat({ max: whole.length - 1 }), { maxLength: 6 }), async (given) => {
        cuts = given.toSorted((a, b) => a - b);
        const answer = await net.raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
        expect(answer).toContain('HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n');
        expect(bodies(answer.slice(answer.indexOf('HTTP/1.1 200')))).toEqual(['200 abcde']);
      }),
      { numRuns: 40 },
    );
  });

  it('requests that a client sends ahead without reading answers do not pile up', async () => {
    const pod = await net.httpPod((_request, response) => response.end('x'.repeat(100_000)));
    const target = targetOf([pod]);
    const { port } = await net.relay(choiceOf(target));
    const client = net.client(port);
    client.pause();
    const request = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
    for (let sent = 0; sent < 500; sent++) client.write(request);
    const before = await steady(() => target.outcomes.length);
    expect(before).toBeLessThan(250);
    client.resume();
    await expect.poll(() => target.outcomes.length, { timeout: 10_000 }).toBe(500);
  });
});

describe('semantics', () => {
  it('HTTP/1.0 gets one answer, without chunks', async () => {
    const { port } = await net.relay(choiceOf(targetOf([await echo()])));
    const answer = await net.raw(
      port,
      'POST /chunks HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi',
    );
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    expect(answer).toContain('connection: close\r\n\r\n/chunks hi');
    expect(answer).not.toMatch(/transfer-encoding/i);
  });

  it('HTTP/1.0 reaches the pod as HTTP/1.1 with a Host', async () => {
    const seen: string[] = [];
    const pod = await net.pod((socket) =>
      socket.on('data', (data) => {
        seen.push(data.toString('latin1'));
        socket.write(OK);
      }),
    );
    const { port } = await net.relay(choiceOf(targetOf([pod])));
    await net.raw(port, 'GET /m HTTP/1.0\r\nA: b\r\n\r\n');
    expect(seen[0]).toMatch(/^GET \/m HTTP\/1.1\r\nHost:\r\nA: b\r\nvia: /);
  });

  it.each([
    ['chunked', 'Transfer-Encoding:\tCHUNKED \t\r\n', '2\r\nhi\r\n0\r\n\r\n', /\r\ntransfer-encoding: chunked\r\nvia/],
    ['a length', 'Content-Length: \t02 \r\n', 'hi', /\r\ncontent-length: 2\r\nvia/],
  ])('%s with blanks around it reaches the pod without them', async (_name, header, body, forwarded) => {
    const seen: string[] = [];
    const pod = await net.pod((socket) =>
      socket.on('data', (data) => {
        seen.push(data.toString('latin1'));
        if (seen.join('').includes('hi')) socket.write(OK);
      }),
    );
    const { port } = await net.relay(choiceOf(targetOf([pod])));
    await net.raw(port, `POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${header}\r\n${body}`);
    expect(seen.join('')).toMatch(forwarded);
    expect(seen.join('').match(/content-length|transfer-encoding/gi)).toHaveLength(1);
  });

  it('a URL as target names the host, whatever Host says', async () => {
    const seen: string[] = [];
    const pod = await net.pod((socket) =>
      socket.on('data', (data) => {
        seen.push(data.toString('latin1'));
        socket.write(OK);
      }),
    );
    const { port } = await net.relay(choiceOf(targetOf([pod])));
    await net.raw(port, 'GET http://b:80?x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expect(seen[0]).toMatch(/^GET \/\?x HTTP\/1.1\r\nHost: b:80\r\nvia: /);
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
    const seen: string[] = [];
    const pod = await net.pod((socket) =>
      socket.on('data', (data) => {
        seen.push(data.toString('latin1'));
        if (data.toString('latin1').endsWith('hello')) socket.write(OK);
      }),
    );
    const { port } = await net.relay(choiceOf(targetOf([pod])));
    const client = net.client(port);
    const got: string[] = [];
    client.on('data', (data: Buffer) => got.push(data.toString('latin1')));
    client.write('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n');
    await expect.poll(() => got.join('')).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    client.write('hello');
    await expect.poll(() => got.join('')).toContain('200 OK');
    expect(seen.join('')).not.toMatch(/expect/i);
  });

  it('a change of protocol that a client offers is passed over', async () => {
    const seen: string[] = [];
    const pod = await net.pod((socket) =>
      socket.on('data', (data) => {
        seen.push(data.toString('latin1'));
        socket.write(OK);
      }),
    );
    const { port } = await net.relay(choiceOf(targetOf([pod])));
    await net.raw(
      port,
      'GET /m HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n\r\n',
    );
    expect(seen.join('')).not.toMatch(/upgrade|http2-settings/i);
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
    client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${2 ** 29}\r\n\r\n`);
    const piece = Buffer.alloc(2 ** 20);
    let sent = 0;
    const more = (): void => {
      while (sent < 512 && client.write(piece)) sent++;
      sent++;
      if (sent < 512) client.once('drain', more);
    };
    more();
    const before = await steady(() => sent);
    expect(before).toBeLessThan(64);
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(200 * 2 ** 20);
    client.destroy();
  });

  it('an answer comes no faster than the client reads it', async () => {
    let written = 0;
    const pod = await net.pod((socket) =>
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${2 ** 29}\r\n\r\n`);
        const piece = Buffer.alloc(2 ** 20);
        const more = (): void => {
          while (written < 512 && socket.write(piece)) written++;
          written++;
          if (written < 512) socket.once('drain', more);
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
    await expect.poll(() => got, { timeout: 20_000 }).toBeGreaterThanOrEqual(2 ** 29);
  }, 30_000);
});

describe('time', () => {
  const start = async (timeoutMs = 30_000) => {
    const clock = new FakeClock();
    const seen: string[] = [];
    const target = targetOf([await silent(seen)], { clock });
    const relay = await net.relay(choiceOf(target, { timeoutMs }), { clock });
    return { clock, seen, target, ...relay };
  };

  it('an answer that does not come in time is 504 with the limit, and the endpoint is to blame', async () => {
    const { clock, seen, target, port } = await start();
    const answer = net.raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await expect.poll(() => seen.length).toBe(1);
    await clock.advance(29_999);
    expect(target.outcomes).toEqual([]);
    await clock.advance(1);
    await clock.advance(2_000);
    expect(await answer).toMatch(/^HTTP\/1.1 504 Gateway Timeout[\s\S]*m-1 did not answer within 30000 ms/);
    expect(target.outcomes).toEqual(['error']);
  });

  it('the client’s own deadline counts where it is shorter, and the pod is told what is left of it', async () => {
    const { clock, seen, port } = await start();
    const answer = net.raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nFairlead-Timeout-Ms: 700\r\n\r\n');
    await expect.poll(() => seen.length).toBe(1);
    expect(seen[0]).toContain('fairlead-timeout-ms: 700\r\n');
    expect(seen[0]?.match(/timeout-ms/gi)).toHaveLength(1);
    await clock.advance(700);
    await clock.advance(2_000);
    expect(await answer).toMatch(/^HTTP\/1.1 504 [\s\S]*within 700 ms/);
  });

  it('a pod that nobody gets in time is 503 with the numbers', async () => {
    const clock = new FakeClock();
    const target = targetOf([], { clock });
    const { port } = await net.relay(choiceOf(target), { clock });
    const answer = net.raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await expect.poll(() => target.pool.waiting).toBe(1);
    await clock.advance(30_000);
    await clock.advance(2_000);
    expect(await answer).toMatch(
      /^HTTP\/1.1 503 [\s\S]*none of the 0 endpoints of m-1 had room within 30000 ms: 0 requests are in flight, 1 wait/,
    );
    expect(target.pool.waiting).toBe(0);
  });

  it('a head that comes too slowly is 408', async () => {
    const clock = new FakeClock();
    const { port } = await net.relay(choiceOf(targetOf([await echo()], { clock })), { clock });
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
    expect(target.outcomes).toEqual(['cancelled']);
  });

  it('an idle connection is closed without a word, one that is used is not', async () => {
    const clock = new FakeClock();
    const { port, relay } = await net.relay(choiceOf(targetOf([await echo()], { clock })), { clock });
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
    const { port, relay } = await net.relay(choiceOf(targetOf([await echo()], { clock })), { clock });
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
