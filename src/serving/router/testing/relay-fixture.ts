import { once } from 'node:events';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { systemClock } from '../../batching/batcher.ts';
import { EndpointPool } from '../balancing/endpoint-pool.ts';
import { HttpRelay } from '../http1/http-relay.ts';
import type { ClientTimes } from '../http1/relay-surroundings.ts';
import { HttpUpstreams } from '../http1/upstreams.ts';
import type { Choice, RequestOutcome, RequestRouter, RouterClock, Target, WaitingRoom } from '../types.ts';

/** The shortest answer with a body. */
export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** Everything that listens on this machine for one test; `close` ends it all. */
export class RelayFixture {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  /** A pod that answers by hand, on a socket. Its port is its place among the endpoints. */
  async pod(serve: (socket: Socket) => void): Promise<number> {
    return this.#listen(createServer({ noDelay: true }, serve));
  }

  /** A pod that answers by node:http. */
  async httpPod(serve: RequestListener): Promise<number> {
    return this.#listen(createHttpServer(serve));
  }

  /** A pod that keeps what it is sent, and does `act` with each piece of it. */
  async recordingPod(act: (socket: Socket, seen: readonly string[]) => void): Promise<RecordingPod> {
    const seen: string[] = [];
    const port = await this.pod((socket) => {
      socket.on('data', (data) => {
        seen.push(data.toString('latin1'));
        act(socket, seen);
      });
    });
    return { port, seen };
  }

  /** A pod that answers each request with its target and body, in chunks where the target asks for it. */
  async echoPod(): Promise<number> {
    return this.httpPod((request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => {
        const body = Buffer.concat(pieces);
        if (request.url?.startsWith('/chunks') === true) {
          response.write(`${request.url} `);
          response.end(body);
        } else {
          response.setHeader('Content-Length', (request.url ?? '').length + 1 + body.length);
          response.end(`${request.url} ${body}`);
        }
      });
    });
  }

  /** A relay that sends everything where `choice` says, and to `choiceAgain` what loses its last pod there. */
  async relay(
    choice: Choice,
    { clock = systemClock, times = {}, choiceAgain = choice }: RelayFixtureOptions = {},
  ): Promise<RunningRelay> {
    const upstreams = new HttpUpstreams({ clock, connectTimeoutMs: 60_000 });
    for (const { pool } of [choice.target, ...choice.elsewhere]) pool.watch(upstreams);
    const router: RequestRouter = { choose: (_fields, lost) => (lost === undefined ? choice : choiceAgain) };
    const relay = new HttpRelay({ router, upstreams, clock, random: () => 0.5, times });
    const port = await this.#listen(createServer({ noDelay: true }, (socket) => relay.accept(socket)));
    return { port, relay, upstreams };
  }

  /** Sends `pieces` and resolves to all that comes back until the connection ends. */
  async raw(port: number, ...pieces: readonly (string | Buffer)[]): Promise<string> {
    const socket = this.client(port);
    let answer = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      answer += text;
    });
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    for (const piece of pieces) {
      if (socket.destroyed) break;
      socket.write(piece, 'latin1');
      await new Promise((resolve) => setImmediate(resolve));
    }
    await closed;
    return answer;
  }

  client(port: number): Socket {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#sockets.add(socket);
    return socket;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  async #listen(server: Server): Promise<number> {
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }
}

export interface RecordingPod {
  readonly port: number;
  /** The bytes that came, as Latin-1, in the pieces in which they came. */
  readonly seen: readonly string[];
}

export interface RelayFixtureOptions {
  readonly clock?: RouterClock;
  readonly times?: Partial<ClientTimes>;
  readonly choiceAgain?: Choice;
}

export interface RunningRelay {
  readonly port: number;
  readonly relay: HttpRelay;
  readonly upstreams: HttpUpstreams;
}

export interface TargetFixture extends Target {
  readonly pool: EndpointPool;
  /** How its requests ended, in order. */
  readonly outcomes: RequestOutcome[];
  readonly copies: { readonly outcome: 'success' | 'error' | 'dropped'; readonly agreed?: boolean | undefined }[];
}

export interface TargetOptions {
  readonly revision?: string;
  readonly maxInFlight?: number;
  readonly room?: WaitingRoom;
  readonly clock?: RouterClock;
}

/** A revision whose pods listen on these ports of this machine. */
export function targetOf(ports: readonly number[], options: TargetOptions = {}): TargetFixture {
  const { revision = 'm-1', maxInFlight = 100, room = { waiting: 0, max: 10 }, clock = systemClock } = options;
  const outcomes: RequestOutcome[] = [];
  const copies: TargetFixture['copies'] = [];
  const pool = new EndpointPool({ clock, maxInFlight, room });
  pool.update(ports.map((http) => ({ address: '127.0.0.1', ports: { http } })));
  return {
    modelDeployment: 'm',
    revision,
    pool,
    outcomes,
    copies,
    observer: {
      ended: (outcome) => outcomes.push(outcome),
      mirrored: (outcome, _seconds, agreed) => copies.push({ outcome, agreed }),
      mirrorDropped: () => copies.push({ outcome: 'dropped' }),
    },
  };
}

export function choiceOf(target: Target, choice: Partial<Choice> = {}): Choice {
  return { target, elsewhere: [], maxBodyBytes: 10_000, timeoutMs: 30_000, ...choice };
}
