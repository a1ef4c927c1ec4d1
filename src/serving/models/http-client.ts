import { get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { get as getSecurely } from 'node:https';
import { withoutSecrets } from '../../api/without-secrets.ts';
import { LoadFailure } from './failure.ts';
import { TransientError } from './retry.ts';
import type { SourceOptions } from './source.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<IncomingHttpHeaders>;
  /** Throws `TransientError` when the connection drops or stalls. Read it to its end, or `discard` it. */
  readonly body: AsyncIterable<Uint8Array>;
  discard(): void;
}

export interface HttpRequest {
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent to the first host only, never to where a redirect leads. */
  readonly authorization?: string | undefined;
}

export type HttpOptions = Pick<SourceOptions, 'limits' | 'signal'>;

/**
 * One GET that follows a bounded number of redirects, never from https to http.
 * @throws TransientError when the host cannot be reached or does not answer in time.
 * @throws LoadFailure `SourceUnreachable` when redirects do not end.
 */
export async function httpGet(
  url: URL,
  { headers, authorization }: HttpRequest,
  options: HttpOptions,
): Promise<HttpAnswer> {
  let at = url;
  for (let redirects = 0; redirects <= options.limits.maxRedirects; redirects++) {
    const sent = { 'accept-encoding': 'identity', 'user-agent': 'fairlead', ...headers };
    const credentials = authorization !== undefined && at.origin === url.origin ? { authorization } : undefined;
    const answer = await send(at, { ...sent, ...credentials }, options);
    const location = answer.headers.location;
    if (![301, 302, 303, 307, 308].includes(answer.status) || typeof location !== 'string') return answer;
    answer.discard();
    const next = URL.canParse(location, at.href) ? new URL(location, at.href) : undefined;
    const allowed = next?.protocol === 'https:' || (next?.protocol === 'http:' && at.protocol === 'http:');
    if (next === undefined || !allowed) {
      throw new LoadFailure(
        'SourceUnreachable',
        `${shown(at)} redirects to ${withoutSecrets(location)}, which is not followed`,
      );
    }
    at = next;
  }
  throw new LoadFailure('SourceUnreachable', `${shown(url)} redirects more than ${options.limits.maxRedirects} times`);
}

/**
 * What an HTTP status other than success means for a model.
 * @returns a `TransientError` for what may heal in seconds.
 */
export function statusFailure(status: number, what: string, detail = ''): LoadFailure | TransientError {
  const text = `${what} answered ${status}${detail === '' ? '' : `: ${detail}`}`;
  if (status === 404 || status === 410) return new LoadFailure('ModelNotFound', text);
  if (status === 401 || status === 403) return new LoadFailure('AccessDenied', `${text}; check credentialsRef`);
  if (status === 408 || status === 425 || status === 429 || status >= 500) return new TransientError(text);
  return new LoadFailure('SourceUnreachable', text);
}

/** The whole of a small body. @throws LoadFailure when it is larger than `maxBytes`. */
export async function bodyBytes({ body }: Pick<HttpAnswer, 'body'>, maxBytes: number, what: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxBytes) throw new LoadFailure('InvalidModel', `${what} is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The URL's length header as a number of bytes, where there is a sound one. */
export function contentLength({ headers }: Pick<HttpAnswer, 'headers'>): number | undefined {
  const value = headers['content-length'];
  return typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : undefined;
}

/** For servers that know no ranges: the whole body again, less what has been read. */
export async function* skipped(body: AsyncIterable<Uint8Array>, skipBytes: number): AsyncGenerator<Uint8Array> {
  let leftBytes = skipBytes;
  for await (const chunk of body) {
    if (leftBytes < chunk.byteLength) yield leftBytes === 0 ? chunk : chunk.subarray(leftBytes);
    leftBytes = Math.max(0, leftBytes - chunk.byteLength);
  }
}

/** Node's own client: undici costs an idle server 16 MB more of memory (docs/decisions/0032). */
function send(
  url: URL,
  headers: Readonly<Record<string, string>>,
  { limits, signal }: HttpOptions,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const open = url.protocol === 'https:' ? getSecurely : get;
    const request = open(url, { headers, signal, timeout: limits.idleTimeoutMs }, (answer) => {
      resolve({
        status: answer.statusCode ?? 0,
        headers: answer.headers,
        body: guarded(answer, signal),
        discard: () => void answer.destroy(),
      });
    });
    // Also amid the body: then this error is what reading it throws.
    request.on('timeout', () => request.destroy(new StalledError(limits.idleTimeoutMs)));
    request.on('error', (error) => reject(connectionFailure(error, url, signal)));
  });
}

async function* guarded(body: IncomingMessage, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* body as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw connectionFailure(error, undefined, signal);
  }
}

class StalledError extends Error {
  constructor(idleTimeoutMs: number) {
    super(`nothing came for ${idleTimeoutMs} ms`);
  }
}

/** Names of system errors, in words a person can act on. */
const CONNECTION_ERRORS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name could not be looked up',
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset',
  EHOSTUNREACH: 'the host is unreachable',
  ENETUNREACH: 'the network is unreachable',
  ETIMEDOUT: 'the connection timed out',
};

function connectionFailure(error: unknown, url: URL | undefined, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof TransientError || error instanceof LoadFailure) return error;
  const words = CONNECTION_ERRORS[errorCode(error)] ?? (error instanceof Error ? error.message : String(error));
  return new TransientError(url === undefined ? words : `${url.host}: ${words}`, { cause: error });
}

function errorCode(error: unknown): string {
  if (error instanceof AggregateError) return errorCode(error.errors[0]);
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function shown(url: URL): string {
  return withoutSecrets(url.href);
}
