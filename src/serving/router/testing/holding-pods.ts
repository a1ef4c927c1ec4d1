import { once } from 'node:events';
import { createServer } from 'node:http';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { Agent, request } from 'undici';
import { GrpcPod, GrpcTestClient } from './grpc-pod.ts';

/** How a request ended, as its client sees it. `unavailable`: nobody could be asked; `broken`: who was asked did not answer. */
export type Ending = 'answered' | 'unavailable' | 'broken';

/** A request that a pod has wholly read, and has not answered. */
export interface Held {
  readonly id: string;
  readonly revision: string;
  readonly address: string;
  answer(): void;
}

export interface HoldingPod {
  /** Ends at once with everything that it has. */
  kill(): void | Promise<void>;
}

export interface AskingClient {
  ask(id: string): Promise<Ending>;
  close(): void | Promise<void>;
}

/** One protocol's pods, which hold what they are asked until they are told to answer, and its client. */
export interface HeldTraffic {
  pod(revision: string, address: string, port: number, onHeld: (held: Held) => void): Promise<HoldingPod>;
  client(port: number): AskingClient;
}

export const heldHttp: HeldTraffic = {
  async pod(revision, address, port, onHeld) {
    const server = createServer((incoming, response) => {
      incoming.resume().once('end', () => {
        const id = String(incoming.headers['x-user-id']);
        onHeld({ id, revision, address, answer: () => response.end(revision) });
      });
    }).listen(port, address);
    await once(server, 'listening');
    return {
      async kill() {
        const closed = once(server, 'close');
        server.close();
        server.closeAllConnections();
        await closed;
      },
    };
  },
  client(port) {
    const dispatcher = new Agent();
    return {
      async ask(id) {
        const { statusCode, body } = await request(`http://127.0.0.1:${port}/predict`, {
          method: 'POST',
          body: '{}',
          headers: { 'x-user-id': id },
          dispatcher,
        });
        const text = await body.text();
        if (statusCode === 200) return 'answered';
        if (statusCode === 502) return 'broken';
        if (statusCode === 503) return 'unavailable';
        throw new Error(`${statusCode} ${text}`);
      },
      close: () => dispatcher.destroy(),
    };
  },
};

export const heldGrpc: HeldTraffic = {
  async pod(revision, address, port, onHeld) {
    const pod = await GrpcPod.start(
      revision,
      {
        unary: (call, callback) =>
          onHeld({
            id: call.request.toString(),
            revision,
            address,
            answer: () => callback(null, Buffer.from(revision)),
          }),
      },
      port,
      address,
    );
    return { kill: () => pod.stop() };
  },
  client(port) {
    const client = new GrpcTestClient(port);
    return {
      async ask(id) {
        const metadata = new Metadata();
        metadata.set('x-user-id', id);
        try {
          await client.unary(Buffer.from(id), metadata, 60_000);
          return 'answered';
        } catch (error) {
          const { code, details } = error as ServiceError;
          if (code !== status.UNAVAILABLE) throw error;
          return details.includes('broke') ? 'broken' : 'unavailable';
        }
      },
      close: () => client.close(),
    };
  },
};
