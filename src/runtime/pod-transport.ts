import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { ApiError, ConnectionError, type StatusBody } from './api-error.ts';
import type { Clock } from './clock.ts';
import { withFreshCredentials } from './fresh-credentials.ts';
import type { ApiRequest, Transport } from './kube-transport.ts';

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
/** How long a token is used before it is read again: mounted tokens rotate. */
const TOKEN_MAX_AGE_MS = 30_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** A watch that says nothing for this long is broken: the server sends a bookmark about every minute. */
const WATCH_IDLE_TIMEOUT_MS = 150_000;
const MAX_CONNECTIONS = 8;
const TCP_KEEP_ALIVE_AFTER_MS = 15_000;
const MAX_MESSAGE_CHARS = 500;

/** The API server as a pod is told of it. */
export interface PodAccess {
  readonly host: string;
  readonly port: number;
  readonly caFile: string;
  readonly tokenFile: string;
}

/** What the kubelet mounts into a pod, at the address that it puts into the environment. */
export function mountedAccess(host: string, port: number): PodAccess {
  return { host, port, caFile: `${SERVICE_ACCOUNT}/ca.crt`, tokenFile: `${SERVICE_ACCOUNT}/token` };
}

/**
 * HTTP to the API server from a pod with a ServiceAccount, with nothing but Node: reading kubeconfigs, and all the ways to
 * sign in, costs `KubeTransport` 80 MiB of memory that a router in every namespace should not need.
 */
export class PodTransport implements Transport {
  readonly #access: PodAccess;
  readonly #clock: Clock;
  readonly #agent = new Agent({
    keepAlive: true,
    keepAliveMsecs: TCP_KEEP_ALIVE_AFTER_MS,
    maxSockets: MAX_CONNECTIONS,
  });
  #credentials: { readonly ca: Buffer; readonly token: string; readonly readAtMs: number } | undefined;

  constructor(access: PodAccess, clock: Clock) {
    this.#access = access;
    this.#clock = clock;
  }

  async json(apiRequest: ApiRequest): Promise<unknown> {
    return await withFreshCredentials(
      () => this.#json(apiRequest),
      () => {
        this.#credentials = undefined;
      },
    );
  }

  async *stream(path: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const label = `WATCH ${path}`;
    // A connection of its own: a watch must not take the place of a request.
    const response = await this.#send(label, { method: 'GET', path, signal }, WATCH_IDLE_TIMEOUT_MS, false);
    if ((response.statusCode ?? 500) >= 300) throw await toApiError(label, response);
    try {
      yield* response as AsyncIterable<Uint8Array>;
    } catch (error) {
      throw new ConnectionError(label, error);
    } finally {
      response.destroy();
    }
  }

  async close(): Promise<void> {
    this.#agent.destroy();
  }

  async #json(apiRequest: ApiRequest): Promise<unknown> {
    const label = `${apiRequest.method} ${apiRequest.path}`;
    const response = await this.#send(label, apiRequest, REQUEST_TIMEOUT_MS, this.#agent);
    if ((response.statusCode ?? 500) >= 300) throw await toApiError(label, response);
    const text = await textOf(response).catch((error: unknown) => {
      throw new ConnectionError(label, error);
    });
    return JSON.parse(text);
  }

  async #send(
    label: string,
    { method, path, body, contentType, signal }: ApiRequest,
    silenceMs: number,
    agent: Agent | false,
  ): Promise<IncomingMessage> {
    const { host, port } = this.#access;
    try {
      const { ca, token } = await this.#signIn();
      const text = body === undefined ? undefined : JSON.stringify(body);
      const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
      const outgoing = request(
        {
          ...{ host, port, method, path, ca, agent },
          ...(signal && { signal }),
          headers: {
            accept: 'application/json',
            'user-agent': 'fairlead',
            authorization: `Bearer ${token}`,
            ...(text !== undefined && {
              'content-type': contentType ?? 'application/json',
              'content-length': Buffer.byteLength(text),
            }),
          },
        },
        resolve,
      );
      outgoing.on('error', reject);
      outgoing.setTimeout(silenceMs, () =>
        outgoing.destroy(new Error(`the API server was silent for ${silenceMs} ms`)),
      );
      outgoing.on('socket', (socket) => socket.setKeepAlive(true, TCP_KEEP_ALIVE_AFTER_MS));
      outgoing.end(text);
      return await promise;
    } catch (error) {
      throw new ConnectionError(label, error);
    }
  }

  async #signIn(): Promise<{ readonly ca: Buffer; readonly token: string }> {
    const nowMs = this.#clock.monotonic();
    if (this.#credentials === undefined || nowMs - this.#credentials.readAtMs > TOKEN_MAX_AGE_MS) {
      const { caFile, tokenFile } = this.#access;
      const [ca, token] = await Promise.all([readFile(caFile), readFile(tokenFile, 'utf8')]);
      this.#credentials = { ca, token: token.trim(), readAtMs: nowMs };
    }
    return this.#credentials;
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

async function toApiError(label: string, response: IncomingMessage): Promise<ApiError> {
  const text = await textOf(response).catch(() => '');
  const retryAfterSeconds = Number(response.headers['retry-after']);
  const retryAfterMs = retryAfterSeconds > 0 ? retryAfterSeconds * 1000 : undefined;
  return new ApiError(label, response.statusCode ?? 500, parseStatus(text), retryAfterMs);
}

function parseStatus(text: string): StatusBody {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null && 'reason' in body) return body as StatusBody;
  } catch {
    // A proxy in between answers in words.
  }
  return { message: text.slice(0, MAX_MESSAGE_CHARS) };
}
