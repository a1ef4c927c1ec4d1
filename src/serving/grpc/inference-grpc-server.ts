import {
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js';
import { MAX_CONNECTION_AGE_MS } from '../connection-age.ts';
import { type InferenceError, type InferenceErrorCode, toInferenceError } from '../inference-error.ts';
import { FREE_ANSWER_BYTES, MemoryBudget } from '../memory-budget.ts';
import type { ModelSet } from '../model-set.ts';
import type { Client } from '../predictor.ts';
import { modelMetadata, serverMetadata } from '../protocol/metadata.ts';
import type { Readiness } from '../readiness.ts';
import type { Tensor } from '../tensor.ts';
import { bytesMethod } from './bytes-method.ts';
import { readingMessage, readModelInferRequest } from './infer-message-reader.ts';
import { decodedBytes, type GrpcQuestion, readGrpcQuestion, writeGrpcAnswer } from './infer-messages.ts';
import { inferenceMethod } from './inference-method.ts';
import { chargeAnswer, chargeOf, FREE_BYTES, messageBudget } from './message-budget.ts';
import {
  decodeModelMetadataRequest,
  decodeModelReadyRequest,
  encodeModelMetadataResponse,
  encodeReadyResponse,
  encodeServerLiveResponse,
  encodeServerMetadataResponse,
} from './messages.ts';

const STATUS: Readonly<Record<InferenceErrorCode, status>> = {
  InvalidArgument: status.INVALID_ARGUMENT,
  NotFound: status.NOT_FOUND,
  MethodNotAllowed: status.UNIMPLEMENTED,
  UnsupportedMediaType: status.INVALID_ARGUMENT,
  TooLarge: status.RESOURCE_EXHAUSTED,
  QueueFull: status.RESOURCE_EXHAUSTED,
  Unavailable: status.UNAVAILABLE,
  Cancelled: status.CANCELLED,
  ModelFailed: status.INTERNAL,
};

export interface InferenceGrpcOptions {
  readonly models: ModelSet;
  readonly readiness: Readiness;
  readonly maxRequestBytes: number;
  /** Memory that long messages of all connections together may take, what their typed fields become, and long answers. */
  readonly maxMessageBytes: number;
  readonly serverVersion: string;
}

/** Calls that one connection may have open; a client with more waits by itself. */
const MAX_STREAMS = 256;
/** A client that does not answer a ping is gone. */
const KEEPALIVE_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
/** How long a message may take to arrive, as a request by REST. */
const MAX_RECEIVE_MS = 60_000;
/** Calls that stall end with their connection. */
const MAX_CALL_AGE_MS = 5 * 60_000;

type Handler = (request: Buffer, call: ServerUnaryCall<Buffer, Buffer>) => Buffer | Promise<Buffer>;

/** The gRPC front end. Messages are read and written in the handlers, so that a bad one is the client's error. */
export class InferenceGrpcServer {
  readonly #server: Server;
  readonly #options: InferenceGrpcOptions;
  readonly #messages: MemoryBudget;

  constructor(options: InferenceGrpcOptions) {
    this.#options = options;
    this.#messages = new MemoryBudget('messages', options.maxMessageBytes);
    this.#server = new Server({
      interceptors: [messageBudget({ budget: this.#messages, maxReceiveMs: MAX_RECEIVE_MS })],
      'grpc.max_receive_message_length': options.maxRequestBytes,
      'grpc.max_send_message_length': -1,
      'grpc.max_concurrent_streams': MAX_STREAMS,
      'grpc.keepalive_time_ms': KEEPALIVE_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
      // grpc-js itself has them differ by a tenth.
      'grpc.max_connection_age_ms': MAX_CONNECTION_AGE_MS,
      'grpc.max_connection_age_grace_ms': MAX_CALL_AGE_MS,
      // Bookkeeping of every call for a debugging service that is not offered here.
      'grpc.enable_channelz': 0,
    });
    const handlers: Readonly<Record<string, Handler>> = {
      ServerLive: () => encodeServerLiveResponse({ live: true }),
      ServerReady: () => encodeReadyResponse({ ready: options.readiness.isReady }),
      ModelReady: (request) => this.#modelReady(request),
      ServerMetadata: () => encodeServerMetadataResponse(serverMetadata(options.serverVersion)),
      ModelMetadata: (request) => this.#modelMetadata(request),
      ModelInfer: (request, call) => this.#modelInfer(request, call),
    };
    const names = Object.keys(handlers);
    const definition: ServiceDefinition = Object.fromEntries(
      names.map((name) => [name, bytesMethod(inferenceMethod(name))]),
    );
    this.#server.addService(
      definition,
      Object.fromEntries(Object.entries(handlers).map(([name, handler]) => [name, unary(handler)])),
    );
  }

  /** Listens; resolves to the port. */
  async listen(host: string, port: number): Promise<number> {
    const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
    return promise;
  }

  /** Tells clients by GOAWAY to go elsewhere, and resolves once every call is answered. */
  async stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    // An error only says that the server was not listening: then there is nothing to wait for.
    this.#server.tryShutdown(() => resolve());
    await promise;
  }

  /** Ends every connection now. */
  kill(): void {
    this.#server.forceShutdown();
  }

  #modelReady(request: Buffer): Buffer {
    const { name, version } = readingMessage(() => decodeModelReadyRequest(request));
    return encodeReadyResponse({ ready: this.#options.models.readiness(name, version || undefined).isReady });
  }

  #modelMetadata(request: Buffer): Buffer {
    const { name, version } = readingMessage(() => decodeModelMetadataRequest(request));
    const predictor = this.#options.models.find(name, version || undefined);
    return encodeModelMetadataResponse(modelMetadata(predictor, this.#options.models.versions(predictor.name)));
  }

  async #modelInfer(bytes: Buffer, call: ServerUnaryCall<Buffer, Buffer>): Promise<Buffer> {
    const request = readModelInferRequest(bytes);
    const predictor = this.#options.models.find(request.modelName, request.modelVersion || undefined);
    const client: Client = { onGone: undefined };
    // The deadline that the client set ends a call the same way as its going away.
    call.on('cancelled', () => client.onGone?.());
    let chargedBytes = 0;
    const read = () => {
      const question = readGrpcQuestion(predictor.signature, request);
      const bytes = decodedBytes(question);
      if (bytes > FREE_BYTES) {
        this.#messages.take(bytes);
        chargedBytes = bytes;
      }
      return question;
    };
    const write = (question: GrpcQuestion, outputs: readonly Tensor[]) => {
      const answer = writeGrpcAnswer(predictor, question, outputs);
      if (answer.length > FREE_ANSWER_BYTES) {
        chargeAnswer(this.#messages, call, answer.length, chargeOf(bytes.length) + chargedBytes);
      }
      return answer;
    };
    try {
      return await predictor.serve(client, read, write);
    } finally {
      this.#messages.release(chargedBytes);
    }
  }
}

function unary(handler: Handler): handleUnaryCall<Buffer, Buffer> {
  return (call, callback) => {
    const refuse = (cause: unknown): void => {
      const error: InferenceError = toInferenceError(cause);
      callback({ code: STATUS[error.code], details: error.message });
    };
    try {
      const answer = handler(call.request, call);
      if (answer instanceof Promise) answer.then((bytes) => callback(null, bytes), refuse);
      else callback(null, answer);
    } catch (cause) {
      refuse(cause);
    }
  };
}
