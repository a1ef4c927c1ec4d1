import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { choiceOf, RelayFixture, targetOf } from '../testing/relay-fixture.ts';
import { steady } from '../testing/steady.ts';

// Hundreds of connections: on a busy machine they take their time.
vi.setConfig({ testTimeout: 60_000 });

let net: RelayFixture;
beforeEach(() => {
  net = new RelayFixture();
});
afterEach(() => net.close());

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
    const { port } = await net.relay(choiceOf(targetOf([await net.echoPod()])));
    expect(bodies(await net.raw(port, stream))).toEqual(answers);
  });

  it('is answered the same however it is cut into pieces', async () => {
    const target = targetOf([await net.echoPod()]);
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
    await expect.poll(() => target.outcomes.length).toBe(500);
  });
});
