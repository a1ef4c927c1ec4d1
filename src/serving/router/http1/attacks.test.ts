import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { choiceOf, OK, RelayFixture, targetOf } from '../testing/relay-fixture.ts';

/**
 * What smuggles a request past one hop, or leaves two hops with two readings of one stream of bytes. Each is answered
 * once, the connection is closed, and not a byte reaches a pod. The second request in each shows when it got through.
 */
const SECOND = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
const post = (headers: string, body = ''): string => `POST /m HTTP/1.1\r\nHost: a\r\n${headers}\r\n\r\n${body}`;

const chunked = (body: string): string => post('Transfer-Encoding: chunked', body);

const ATTACKS: readonly (readonly [name: string, bytes: string, status: number])[] = [
  // Two lengths.
  ['two lengths that differ', post('Content-Length: 5\r\nContent-Length: 0', 'hello'), 400],
  ['two lengths that agree', post('Content-Length: 5\r\nContent-Length: 5', 'hello'), 400],
  ['a list of lengths', post('Content-Length: 5, 5', 'hello'), 400],
  ['a length and chunks', post('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n'), 400],
  ['chunks and a length', post('Transfer-Encoding: chunked\r\nContent-Length: 5', '0\r\n\r\n'), 400],
  // Lengths that are not plain digits.
  ['a signed length', post('Content-Length: +5', 'hello'), 400],
  ['a negative length', post('Content-Length: -5', 'hello'), 400],
  ['a hexadecimal length', post('Content-Length: 0x5', 'hello'), 400],
  ['a length with a space in it', post('Content-Length: 5 0', 'hello'), 400],
  ['a length with an exponent', post('Content-Length: 5e0', 'hello'), 400],
  ['a length of no digits', post('Content-Length:', 'hello'), 400],
  ['a length beyond what a number holds', post('Content-Length: 99999999999999999999', 'hello'), 400],
  ['a length in other digits', post('Content-Length: ５', 'hello'), 400],
  // Transfer codings.
  ['a coding that is not known', post('Transfer-Encoding: xchunked', '0\r\n\r\n'), 400],
  ['a coding before chunked', post('Transfer-Encoding: gzip, chunked', '0\r\n\r\n'), 400],
  ['a coding behind chunked', post('Transfer-Encoding: chunked, identity', '0\r\n\r\n'), 400],
  ['identity', post('Transfer-Encoding: identity', 'hello'), 400],
  ['chunked twice', post('Transfer-Encoding: chunked, chunked', '0\r\n\r\n'), 400],
  ['two headers of codings', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', '0\r\n\r\n'), 400],
  ['a coding with a parameter', post('Transfer-Encoding: chunked;a=b', '0\r\n\r\n'), 400],
  ['a quoted coding', post('Transfer-Encoding: "chunked"', '0\r\n\r\n'), 400],
  ['a coding behind a vertical tab', post('Transfer-Encoding: \x0bchunked', '0\r\n\r\n'), 400],
  ['an empty coding', post('Transfer-Encoding:', '0\r\n\r\n'), 400],
  ['chunks in HTTP/1.0', 'POST /m HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  // Names of fields.
  ['a space before the colon', post('Content-Length : 5', 'hello'), 400],
  ['a tab before the colon', post('Transfer-Encoding\t: chunked', '0\r\n\r\n'), 400],
  ['a space before the name', post(' Content-Length: 5', 'hello'), 400],
  ['a folded line', post('A: b\r\n Content-Length: 5', 'hello'), 400],
  ['a folded coding', post('Transfer-Encoding:\r\n chunked', '0\r\n\r\n'), 400],
  ['a length with an underscore', post('Content_Length: 5', 'hello'), 400],
  ['a coding with an underscore', post('Transfer_Encoding: chunked', '0\r\n\r\n'), 400],
  ['a line without a colon', post('Content-Length', 'hello'), 400],
  ['a line without a name', post(': 5', 'hello'), 400],
  ['a zero byte in a name', post('Content\0-Length: 5', 'hello'), 400],
  ['a byte above ASCII in a name', post('Content-Length\xa0: 5', 'hello'), 400],
  // Ends of lines.
  ['a line that ends in a bare line feed', 'POST /m HTTP/1.1\r\nHost: a\nContent-Length: 5\r\n\r\nhello', 400],
  ['a request line that ends in a bare line feed', 'POST /m HTTP/1.1\nHost: a\r\n\r\n', 400],
  ['a head that ends in bare line feeds', 'POST /m HTTP/1.1\r\nHost: a\r\nA: b\n\n', 400],
  ['a head that ends in CRLF and a line feed', 'POST /m HTTP/1.1\r\nHost: a\r\n\n', 400],
  ['a carriage return within a value', post('A: b\rContent-Length: 5', 'hello'), 400],
  ['two carriage returns', 'POST /m HTTP/1.1\r\nHost: a\r\r\n\r\n', 400],
  ['a head that ends in a carriage return alone', 'POST /m HTTP/1.1\r\nHost: a\r\n\rX', 400],
  ['a zero byte in a value', post('A: b\0c', 'hello'), 400],
  // Request lines.
  ['two spaces in the request line', 'GET  /m HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a tab in the request line', 'GET\t/m HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a space in the target', 'GET /m /n HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a control character in the target', 'GET /m\x01 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a byte above ASCII in the target', 'GET /m\xff HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a fragment in the target', 'GET /m#n HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a target that is no path', 'GET m HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a request without a version', 'GET /m\r\nHost: a\r\n\r\n', 400],
  ['a space behind the version', 'GET /m HTTP/1.1 \r\nHost: a\r\n\r\n', 400],
  ['a version in lower case', 'GET /m http/1.1\r\nHost: a\r\n\r\n', 400],
  ['a version that is not spoken', 'GET /m HTTP/1.2\r\nHost: a\r\n\r\n', 505],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
  ['a method with a colon', 'GE:T /m HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a space before the method', ' GET /m HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n', 501],
  ['a handshake of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 400],
  // Hosts.
  ['no host', 'GET /m HTTP/1.1\r\n\r\n', 400],
  ['two hosts', 'GET /m HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
  ['a list of hosts', 'GET /m HTTP/1.1\r\nHost: a, b\r\n\r\n', 400],
  ['a host with a path', 'GET /m HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
  ['a host with a user', 'GET /m HTTP/1.1\r\nHost: b@a\r\n\r\n', 400],
  ['a URL with a user', 'GET http://b@a/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a URL without a host', 'GET http:///m HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a URL of another scheme', 'GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  // Taking away what the message rests on.
  ['Connection that names the length', post('Connection: content-length\r\nContent-Length: 5', 'hello'), 400],
  [
    'Connection that names the coding',
    post('Connection: x, Transfer-Encoding\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
    400,
  ],
  ['Connection that names the host', 'GET /m HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n', 400],
  ['Connection that is no list', 'GET /m HTTP/1.1\r\nHost: a\r\nConnection: a b\r\n\r\n', 400],
  // The rest.
  ['an expectation that is not known', post('Expect: 200-ok\r\nContent-Length: 5', 'hello'), 417],
  ['a timeout of nothing', 'GET /m HTTP/1.1\r\nHost: a\r\nFairlead-Timeout-Ms: 0\r\n\r\n', 400],
  ['a body that is too large', post('Content-Length: 10001'), 413],
  ['too many header lines', post(`${'A: b\r\n'.repeat(128)}C: d`), 431],
  ['a header line that is too long', post(`A: ${'b'.repeat(40_000)}`), 431],
];

/** Chunked bodies: their heads are fine, so their pods may see the request begin, and never its end or another request. */
const CHUNK_ATTACKS: readonly (readonly [name: string, body: string, status: number])[] = [
  ['a size with 0x', '0x5\r\nhello\r\n0\r\n\r\n', 400],
  ['a signed size', '+5\r\nhello\r\n0\r\n\r\n', 400],
  ['a negative size', '-5\r\nhello\r\n0\r\n\r\n', 400],
  ['a size behind a space', ' 5\r\nhello\r\n0\r\n\r\n', 400],
  ['a size before a space', '5 \r\nhello\r\n0\r\n\r\n', 400],
  ['a size of no digits', '\r\nhello\r\n0\r\n\r\n', 400],
  ['a size that is no number', 'g\r\nhello\r\n0\r\n\r\n', 400],
  ['a size that wraps around', '10000000000000005\r\nhello\r\n0\r\n\r\n', 400],
  ['a size that ends in a bare line feed', '5\nhello\r\n0\r\n\r\n', 400],
  ['a size that ends in a bare carriage return', '5\rhello\r\n0\r\n\r\n', 400],
  ['an extension that ends in a bare line feed', '5;a\nhello\r\n0\r\n\r\n', 400],
  ['an extension with a carriage return', '5;a\rb\r\nhello\r\n0\r\n\r\n', 400],
  ['an extension with a zero byte', '5;\0\r\nhello\r\n0\r\n\r\n', 400],
  ['data longer than its size', '5\r\nhello!\r\n0\r\n\r\n', 400],
  ['data shorter than its size', '5\r\nhell\r\n0\r\n\r\n', 400],
  ['data that ends in a bare line feed', '5\r\nhello\n0\r\n\r\n', 400],
  ['an end that is a bare line feed', '5\r\nhello\r\n0\r\n\n', 400],
  ['a last size that ends in a bare line feed', '5\r\nhello\r\n0\n\r\n', 400],
  ['a trailer without a colon', '5\r\nhello\r\n0\r\nabc\r\n\r\n', 400],
  ['a trailer with a space before its colon', '5\r\nhello\r\n0\r\na : b\r\n\r\n', 400],
  ['a trailer that ends in a bare line feed', '5\r\nhello\r\n0\r\na: b\n\r\n', 400],
  ['a folded trailer', '5\r\nhello\r\n0\r\na: b\r\n c\r\n\r\n', 400],
  ['extensions without end', `5;${'a'.repeat(9000)}\r\nhello\r\n0\r\n\r\n`, 400],
  ['trailers without end', `5\r\nhello\r\n0\r\n${'a: b\r\n'.repeat(4000)}\r\n`, 400],
  ['more data than is taken', `2711\r\n${'a'.repeat(10_001)}\r\n0\r\n\r\n`, 413],
];

let net: RelayFixture;
beforeEach(() => {
  net = new RelayFixture();
});
afterEach(() => net.close());

async function startRecorder() {
  const { port: pod, seen } = await net.recordingPod((socket, sent) => {
    const isWhole = !sent.join('').includes('chunked') || sent.join('').endsWith('\n0\r\n\r\n');
    if (isWhole) socket.write(OK);
  });
  const target = targetOf([pod]);
  const { port } = await net.relay(choiceOf(target), { times: { lingerMs: 50 } });
  return { seen, port, target };
}

describe('a request that could be read in two ways', () => {
  it.each(ATTACKS)('%s: refused, closed, and nothing reaches a pod', async (_name, bytes, status) => {
    const { seen, port } = await startRecorder();
    const answer = await net.raw(port, Buffer.from(bytes + SECOND, 'latin1'));
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect(answer).toContain('connection: close\r\n');
    expect(seen).toEqual([]);
  });

  it.each(CHUNK_ATTACKS)(
    'chunks with %s: refused, closed, and no pod sees a whole request',
    async (_name, body, status) => {
      const { seen, port } = await startRecorder();
      const answer = await net.raw(port, chunked(body + SECOND));
      expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
      const forwarded = seen.join('');
      expect(forwarded).not.toContain('smuggled');
      expect(forwarded).not.toContain('0\r\n\r\n');
    },
  );

  it.each([...ATTACKS, ...CHUNK_ATTACKS.map(([name, body, status]) => [name, chunked(body), status] as const)])(
    '%s: refused as well when every byte comes alone',
    async (_name, bytes, status) => {
      const { seen, port } = await startRecorder();
      const whole = Buffer.from(bytes + SECOND, 'latin1');
      const step = whole.length > 1000 ? 997 : 1;
      const pieces = Array.from({ length: Math.ceil(whole.length / step) }, (_, index) =>
        whole.subarray(index * step, (index + 1) * step),
      );
      const answer = await net.raw(port, ...pieces);
      expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
      expect(seen.join('')).not.toMatch(/smuggled|\n0\r\n\r\n/);
    },
  );
});

describe('an answer that could be read in two ways', () => {
  it.each([
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a coding before chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['a length that is no number', 'HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok'],
    ['a folded line', 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nok'],
    ['a bare line feed', 'HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'],
    ['no HTTP at all', 'SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n'],
    ['a head without end', `HTTP/1.1 200 OK\r\n${`A: ${'b'.repeat(1000)}\r\n`.repeat(40)}`],
  ])('%s is answered 502 and its connection is not used again', async (_name, bytes) => {
    let connections = 0;
    const pod = await net.pod((socket: Socket) => {
      socket.once('data', () => connections++);
      socket.on('data', () => socket.write(bytes));
    });
    const target = targetOf([pod]);
    const { port } = await net.relay(choiceOf(target));
    const answer = await net.raw(
      port,
      'GET /m HTTP/1.1\r\nHost: a\r\n\r\nGET /m HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    expect(answer.match(/HTTP\/1.1 502 Bad Gateway\r\n/g)).toHaveLength(2);
    expect(connections).toBe(2);
    expect(target.outcomes).toEqual(['error', 'error']);
  });

  it('bytes behind an answer never become the answer of another request', async () => {
    const pod = await net.pod((socket: Socket) => {
      socket.on('data', () =>
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'),
      );
    });
    const { port } = await net.relay(choiceOf(targetOf([pod])));
    const answer = await net.raw(
      port,
      'GET /m HTTP/1.1\r\nHost: a\r\n\r\nGET /m HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    expect(answer.match(/\r\n\r\nok/g)).toHaveLength(2);
    expect(answer).not.toContain('evil');
  });
});
