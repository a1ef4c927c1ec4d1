import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { InferenceHttpServer } from '../http/inference-http-server.ts';
import { FakeSession } from './fake-session.ts';
import { type ModelFixture, served } from './served.ts';

export const MAX_REQUEST_BYTES = 10_000;

/** A model that answers with what it was given, and an input for it. */
export const identity = { session: new FakeSession() };
export const x = { name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] };

/** An HTTP server of these models, and a client of it; it ends with the test. */
export async function startHttpServer(...models: readonly ModelFixture[]) {
  const fixture = served(...models);
  const http = new InferenceHttpServer({
    ...fixture,
    maxRequestBytes: MAX_REQUEST_BYTES,
    maxBodyBytes: 2 * MAX_REQUEST_BYTES,
    serverVersion: '1.2.3',
    onRefused: (code) => fixture.metrics.refused.inc({ code }),
  });
  http.server.listen(0, '127.0.0.1');
  await once(http.server, 'listening');
  onTestFinished(() => {
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
  return { ...fixture, port, call, url: `http://127.0.0.1:${port}` };
}
