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
  #onIdle: (() => void) | undefined;

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

  /** Calls that are not over. */
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

  /** Takes no new connections, tells clients by GOAWAY to go elsewhere, and resolves once every call is over. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#server.close();
    for (const session of this.#sessions.keys()) session.close();
    if (this.#calls === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  /** Ends every connection now. */
  kill(): void {
    this.#server.close();
    for (const session of this.#sessions.keys()) session.destroy();
  }

  #onSession(session: Http2Session): void {
    const { clock, random } = this.#options;
    this.#sessions.set(session, clock.nowMs() + connectionAgeMs(random));
    session.once('close', () => this.#sessions.delete(session));
    session.on('error', () => undefined);
    if (this.#isClosing) session.close();
  }

  #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const { router, clock, upstreams } = this.#options;
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
    this.#calls++;
    new GrpcCall(stream, headers, choice, {
      clock,
      upstreams,
      listener,
      chooseAgain: (lost) => router.choose(fields, lost),
      onEnd: () => this.#onCallEnd(),
    });
  }

  /** Once a connection is old enough, the call that begins on it is its last: only then nothing can be on its way unseen. */
  #renew(session: Http2Session | undefined): void {
    const renewAtMs = session && this.#sessions.get(session);
    if (renewAtMs !== undefined && this.#options.clock.nowMs() >= renewAtMs) session?.close();
  }

  #onCallEnd(): void {
    this.#calls--;
    if (this.#calls === 0) this.#onIdle?.();
  }
}

function refuse(stream: ServerHttp2Stream, status: number, message: string): void {
  stream.on('error', () => undefined);
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
