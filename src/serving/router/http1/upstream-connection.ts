import { connect, type Socket } from 'node:net';
import type { Endpoint, RouterClock } from '../types.ts';
import { Alarm } from './alarm.ts';
import { ChunkedBody } from './chunked-body.ts';
import { INCOMPLETE, MAX_HEAD_BYTES } from './field-lines.ts';
import { BODY_BY_CHUNKS, BODY_BY_CLOSE, type ResponseHead } from './response-head.ts';

/** What all connections to servers share: nothing of it outlives one read of a socket. */
export interface UpstreamSurroundings {
  readonly clock: RouterClock;
  readonly head: ResponseHead;
  /** Every read lands here; whoever receives bytes copies what it keeps. */
  readonly readBuffer: Buffer;
  readonly connectTimeoutMs: number;
  /** Idle connections are closed after so long, or sooner where the server says that it closes them. */
  readonly idleTimeoutMs: number;
}

/** Whose request a connection carries. */
export interface AnswerReceiver {
  connected(): void;
  /** An interim answer (1xx); `head` is valid during the call. */
  interim(head: ResponseHead): void;
  /**
   * A part of the answer: its head the first time, and a piece of its body, both valid only during the call. With
   * `isLast` the answer is whole, and the connection is the receiver's to give back.
   */
  answered(head: ResponseHead | undefined, bytes: Buffer, start: number, end: number, isLast: boolean): void;
  /** What was read is handed over, the answer is not whole. False stops reading until `resume`. */
  flush(): boolean;
  /** The server takes more of the request again. */
  drained(): void;
  /** There will be no answer, or no more of it. The connection is gone; when it is silent, not a byte of an answer came. */
  broken(reason: string, isSilent: boolean): void;
}

/** One connection to one endpoint: one request at a time, whose answer it parses and hands on. */
export class UpstreamConnection {
  readonly endpoint: Endpoint;
  readonly socket: Socket;
  readonly #surroundings: UpstreamSurroundings;
  readonly #alarm: Alarm;
  readonly #chunks = new ChunkedBody();
  readonly #onIdleClosed: (connection: UpstreamConnection) => void;
  #receiver: AnswerReceiver | undefined;
  #isConnected = false;
  #isHeadRequest = false;
  #isSilent = true;
  #readsHead = true;
  #partialHead: Buffer | undefined;
  /** Of the body; BODY_BY_CHUNKS and BODY_BY_CLOSE as in the head. */
  #leftBytes = 0;
  #closes = false;
  #keepAliveMs: number;
  #failure = '';
  /** Requests that it has carried to their end. */
  served = 0;

