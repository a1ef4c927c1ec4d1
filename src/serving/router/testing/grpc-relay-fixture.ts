import { once } from 'node:events';
import { createServer } from 'node:http2';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { Metadata, type ServiceError } from '@grpc/grpc-js';
import { systemClock } from '../../batching/batcher.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { GrpcRelay } from '../grpc/grpc-relay.ts';
import { GrpcUpstreams } from '../grpc/grpc-upstreams.ts';
import type { Choice, RequestRouter, RouterClock } from '../types.ts';
import { GrpcPod, GrpcTestClient, type PodHandlers } from './grpc-pod.ts';
import { always, grpcTarget, type TargetOptions } from './target-under-test.ts';

export const message = Buffer.from('row');
export const none = new Metadata();

/** Relays, pods and clients of one test; `close` ends them all. */
export class GrpcRelayFixture {
  readonly #ends: (() => void | Promise<void>)[] = [];

  async pod(name: string, handlers: PodHandlers = {}): Promise<GrpcPod> {
    const started = await GrpcPod.start(name, handlers);
    this.onClose(() => started.stop());
    return started;
  }

  async relay(router: RequestRouter, clock: RouterClock = systemClock) {
    // Time stands still for connections: no pod is given up because the machine is slow.
    const upstreams = new GrpcUpstreams(new FakeClock());
    const server = new GrpcRelay({ router, upstreams, clock, random: () => 0.5 });
    const port = await server.listen('127.0.0.1', 0);
    const client = new GrpcTestClient(port);
    this.onClose(() => {
      client.close();
      server.kill();
      upstreams.destroy();
    });
    return { server, client, upstreams, port };
  }

  /** A relay before pods of one revision. */
  async relayTo(ports: readonly number[], rest: Partial<Choice> = {}, options: TargetOptions = {}) {
    const target = grpcTarget('churn-new', ports, options);
    return { target, ...(await this.relay(always(target, rest), options.clock)) };
  }

  /** Accepts connections and refuses every stream before it reads it, as a server with too many does. */
  async refusingServer(): Promise<{ port: number; refused: () => number }> {
    let refused = 0;
    const server = createServer();
    server.on('stream', (stream) => {
      refused++;
      stream.on('error', () => undefined);
      stream.close(7);
    });
    const sessions = new Set<{ destroy(): void }>();
    server.on('session', (session) => sessions.add(session));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.onClose(() => {
      for (const session of sessions) session.destroy();
      server.close();
    });
    return { port: (server.address() as AddressInfo).port, refused: () => refused };
  }

  /** Passes the bytes of one client on to `port`, and those of the test between them. */
  async wire(port: number): Promise<{ readonly port: number; send(bytes: Buffer): void }> {
    const onward = connect(port, '127.0.0.1');
    const server = createTcpServer((client) => {
      client.pipe(onward).pipe(client);
      client.on('error', () => undefined);
    });
    onward.on('error', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.onClose(() => {
      onward.destroy();
      server.close();
    });
    return { port: (server.address() as AddressInfo).port, send: (bytes) => void onward.write(bytes) };
  }

  /** What was started last ends first. */
  onClose(end: () => void | Promise<void>): void {
    this.#ends.push(end);
  }

  async close(): Promise<void> {
    for (const end of this.#ends.toReversed()) await end();
  }
}

/** The error of a call that has to fail. */
export const failure = (call: Promise<unknown>): Promise<ServiceError> =>
  call.then(
    () => Promise.reject(new Error('the call succeeded')),
    (error: ServiceError) => error,
  );
