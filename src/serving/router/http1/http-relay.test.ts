import { request as undiciRequest } from 'undici';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../testing/fake-clock.ts';
import { choiceOf, RelayFixture, targetOf } from '../testing/relay-fixture.ts';

let net: RelayFixture;
beforeEach(() => {
  net = new RelayFixture();
});
afterEach(() => net.close());

describe('requests and answers', () => {
  it('carries a request and its answer, without what concerns one hop only', async () => {
    const pod = await net.recordingPod((socket) => {
      socket.write(
        'HTTP/1.1 200 Fine\r\nConnection: keep-alive, x-hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nX-Model: a\r\nContent-Length: 2\r\n\r\nok',
      );
    });
    const { port } = await net.relay(choiceOf(targetOf([pod.port])), { clock: new FakeClock() });
    const answer = await net.raw(
      port,
      'POST /v2?q=1 HTTP/1.1\r\nHost: churn\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nTE: trailers\r\ntraceparent: 00-a-b-01\r\nContent-Length: 5\r\n\r\nhello',
    );
    expect(answer).toBe('HTTP/1.1 200 Fine\r\nX-Model: a\r\nContent-Length: 2\r\nconnection: close\r\n\r\nok');
    expect(pod.seen).toEqual([
      expect.stringMatching(
        /^POST \/v2\?q=1 HTTP\/1.1\r\nHost: churn\r\ntraceparent: 00-a-b-01\r\nContent-Length: 5\r\nvia: 1.1 fairlead\r\nx-forwarded-for: 127.0.0.1\r\nfairlead-timeout-ms: 30000\r\n\r\nhello$/,
      ),
    ]);
  });

  it('that is asked to close ends each connection with an answer, and takes new ones meanwhile', async () => {
    const pod = await net.httpPod((_request, response) => response.end('ok'));
    const { port, relay } = await net.relay(choiceOf(targetOf([pod])));
    const asked = async () => {
      const answer = await undiciRequest(`http://127.0.0.1:${port}/`);
      return [await answer.body.text(), answer.headers.connection];
    };
    expect(await asked()).toEqual(['ok', undefined]);
    relay.askToClose();
    expect(await asked()).toEqual(['ok', 'close']);
    expect(await asked()).toEqual(['ok', 'close']);
  });

  it('works between node:http and undici', async () => {
    const pod = await net.httpPod((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => response.end(Buffer.concat(chunks)));
    });
    const { port } = await net.relay(choiceOf(targetOf([pod])));
    for (let round = 0; round < 5; round++) {
      const answer = await undiciRequest(`http://127.0.0.1:${port}/echo`, { method: 'POST', body: `round ${round}` });
      expect(await answer.body.text()).toBe(`round ${round}`);
    }
  });
});