  constructor(
    endpoint: Endpoint,
    surroundings: UpstreamSurroundings,
    onIdleClosed: (connection: UpstreamConnection) => void,
  ) {
    this.endpoint = endpoint;
    this.#surroundings = surroundings;
    this.#onIdleClosed = onIdleClosed;
    this.#keepAliveMs = surroundings.idleTimeoutMs;
    this.#alarm = new Alarm(surroundings.clock, () => this.#late());
    this.#alarm.set(surroundings.clock.nowMs() + surroundings.connectTimeoutMs);
    this.socket = connect({
      host: endpoint.address,
      port: endpoint.ports.http,
      noDelay: true,
      onread: { buffer: surroundings.readBuffer, callback: (count) => this.#read(count) },
    });
    this.socket.on('connect', () => {
      this.#isConnected = true;
      this.#alarm.set(Number.POSITIVE_INFINITY);
      this.#receiver?.connected();
    });
    this.socket.on('drain', () => this.#receiver?.drained());
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#failure = error.code ?? error.message;
    });
    this.socket.on('end', () => this.#ended());
    this.socket.on('close', () => this.#closed());
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** It may carry another request: nothing is left over, and neither side wants to close. */
  get isReusable(): boolean {
    return this.#readsHead && !this.#closes && this.#partialHead === undefined && this.socket.writable;
  }

  /** Carries a request for `receiver` from now on. */
  begin(receiver: AnswerReceiver, isHeadRequest: boolean): void {
    this.#receiver = receiver;
    this.#isHeadRequest = isHeadRequest;
    this.#isSilent = true;
  }

  /** Waits for the next request, for a while. */
  rest(): void {
    this.#receiver = undefined;
    this.#alarm.set(this.#surroundings.clock.nowMs() + this.#keepAliveMs);
  }

  /** Ends it without a word to its receiver. */
  destroy(): void {
    this.#receiver = undefined;
    this.socket.destroy();
  }

  resume(): void {
    this.socket.resume();
  }

  #late(): void {
    if (this.#receiver !== undefined && !this.#isConnected) {
      this.#failure = `no connection within ${this.#surroundings.connectTimeoutMs} ms`;
      this.socket.destroy();
    } else if (this.#receiver === undefined) {
      this.socket.destroy();
    }
  }

  #read(count: number): boolean {
    const receiver = this.#receiver;
    let bytes: Buffer = this.#surroundings.readBuffer;
    let end = count;
    if (receiver === undefined) {
      // Bytes that nobody asked for: the next answer could not be told from them.
      this.destroy();
      return false;
    }
    this.#isSilent = false;
    if (this.#partialHead !== undefined) {
      bytes = Buffer.concat([this.#partialHead, bytes.subarray(0, count)]);
      end = bytes.length;
      this.#partialHead = undefined;
    }
    try {
      if (this.#readsHead) this.#readHead(receiver, bytes, 0, end);
      else this.#readBody(receiver, undefined, bytes, 0, end);
    } catch (error) {
      this.#failure = `its answer is malformed: ${error instanceof Error ? error.message : String(error)}`;
      this.#breakOff();
      return false;
    }
    return this.#receiver !== receiver || receiver.flush();
  }

  #readHead(receiver: AnswerReceiver, bytes: Buffer, at: number, end: number): void {
    const { head } = this.#surroundings;
    const bodyStart = head.read(bytes, at, end);
    if ((bodyStart === INCOMPLETE ? end : bodyStart) - at > MAX_HEAD_BYTES) {
      throw new Error(`its head has more than ${MAX_HEAD_BYTES} bytes`);
    }
    if (bodyStart === INCOMPLETE) {
      this.#partialHead = Buffer.from(bytes.subarray(at, end));
      return;
    }
    if (head.status < 200) {
      if (head.status === 101) throw new Error('it changes the protocol, which nobody asked for');
      receiver.interim(head);
      if (bodyStart < end && this.#receiver === receiver) this.#readHead(receiver, bytes, bodyStart, end);
      return;
    }
    this.#readsHead = false;
    this.#closes = head.closes;
    if (head.keepAliveSeconds !== undefined) {
      // A second less, so that the server does not close a connection while a request is on its way to it.
      this.#keepAliveMs = Math.min(this.#surroundings.idleTimeoutMs, Math.max(0, head.keepAliveSeconds - 1) * 1000);
    }
    if (this.#isHeadRequest || head.status === 204 || head.status === 304) head.bodyBytes = 0;
    this.#leftBytes = head.bodyBytes;
    if (this.#leftBytes === BODY_BY_CHUNKS) this.#chunks.reset();
    this.#readBody(receiver, head, bytes, bodyStart, end);
  }

  #readBody(receiver: AnswerReceiver, head: ResponseHead | undefined, bytes: Buffer, at: number, end: number): void {
    if (this.#leftBytes === BODY_BY_CHUNKS) {
      this.#readChunks(receiver, head, bytes, at, end);
    } else if (this.#leftBytes === BODY_BY_CLOSE) {
      this.#closes = true;
      receiver.answered(head, bytes, at, end, false);
    } else {
      const taken = Math.min(this.#leftBytes, end - at);
      this.#leftBytes -= taken;
      if (this.#leftBytes > 0) receiver.answered(head, bytes, at, at + taken, false);
      else this.#finish(receiver, head, bytes, at, at + taken, end);
    }
  }

  #readChunks(receiver: AnswerReceiver, head: ResponseHead | undefined, bytes: Buffer, at: number, end: number): void {
    for (let first = head; at < end || first !== undefined; first = undefined) {
      at = this.#chunks.next(bytes, at, end);
      const { dataStart, dataEnd, isOver } = this.#chunks;
      if (isOver) {
        this.#closes ||= at < end;
        this.#finish(receiver, first, bytes, dataStart, dataEnd, dataEnd);
        return;
      }
      if (first !== undefined || dataEnd > dataStart) receiver.answered(first, bytes, dataStart, dataEnd, false);
      // Given up, or left to whoever throws the rest away.
      if (this.#receiver === undefined) return;
      receiver = this.#receiver;
    }
  }

  /** The answer ends at `end`; what follows it up to `readEnd` belongs to no request. */
  #finish(
    receiver: AnswerReceiver,
    head: ResponseHead | undefined,
    bytes: Buffer,
    start: number,
    end: number,
    readEnd: number,
  ): void {
    if (readEnd > end) this.#closes = true;
    this.#readsHead = true;
    this.served++;
    receiver.answered(head, bytes, start, end, true);
  }

  #ended(): void {
    if (this.#receiver !== undefined && !this.#readsHead && this.#leftBytes === BODY_BY_CLOSE) {
      this.#finish(this.#receiver, undefined, this.#surroundings.readBuffer, 0, 0, 0);
    }
    this.socket.destroy();
  }

  #breakOff(): void {
    this.socket.destroy();
    this.#tellBroken();
  }

  #closed(): void {
    this.#alarm.clear();
    if (this.#receiver === undefined) this.#onIdleClosed(this);
    else this.#tellBroken();
  }

  #tellBroken(): void {
    const receiver = this.#receiver;
    this.#receiver = undefined;
    receiver?.broken(this.#failure === '' ? 'it closed the connection' : this.#failure, this.#isSilent);
  }
}
