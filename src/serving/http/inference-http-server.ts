import { createServer, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { BatchClock } from '../batching/batcher.ts';
import { connectionAgeMs } from '../connection-age.ts';
import { InferenceError, type InferenceErrorCode, invalid, quoted, toInferenceError } from '../inference-error.ts';
import { FREE_ANSWER_BYTES, MemoryBudget } from '../memory-budget.ts';
import type { ModelSet } from '../model-set.ts';
import type { Predictor } from '../predictor.ts';
import { type InferRequest, readInferRequest } from '../protocol/infer-request.ts';
import { type InferResponseBody, InferResponseWriter } from '../protocol/infer-response.ts';
import { modelMetadata, serverMetadata } from '../protocol/metadata.ts';
import { readRows, writeRows } from '../protocol/rows.ts';
import type { Readiness } from '../readiness.ts';
import { BodyRequest } from './body-request.ts';
import { httpStatus, retryAfterSeconds, unreadableRequest } from './http-status.ts';
import { isPredictRoute, methodOf, type PredictRoute, type Route, Router } from './routes.ts';

export interface InferenceHttpOptions {
  readonly models: ModelSet;
  readonly readiness: Readiness;
  readonly maxRequestBytes: number;
  /** Memory for the larger bodies and answers of all connections together. */
  readonly maxBodyBytes: number;
  readonly serverVersion: string;
  readonly clock: Pick<BatchClock, 'nowMs'>;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Is told of each request that is refused before a model is asked. */
  readonly onRefused: (code: InferenceErrorCode) => void;
}

/** A client must have sent its headers, and its whole request, by then; an idle connection is closed after a while. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 60_000;
/** A connection on which nothing moves, while its client does not read its answer, is closed after so long. */
const SILENCE_TIMEOUT_MS = 300_000;
const MAX_CONNECTIONS = 10_000;
/** Longer than the idle timeouts of usual proxies and clients, so that they, who know, close first. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
/** After a refusal the rest of the body is read and thrown away so long, for the client to see the answer. */
const LINGER_MS = 2_000;

/** As `src/serving/router/http1/response-head.ts` reads it. */
const UNPROCESSED_HEADER = 'Fairlead-Unprocessed';
const JSON_HEADER_LENGTH = 'inference-header-content-length';

type Response = ServerResponse<BodyRequest>;

/** The REST front end: Open Inference Protocol v2 with binary tensors, rows, health. */
export class InferenceHttpServer {
  readonly server: Server<typeof BodyRequest, typeof ServerResponse>;
  readonly #options: InferenceHttpOptions;
  readonly #router = new Router();
  readonly #bodies: MemoryBudget;
  /** When each connection is to be renewed. */
  readonly #renewAtMs = new WeakMap<Socket, number>();
  readonly #writers = new WeakMap<Predictor, InferResponseWriter>();

  constructor(options: InferenceHttpOptions) {
    this.#options = options;
    this.#bodies = new MemoryBudget('bodies and answers', options.maxBodyBytes);
    this.server = createServer(
      {
        IncomingMessage: BodyRequest,
        headersTimeout: HEADERS_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
        // Asked for in `checkHeaders`, which says what is missing.
        requireHostHeader: false,
        noDelay: true,
      },
      (request, response) => this.#handle(request, response),
    );
    this.server.timeout = SILENCE_TIMEOUT_MS;
    this.server.maxConnections = MAX_CONNECTIONS;
    const { clock, random } = options;
    this.server.on('connection', (socket: Socket) => {
      this.#renewAtMs.set(socket, clock.nowMs() + connectionAgeMs(random));
    });
    this.server.on('clientError', (error: NodeJS.ErrnoException, socket: UnreadableSocket) => {
      this.#refuseUnreadable(error, socket);
    });
    this.server.on('checkContinue', (request: BodyRequest, response: Response) => {
      if (request.declaredBytes <= this.#options.maxRequestBytes) response.writeContinue();
      this.#handle(request, response);
    });
  }

  #handle(request: BodyRequest, response: Response): void {
    request.receive(this.#options.maxRequestBytes, this.#bodies, {
      complete: (body) => {
        if (request.isCharged) response.once('close', () => request.release());
        this.#answer(request, response, body);
      },
      refused: (error) => {
        this.#options.onRefused(error.code);
        this.#refuseEarly(response, error);
      },
      discarded: () => response.end(),
    });
  }

  #answer(request: BodyRequest, response: Response, body: Buffer): void {
    try {
      const route = this.#router.route(request.url ?? '/');
      checkHeaders(route, request);
      if (isPredictRoute(route)) {
        void this.#predict(route, request, response, body);
        return;
      }
      const { status, json } = this.#describe(route);
      this.#send(response, status, JSON.stringify(json));
    } catch (cause) {
      const error = toInferenceError(cause);
      this.#options.onRefused(error.code);
      this.#refuse(response, error);
    }
  }

  /** What the server says of itself and its models. */
  #describe(route: Exclude<Route, PredictRoute>): { status: number; json: unknown } {
    const { models, readiness, serverVersion } = this.#options;
    const status = readiness.isReady ? 200 : 503;
    switch (route.kind) {
      case 'live':
        return { status: 200, json: { live: true } };
      case 'ready':
        return { status, json: { ready: readiness.isReady } };
      case 'health':
        return { status, json: { status: readiness.phase } };
      case 'server-metadata':
        return { status: 200, json: serverMetadata(serverVersion) };
      case 'model-ready': {
        const { name, isReady } = models.readiness(route.model, route.version);
        return { status: isReady ? 200 : 503, json: { name, ready: isReady } };
      }
      case 'model-metadata': {
        const predictor = this.#options.models.find(route.model, route.version);
        return { status: 200, json: modelMetadata(predictor, models.versions(predictor.name)) };
      }
    }
  }

  async #predict(route: PredictRoute, request: BodyRequest, response: Response, body: Buffer): Promise<void> {
    try {
      const predictor = this.#options.models.find(route.model, route.version);
      if (route.kind === 'infer') this.#sendInference(response, await this.#infer(predictor, request, response, body));
      else
        this.#send(
          response,
          200,
          await this.#predictRows(predictor, request, response, body, route.kind === 'predict'),
        );
    } catch (cause) {
      this.#refuse(response, toInferenceError(cause));
    }
  }

  #infer(predictor: Predictor, request: BodyRequest, response: Response, body: Buffer): Promise<Answer> {
    return predictor.serve(
      request,
      () => readInferRequest(predictor.signature, body, jsonLength(request)),
      (question: InferRequest, outputs) => {
        const answer = this.#writer(predictor).write(question.id, outputs, question.binaryOutputs);
        const json = chargeAnswer(request, response, answer.json, answer.binary);
        return json === answer.json ? answer : { json, binary: answer.binary };
      },
    );
  }

  #predictRows(
    predictor: Predictor,
    request: BodyRequest,
    response: Response,
    body: Buffer,
    allowSingle: boolean,
  ): Promise<string | Buffer> {
    return predictor.serve(
      request,
      () => {
        const rows = readRows(predictor.signature, body);
        if (rows.single && !allowSingle) throw invalid('/batch_predict takes "instances", an array of rows');
        return { ...rows, outputNames: predictor.signature.outputNames };
      },
      (question, outputs) =>
        chargeAnswer(request, response, writeRows(this.#writer(predictor).head, question, outputs), NONE_BINARY),
    );
  }

  #writer(predictor: Predictor): InferResponseWriter {
    const known = this.#writers.get(predictor);
    if (known !== undefined) return known;
    const writer = new InferResponseWriter(predictor.name, predictor.version, predictor.signature.outputs);
    this.#writers.set(predictor, writer);
    return writer;
  }

  #sendInference(response: Response, { json, binary }: Answer): void {
    if (response.destroyed) return;
    if (binary.length === 0) {
      this.#send(response, 200, json);
      return;
    }
    const head = typeof json === 'string' ? Buffer.from(json, 'utf8') : json;
    const body = Buffer.concat([head, ...binary]);
    response.writeHead(200, [
      ...this.#connection(response),
      'Content-Type',
      'application/octet-stream',
      'Inference-Header-Content-Length',
      String(head.length),
      'Content-Length',
      String(body.length),
    ]);
    response.end(body);
  }

  #send(response: Response, status: number, json: string | Buffer, extra: readonly string[] = []): void {
    // The client has gone meanwhile.
    if (response.destroyed) return;
    const length = Buffer.byteLength(json);
    response.writeHead(status, [
      ...this.#connection(response),
      ...extra,
      'Content-Type',
      'application/json',
      'Content-Length',
      String(length),
    ]);
    if (typeof json !== 'string') response.end(json);
    // Pure ASCII, the usual case, is written with its headers in one piece and without transcoding.
    else response.end(json, length === json.length ? 'latin1' : 'utf8');
  }

  #refuse(response: Response, error: InferenceError): void {
    this.#send(
      response,
      httpStatus(error),
      JSON.stringify({ error: error.message }),
      retryHeaders(error, response.req),
    );
  }

  /**
   * Answers before the body is over. A connection closed with unread data is reset, and a reset may overtake the answer;
   * so what still comes is read and thrown away for a moment before the response, already complete, is ended.
   */
  #refuseEarly(response: Response, error: InferenceError): void {
    const json = JSON.stringify({ error: error.message });
    response.writeHead(httpStatus(error), [
      'Connection',
      'close',
      ...retryHeaders(error, response.req),
      'Content-Type',
      'application/json',
      'Content-Length',
      String(Buffer.byteLength(json)),
    ]);
    response.write(json);
    const timer = setTimeout(() => response.end(), LINGER_MS);
    response.once('close', () => clearTimeout(timer));
  }

  /** Answers what is no HTTP, after which nobody can tell where a next request would begin. */
  #refuseUnreadable(cause: NodeJS.ErrnoException, socket: UnreadableSocket): void {
    // Amid an answer, an error would be read as a part of it.
    if (!socket.writable || cause.code === 'ECONNRESET' || socket._httpMessage?.headersSent === true) {
      socket.destroy();
      return;
    }
    const { status, error } = unreadableRequest(cause);
    this.#options.onRefused(error.code);
    const json = JSON.stringify({ error: error.message });
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${Buffer.byteLength(json)}\r\n\r\n${json}`,
    );
  }

  /** Whether the connection ends with this answer: the server closes, or it is to be renewed. */
  #connection({ socket }: Response): readonly string[] {
    const { readiness, clock } = this.#options;
    const renewAtMs = (socket && this.#renewAtMs.get(socket)) ?? Infinity;
    return readiness.phase === 'closing' || clock.nowMs() >= renewAtMs ? CLOSE : NO_HEADERS;
  }
}

const CLOSE = ['Connection', 'close'];
const NO_HEADERS: readonly string[] = [];

/** As it is sent: long JSON already as bytes. */
interface Answer extends Pick<InferResponseBody, 'binary'> {
  readonly json: string | Buffer;
}

const NONE_BINARY: readonly Uint8Array[] = [];

/**
 * Charges a large answer to the memory for bodies, until it is sent or its client is gone. Its JSON becomes bytes at once:
 * the requests of a batch are all written before the first is sent, and text lies on the heap.
 * @throws InferenceError QueueFull when that much is not left.
 */
function chargeAnswer(
  request: BodyRequest,
  response: Response,
  json: string,
  binary: readonly Uint8Array[],
): string | Buffer {
  let bytes = json.length;
  for (const { length } of binary) bytes += length;
  if (bytes <= FREE_ANSWER_BYTES || response.destroyed) return json;
  if (!request.isCharged) response.once('close', () => request.release());
  request.chargeAnswer(bytes - json.length + Buffer.byteLength(json));
  return Buffer.from(json, 'utf8');
}

/** Where a model has been asked, another pod must not be asked at once by a router in front: it would cost another run. */
function retryHeaders(error: InferenceError, { hasAnswer }: BodyRequest): readonly string[] {
  const retryAfter = retryAfterSeconds(error);
  if (retryAfter === undefined) return NO_HEADERS;
  return ['Retry-After', String(retryAfter), ...(hasAnswer ? NO_HEADERS : [UNPROCESSED_HEADER, '1'])];
}

/** A connection as Node's HTTP server keeps it, with the response that is under way, by which Node itself decides as well. */
interface UnreadableSocket extends Socket {
  readonly _httpMessage?: ServerResponse | null;
}

function checkHeaders(route: Route, request: BodyRequest): void {
  if (request.headers.host === undefined && request.httpVersion === '1.1')
    throw invalid('the request has no Host header');
  const method = methodOf(route);
  if (request.method !== method && !(method === 'GET' && request.method === 'HEAD')) {
    throw new InferenceError('MethodNotAllowed', `${quoted(request.url ?? '')} takes ${method}, not ${request.method}`);
  }
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new InferenceError(
      'UnsupportedMediaType',
      `content-encoding ${quoted(encoding)} is not taken; send the body as it is`,
    );
  }
}

function jsonLength(request: BodyRequest): number | undefined {
  const text = request.headers[JSON_HEADER_LENGTH];
  if (text === undefined) return undefined;
  if (typeof text === 'string' && /^[0-9]{1,15}$/.test(text)) return Number(text);
  throw invalid(`Inference-Header-Content-Length must be a number of bytes, not ${quoted(String(text))}`);
}
