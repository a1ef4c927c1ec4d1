import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { InferenceHttpServer } from '../http/inference-http-server.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeSession } from './fake-session.ts';
import { type ModelFixture, served } from './served.ts';

export const MAX_REQUEST_BYTES = 10_000;

/** A model that answers with what it was given, and an input for it. */
export const identity = { session: new FakeSession() };
export const x = { name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] };

/** Starts HTTP servers, each with a client of it; `atEnd` is given what ends them. */
export const httpServers =
  (atEnd: (end: () => void) => void) =>
  async (...models: readonly ModelFixture[]) => {
    const fixture = served(...models);
    const clock = new FakeClock();
    const http = new InferenceHttpServer({
      ...fixture,
      maxRequestBytes: MAX_REQUEST_BYTES,
      maxBodyBytes: 2 * MAX_REQUEST_BYTES,
      serverVersion: '1.2.3',
      clock,
      random: () => 0.5,
      onRefused: (code) => fixture.metrics.refused.inc({ code }),
    });
    http.server.listen(0, '127.0.0.1');
    await once(http.server, 'listening');
    atEnd(() => {
      http.server.close();
      http.server.closeAllConnections();
    });
    const { port } = http.server.address() as AddressInfo;
    const call = async (path: string, body?: unknown, init: RequestInit = {}) => {
      const post =
        body === undefined ? {} : { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) };
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { ...post, ...init });
      return { status: response.status, headers: response.headers, body: await response.text() };
    };
    return { ...fixture, clock, port, call, url: `http://127.0.0.1:${port}` };
  };
