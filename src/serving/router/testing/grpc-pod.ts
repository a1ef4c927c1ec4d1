import {
  Client,
  type ClientDuplexStream,
  type ClientOptions,
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { asBytes, bytesMethod } from '../../grpc/bytes-method.ts';
import { inferenceMethod } from '../../grpc/inference-method.ts';
import { MODEL_INFER } from '../grpc/methods.ts';

const method = (name: string, requestStream = false, responseStream = false) =>
  bytesMethod(`/test.Pod/${name}`, { requestStream, responseStream });

const SERVICE = {
  Unary: method('Unary'),
  ModelInfer: bytesMethod(MODEL_INFER),
  ServerReady: bytesMethod(inferenceMethod('ServerReady')),
  Collect: method('Collect', true),
  List: method('List', false, true),
  Chat: method('Chat', true, true),
};

type UnaryHandler = (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => void;

export interface PodHandlers {
  readonly unary?: UnaryHandler;
  readonly list?: (call: ServerWritableStream<Buffer, Buffer>) => void;
  readonly chat?: (call: ServerDuplexStream<Buffer, Buffer>) => void;
}

/** A pod that speaks gRPC with a real server: it answers unary calls with its name, and echoes streams. */
export class GrpcPod {
  readonly server: Server;
  readonly port: number;
  calls: number;

  private constructor(server: Server, port: number) {
    this.server = server;
    this.port = port;
    this.calls = 0;
  }

  static async start(name: string, handlers: PodHandlers = {}, port = 0, host = '127.0.0.1'): Promise<GrpcPod> {
    const server = new Server();
    let pod: GrpcPod | undefined;
    const counted =
      <Arguments extends unknown[]>(handle: (...given: Arguments) => void) =>
      (...given: Arguments): void => {
        if (pod !== undefined) pod.calls++;
        handle(...given);
      };
    const unary: UnaryHandler = handlers.unary ?? ((_call, callback) => callback(null, Buffer.from(name)));
    server.addService(SERVICE, {
      Unary: counted(unary),
      ModelInfer: counted(unary),
      ServerReady: counted(unary),
      Collect: counted((call: ServerReadableStream<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
        let bytes = 0;
        call.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
        });
        call.on('end', () => callback(null, Buffer.from(String(bytes))));
      }),
      List: counted(handlers.list ?? ((call: ServerWritableStream<Buffer, Buffer>) => void call.end())),
      Chat: counted(
        handlers.chat ??
          ((call: ServerDuplexStream<Buffer, Buffer>) => {
            call.on('data', (chunk: Buffer) => call.write(chunk));
            call.on('end', () => call.end());
          }),
      ),
    });
    const bound = await new Promise<number>((resolve, reject) =>
      server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error, at) =>
        error === null ? resolve(at) : reject(error),
      ),
    );
    pod = new GrpcPod(server, bound);
    return pod;
  }

  stop(): void {
    this.server.forceShutdown();
  }
}

/** A real client of `GrpcPod`'s service. */
export class GrpcTestClient {
  readonly client: Client;

  /** @param options by default what a router refuses is not tried again */
  constructor(port: number, options: ClientOptions = { 'grpc.enable_retries': 0 }) {
    this.client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), options);
  }

  /** @throws ServiceError with the status of the call. */
  unary(
    request: Buffer,
    metadata: Metadata,
    deadlineMs = 60_000,
    method: 'Unary' | 'ModelInfer' | 'ServerReady' = 'Unary',
  ): Promise<Buffer> {
    const { path } = SERVICE[method];
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + deadlineMs };
      this.client.makeUnaryRequest(path, asBytes, asBytes, request, metadata, options, (error, answer) =>
        answer === undefined ? reject(error) : resolve(answer),
      );
    });
  }

  infer(request: Buffer, metadata: Metadata): Promise<Buffer> {
    return this.unary(request, metadata, undefined, 'ModelInfer');
  }

  /** Sends these messages and takes one answer. */
  collect(messages: readonly Buffer[], metadata: Metadata): Promise<Buffer> {
    const { call, answer } = this.upload(metadata);
    for (const message of messages) call.write(message);
    call.end();
    return answer;
  }

  /** A call that sends messages until it is ended, and takes one answer. */
  upload(metadata: Metadata): { readonly call: ClientWritableStream<Buffer>; readonly answer: Promise<Buffer> } {
    const { promise: answer, resolve, reject } = Promise.withResolvers<Buffer>();
    const call = this.client.makeClientStreamRequest<Buffer, Buffer>(
      SERVICE.Collect.path,
      asBytes,
      asBytes,
      metadata,
      (error, given) => (given === undefined ? reject(error) : resolve(given)),
    );
    return { call, answer };
  }

  list(metadata: Metadata): ClientReadableStream<Buffer> {
    return this.client.makeServerStreamRequest(SERVICE.List.path, asBytes, asBytes, Buffer.alloc(0), metadata);
  }

  chat(metadata: Metadata): ClientDuplexStream<Buffer, Buffer> {
    return this.client.makeBidiStreamRequest(SERVICE.Chat.path, asBytes, asBytes, metadata);
  }

  close(): void {
    this.client.close();
  }
}
