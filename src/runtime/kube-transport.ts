import { readFile } from 'node:fs/promises';
import type { AgentOptions, RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { Agent, type Dispatcher, ProxyAgent, request } from 'undici';
import { ApiError, ConnectionError, type StatusBody } from './api-error.ts';
import type { Clock } from './clock.ts';
import { withFreshCredentials } from './fresh-credentials.ts';

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query. */
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
}

/** One finished call to the API server; `status` is 0 when no answer came. */
export interface ApiCall {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly status: number;
}

/** The narrow edge to the API server. */
export interface Transport {
  /** @throws ApiError on a refusal, ConnectionError when no answer comes. */
  json(request: ApiRequest): Promise<unknown>;
  /** The chunks of a response that goes on for as long as the server likes. Throws as `json` does. */
  stream(path: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

export interface TransportOptions {
  readonly clock: Clock;
  /** Is told every call once it has ended, watches when they have begun. */
  readonly onCall?: (call: ApiCall) => void;
  /** How long the server may stay silent in an ordinary request. */
  readonly requestTimeoutMs?: number;
  /** A watch that says nothing for this long is broken: the server sends a bookmark about every minute. */
  readonly watchIdleTimeoutMs?: number;
  /** Ordinary requests in flight at once; more wait. Watches have their own connections. */
  readonly maxConnections?: number;
}

/** How long credentials are used before they are read again: mounted tokens and certificates rotate. */
const CREDENTIALS_MAX_AGE_MS = 30_000;
/** A peer that vanished without a word is noticed about ten seconds after this. */
const TCP_KEEP_ALIVE_AFTER_MS = 15_000;

/** What the kubeconfig fills in: TLS material, headers, a user and password. */
type TlsOptions = RequestOptions & Pick<AgentOptions, 'ca' | 'cert' | 'key' | 'servername'>;

interface Connection {
  readonly origin: string;
  readonly basePath: string;
  readonly headers: Record<string, string>;
  readonly requests: Dispatcher;
  readonly watches: Dispatcher;
  /** What the TLS material was, to see when it rotates. */
  readonly tlsIdentity: string;
  /** By the monotonic clock. */
  readonly readAtMs: number;
}

/**
 * HTTP to the cluster that a kubeconfig names, with its authentication, TLS and proxy settings, and raw JSON.
 * The package's own typed client is not used: its models cost a copy of every object.
 */
export class KubeTransport implements Transport {
  readonly #config: KubeConfig;
  readonly #options: TransportOptions;
  #connection: Promise<Connection> | undefined;
  #current: Connection | undefined;

  constructor(config: KubeConfig, options: TransportOptions) {
    this.#config = config;
    this.#options = options;
  }

  async json(apiRequest: ApiRequest): Promise<unknown> {
    return await withFreshCredentials(
      () => this.#json(apiRequest),
      () => {
        this.#connection = undefined;
      },
    );
  }

  async *stream(path: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const label = `WATCH ${path}`;
    const connection = await this.#connect();
    const idleMs = this.#options.watchIdleTimeoutMs ?? 150_000;
    let response: Dispatcher.ResponseData;
    try {
      response = await request(`${connection.origin}${connection.basePath}${path}`, {
        method: 'GET',
        headers: connection.headers,
        dispatcher: connection.watches,
        signal,
        headersTimeout: 30_000,
        bodyTimeout: idleMs,
      });
    } catch (error) {
      this.#told('WATCH', path, connection, 0);
      throw new ConnectionError(label, error);
    }
    this.#told('WATCH', path, connection, response.statusCode);
    if (response.statusCode >= 300) throw await toApiError(label, response);
    try {
      yield* response.body;
    } catch (error) {
      throw new ConnectionError(label, error);
    } finally {
      response.body.destroy();
    }
  }

  async close(): Promise<void> {
    const connection = this.#current;
    this.#connection = undefined;
    this.#current = undefined;
    await Promise.all([connection?.requests.destroy(), connection?.watches.destroy()]);
  }

  async #json({ method, path, body, contentType, signal }: ApiRequest): Promise<unknown> {
    const label = `${method} ${path}`;
    const connection = await this.#connect();
    const timeoutMs = this.#options.requestTimeoutMs ?? 30_000;
    let response: Dispatcher.ResponseData;
    let status = 0;
    try {
      response = await request(`${connection.origin}${connection.basePath}${path}`, {
        method,
        headers: {
          ...connection.headers,
          ...(body === undefined ? {} : { 'content-type': contentType ?? 'application/json' }),
        },
        dispatcher: connection.requests,
        ...(signal === undefined ? {} : { signal }),
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      status = response.statusCode;
      if (status < 300) return await response.body.json();
    } catch (error) {
      throw new ConnectionError(label, error);
    } finally {
      this.#told(method, path, connection, status);
    }
    throw await toApiError(label, response);
  }

  #told(method: string, path: string, connection: Connection, status: number): void {
    this.#options.onCall?.({ method, path, status, host: new URL(connection.origin).host });
  }

  async #connect(): Promise<Connection> {
    const stale =
      this.#current !== undefined && this.#options.clock.monotonic() - this.#current.readAtMs > CREDENTIALS_MAX_AGE_MS;
    if (this.#connection === undefined || stale) {
      const opening = this.#open();
      this.#connection = opening;
      opening.catch(() => {
        if (this.#connection === opening) this.#connection = undefined;
      });
    }
    return this.#connection;
  }

  async #open(): Promise<Connection> {
    const previous = this.#current;
    const cluster = this.#config.getCurrentCluster();
    if (cluster === null) throw new Error('the kubeconfig names no cluster: its current context is missing or empty');
    // Counts as read from now on, so that requests that arrive meanwhile share this reading.
    if (previous !== undefined) this.#current = { ...previous, readAtMs: this.#options.clock.monotonic() };
    const tls: TlsOptions = { headers: {} };
    await this.#config.applyToHTTPSOptions(tls);
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': 'fairlead' };
    for (const [name, value] of Object.entries(tls.headers ?? {})) headers[name.toLowerCase()] = String(value).trim();
    const { tokenFile } = this.#config.getCurrentUser()?.authProvider?.config ?? {};
    // The package keeps what it has read of it for a minute of the wall clock, and a token may just have been refused.
    if (tokenFile !== undefined) headers.authorization = `Bearer ${(await readFile(tokenFile, 'utf8')).trim()}`;
    if (typeof tls.auth === 'string') headers.authorization = `Basic ${Buffer.from(tls.auth).toString('base64')}`;
    const tlsIdentity = JSON.stringify([tls.ca, tls.cert, tls.key, tls.servername, tls.rejectUnauthorized].map(String));
    const url = new URL(cluster.server);
    const same = previous !== undefined && previous.tlsIdentity === tlsIdentity;
    const connection: Connection = {
      origin: url.origin,
      basePath: url.pathname.replace(/\/$/, ''),
      headers,
      tlsIdentity,
      readAtMs: this.#options.clock.monotonic(),
      requests: same ? previous.requests : this.#dispatcher(tls, this.#options.maxConnections ?? 32),
      watches: same ? previous.watches : this.#dispatcher(tls, undefined),
    };
    if (previous !== undefined && !same) {
      // What is in flight ends in its own time; watches reconnect with the new certificate when they next end.
      void previous.requests.close().catch(() => undefined);
      void previous.watches.close().catch(() => undefined);
    }
    this.#current = connection;
    return connection;
  }

  #dispatcher(tls: TlsOptions, connections: number | undefined): Dispatcher {
    const wanted = this.#config.createDispatcherOptions(this.#config.getCurrentCluster(), tls as AgentOptions);
    // HTTP/1.1: a connection a watch fails alone, and small requests cost less processor time than as HTTP/2 streams.
    const pool = { connections: connections ?? null, pipelining: 1, keepAliveTimeout: 30_000, allowH2: false };
    const keepAlive = { keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_AFTER_MS };
    switch (wanted.type) {
      case 'agent':
        return new Agent({ ...pool, connect: { ...wanted.connect, ...keepAlive } });
      case 'none':
        return new Agent({ ...pool, connect: keepAlive });
      case 'proxy':
        return new ProxyAgent({ ...pool, uri: wanted.uri, requestTls: { ...wanted.requestTls, ...keepAlive } });
      case 'socks':
        throw new Error(`the kubeconfig asks for the SOCKS proxy ${wanted.uri}; only HTTP proxies are supported`);
    }
  }
}

async function toApiError(label: string, response: Dispatcher.ResponseData): Promise<ApiError> {
  const text = await response.body.text().catch(() => '');
  const retryAfterSeconds = Number(response.headers['retry-after']);
  const retryAfterMs =
    Number.isFinite(retryAfterSeconds) && retryAfterSeconds > 0 ? retryAfterSeconds * 1000 : undefined;
  return new ApiError(label, response.statusCode, parseStatus(text), retryAfterMs);
}

function parseStatus(text: string): StatusBody {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null && 'reason' in body) return body as StatusBody;
  } catch {
    // A proxy in between answers in words.
  }
  return { message: text.slice(0, 500) };
}
