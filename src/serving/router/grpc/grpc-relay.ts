import {
  createServer,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import { connectionAgeMs } from '../../connection-age.ts';
import type { RequestFields, RequestRouter, RouterClock } from '../types.ts';
import { GrpcCall } from './grpc-call.ts';
import { GrpcMirror, type MirrorSurroundings } from './grpc-mirror.ts';
import { GRPC_STATUS, trailersOnly } from './grpc-status.ts';
import type { GrpcUpstreams } from './grpc-upstreams.ts';
import { asksAboutServer } from './methods.ts';

/** Calls that one connection may have open; a client with more waits by itself. */
const MAX_STREAMS = 1024;
/** What a client may send on one call before it waits for us to read. */
const STREAM_WINDOW_BYTES = 256 * 2 ** 10;
const TCP_KEEP_ALIVE_AFTER_MS = 60_000;
const MAX_HEADER_PAIRS = 256;
/** How long a relay that closes waits for connections on which nothing is open any more: other ends of some never end theirs. */
const LINGER_MS = 2_000;
const NO_ENSEMBLE =
  'an ensemble answers over REST only: ask the same name by HTTP, POST /v2/models/MODEL/infer, or one of its members by gRPC';

export interface GrpcRelayOptions {
  readonly router: RequestRouter;
  readonly upstreams: GrpcUpstreams;
  readonly clock: RouterClock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** The gRPC front of one ModelDeployment: HTTP/2 without TLS, calls of any method, messages unread. */
export class GrpcRelay {
  readonly #options: GrpcRelayOptions;
  readonly #mirrors: MirrorSurroundings;
  readonly #server: Http2Server;
  /** Connections, and when each is to be renewed. */
  readonly #sessions = new Map<Http2Session, number>();
  #calls = 0;
  #isClosing = false;
  #onClosed: (() => void) | undefined;
  #cancelLinger: (() => void) | undefined;

  constructor(options: GrpcRelayOptions) {
    const { clock, upstreams } = options;
    this.#options = options;
    this.#mirrors = { clock, upstreams, budget: upstreams.budget, copies: 0 };
    this.#server = createServer({
      settings: { maxConcurrentStreams: MAX_STREAMS, initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false },
      maxHeaderListPairs: MAX_HEADER_PAIRS,
    });
    this.#server.on('connection', (socket: Socket) => {
      socket.setNoDelay(true).setKeepAlive(true, TCP_KEEP_ALIVE_AFTER_MS);
    });
    this.#server.on('session', (session) => this.#onSession(session));
    this.#server.on('stream', (stream, headers) => this.#onStream(stream, headers));
    // Clients that break the protocol end their own connection.
    this.#server.on('sessionError', () => undefined);
  }

  /** Calls that are not over, or whose answers have not left. */
  get inFlight(): number {
    return this.#calls;
  }

  /** Listens; resolves to the port. @throws Error when the port is taken. */
  async listen(host: string, port: number): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#server.once('error', reject);
    this.#server.listen(port, host, () => {
      this.#server.off('error', reject);
      const address = this.#server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
    return promise;
  }

  /** Takes no new connections, tells clients by GOAWAY to go elsewhere, and resolves once every answer has left. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#server.close();
    for (const session of this.#sessions.keys()) session.close();
    await new Promise<void>((resolve) => {
      this.#onClosed = resolve;
      this.#endIfIdle();
    });
    this.#cancelLinger?.();
  }

  /** Ends every connection now. */
  kill(): void {
    this.#server.close();
    for (const session of this.#sessions.keys()) session.destroy();
  }

  #onSession(session: Http2Session): void {
    const { clock, random } = this.#options;
    this.#sessions.set(session, clock.nowMs() + connectionAgeMs(random));
    session.once('close', () => {
      this.#sessions.delete(session);
      this.#endIfIdle();
    });
    session.on('error', () => undefined);
    if (this.#isClosing) session.close();
  }

  #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const { router, clock, upstreams } = this.#options;
    // A stream that its client resets errs, whether or not anyone has answered it.
    stream.on('error', () => undefined);
    if (stream.destroyed || stream.closed) {
      stream.destroy();
      return;
    }
    this.#calls++;
    // Not when the call is over: its trailers leave in a later turn, and a connection that ended before would lose them.
    stream.once('close', () => {
      this.#calls--;
      this.#endIfIdle();
    });
    this.#renew(stream.session);
    const contentType = headers['content-type'];
    if (contentType?.startsWith('application/grpc') !== true || headers[':method'] !== 'POST') {
      stream.respond({ ':status': 415, 'accept-post': 'application/grpc' }, { endStream: true });
      return;
    }
    const fields = new MetadataFields(headers);
    const choice = router.choose(fields);
    if ('reason' in choice) {
      refuse(stream, GRPC_STATUS.unavailable, choice.reason);
      return;
    }
    const isInference = !asksAboutServer(headers[':path']);
    if (isInference && choice.ensemble !== undefined) {
      refuse(stream, GRPC_STATUS.unimplemented, NO_ENSEMBLE);
      return;
    }
    const { mirror } = choice;
    // What is asked of the server itself has no answer to compare.
    const listener = isInference && mirror ? new GrpcMirror(this.#mirrors, mirror, choice, headers) : undefined;
    new GrpcCall(stream, headers, choice, {
      clock,
      upstreams,
      listener,
      chooseAgain: (lost) => router.choose(fields, lost),
    });
  }

  /** Once a connection is old enough, the call that begins on it is its last: only then nothing can be on its way unseen. */
  #renew(session: Http2Session | undefined): void {
    const renewAtMs = session && this.#sessions.get(session);
    if (renewAtMs !== undefined && this.#options.clock.nowMs() >= renewAtMs) session?.close();
  }

  #endIfIdle(): void {
    if (!this.#isClosing || this.#calls > 0) return;
    if (this.#sessions.size === 0) this.#onClosed?.();
    else this.#cancelLinger ??= this.#options.clock.afterDelay(LINGER_MS, () => this.#onClosed?.());
  }
}

function refuse(stream: ServerHttp2Stream, status: number, message: string): void {
  stream.respond(trailersOnly(status, message), { endStream: true });
}

class MetadataFields implements RequestFields {
  readonly #headers: IncomingHttpHeaders;

  constructor(headers: IncomingHttpHeaders) {
    this.#headers = headers;
  }

  get(name: string): string | undefined {
    const value = this.#headers[name];
    return Array.isArray(value) ? value[0] : value;
  }
}
