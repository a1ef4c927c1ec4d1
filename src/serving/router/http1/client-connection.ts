import type { Socket } from 'node:net';
import { connectionAgeMs } from '../../connection-age.ts';
import { BufferedExchange } from '../buffered/buffered-exchange.ts';
import { EnsembleExchange, type EnsembleOwner } from '../buffered/ensemble-exchange.ts';
import type { Choice, RequestOutcome, Target, Unroutable } from '../types.ts';
import { Alarm } from './alarm.ts';
import { Call } from './call.ts';
import { LF } from './characters.ts';
import type { CallOwner, CallRequest, Exchange } from './exchange.ts';
import { INCOMPLETE, MAX_HEAD_BYTES } from './field-lines.ts';
import { HttpError, REASON_PHRASES } from './http-error.ts';
import { asksToInfer } from './model-path.ts';
import { lateAnswer, notCombined, tooLarge } from './refusals.ts';
import type { RelaySurroundings } from './relay-surroundings.ts';
import { RequestBody } from './request-body.ts';
import { TIMEOUT_HEADER } from './request-head.ts';
import { BODY_BY_CHUNKS, BODY_BY_CLOSE, type ResponseHead } from './response-head.ts';

/** Requests that a client sends before it has its answers are kept up to so much; then it is not read from. */
const MAX_PIPELINED_BYTES = 65_536;
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const END_OF_CHUNKS = '0\r\n\r\n';

type Phase = 'head' | 'body' | 'answer' | 'closing';

/** One connection of a client: its requests one after the other, each on its way through an `Exchange`, and their answers. */
export class ClientConnection implements CallOwner, EnsembleOwner {
  readonly #socket: Socket;
  readonly #surroundings: RelaySurroundings;
  readonly #alarm: Alarm;
  readonly #call: Call;
  /** Of the request that is under way: the call, or what makes several of them. */
  #exchange: Exchange;
  readonly #body = new RequestBody();
  readonly #lines: string;
  readonly #renewAtMs: number;
  #phase: Phase = 'head';
  /** What was read and not yet used, from `#at` on. */
  #input: Buffer | undefined;
  #at = 0;
  #hasHeadAlarm = false;
  #timeoutMs = 0;
  /** It is the client's own limit, which is shorter than the route's. */
  #isHurried = false;
  #owesContinue = false;
  #isHttp10 = false;
  #isHeadRequest = false;
  /** The connection ends with this answer. */
  #closes = false;
  #hasAnswerBegun = false;
  #isAnswerChunked = false;
  #isReadPaused = false;
  #isAnswerPaused = false;

  constructor(socket: Socket, surroundings: RelaySurroundings, onClosed: (connection: ClientConnection) => void) {
    this.#socket = socket;
    this.#surroundings = surroundings;
    this.#call = new Call(surroundings, this);
    this.#exchange = this.#call;
    this.#alarm = new Alarm(surroundings.clock, () => this.#late());
    const address = socket.remoteAddress?.replace(/^::ffff:/, '') ?? 'unknown';
    this.#lines = `via: 1.1 fairlead\r\nx-forwarded-for: ${address}\r\n${TIMEOUT_HEADER}: `;
    this.#renewAtMs = surroundings.clock.nowMs() + connectionAgeMs(surroundings.random);
    this.#rest();
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('drain', () => this.#drain());
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#phase = 'closing';
      this.#alarm.clear();
      this.#exchange.cancel('cancelled');
      onClosed(this);
    });
    // A client that ends its side is taken to have gone, as node:http and nginx do: what it asked for is given up.
    socket.on('end', () => socket.destroy());
  }

  /** No request is under way. */
  get isIdle(): boolean {
    return this.#phase === 'head' && this.#input === undefined;
  }

  /** Ends the connection now, whatever it waits for. */
  destroy(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    if (this.#phase === 'closing') return;
    const before = this.#input;
    if (before === undefined) {
      this.#input = chunk;
      this.#at = 0;
    } else {
      this.#input = Buffer.concat([before.subarray(this.#at), chunk]);
      this.#at = 0;
      // A head only goes on to be read when a line of it ends, so that one sent byte by byte is not read as often.
      if (this.#phase === 'head' && !chunk.includes(LF) && this.#input.length <= MAX_HEAD_BYTES) return;
    }
    this.#advance();
  }

  #advance(): void {
    try {
      for (let input = this.#input; input !== undefined && this.#step(input); input = this.#input);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.#surroundings.out.clear();
      this.#exchange.cancel('cancelled');
      this.#closes = true;
      this.#refuse(error);
    }
  }

  /** Uses some of the input. False when it has to wait. @throws HttpError. */
  #step(input: Buffer): boolean {
    switch (this.#phase) {
      case 'head':
        return this.#readHead(input);
      case 'body':
        this.#readBody(input);
        return true;
      case 'answer':
        if (input.length - this.#at > MAX_PIPELINED_BYTES) this.#pause();
        return false;
      case 'closing':
        this.#input = undefined;
        return false;
    }
  }

  #readHead(input: Buffer): boolean {
    // Answers that the client does not read must not pile up.
    if (this.#socket.writableNeedDrain) {
      this.#pause();
      return false;
    }
    const { head, router, clock } = this.#surroundings;
    const start = this.#at;
    const bodyStart = head.read(input, start, input.length);
    if ((bodyStart === INCOMPLETE ? input.length : bodyStart) - start > MAX_HEAD_BYTES) {
      throw new HttpError(431, `the head of the request has more than ${MAX_HEAD_BYTES} bytes`);
    }
    const nowMs = clock.nowMs();
    if (bodyStart === INCOMPLETE) {
      if (!this.#hasHeadAlarm) this.#alarm.set(nowMs + this.#surroundings.times.headMs);
      this.#hasHeadAlarm = true;
      return false;
    }
    this.#hasHeadAlarm = false;
    this.#isHttp10 = head.isHttp10;
    this.#isHeadRequest = head.isHead;
    const choice = router.choose(head);
    if ('reason' in choice) throw new HttpError(503, choice.reason, 1);
    if (head.bodyBytes > choice.maxBodyBytes) throw tooLarge(String(head.bodyBytes), choice.maxBodyBytes);
    this.#closes = head.closes || this.#surroundings.isDraining || nowMs >= this.#renewAtMs;
    this.#begin(input, bodyStart, choice, nowMs);
    return true;
  }

  #begin(input: Buffer, bodyStart: number, choice: Choice, nowMs: number): void {
    const { head } = this.#surroundings;
    const timeoutMs = Math.min(choice.timeoutMs, head.timeoutMs ?? choice.timeoutMs);
    const deadlineMs = nowMs + timeoutMs;
    this.#timeoutMs = timeoutMs;
    this.#isHurried = timeoutMs < choice.timeoutMs;
    this.#alarm.set(deadlineMs);
    const taken = head.bodyBytes > 0 ? Math.min(head.bodyBytes, input.length - bodyStart) : 0;
    const bodyEnd = bodyStart + taken;
    this.#body.begin(head.bodyBytes, taken, choice.maxBodyBytes);
    this.#phase = this.#body.isOver ? 'answer' : 'body';
    this.#owesContinue = head.expectsContinue && this.#phase === 'body';
    this.#use(bodyEnd);
    const { start } = head;
    const { target, elsewhere } = choice;
    const request = { target, elsewhere, bytes: input, start, lines: this.#lines, startedAtMs: nowMs, deadlineMs };
    if (choice.mirror === undefined && choice.fallback === undefined && choice.ensemble === undefined) {
      this.#exchange = this.#call;
      this.#call.start(request, bodyStart, bodyEnd, this.#phase === 'answer');
    } else {
      this.#buffer(choice, request, bodyStart, bodyEnd);
    }
    if (this.#phase === 'answer' || this.#input === undefined) this.#flushRequest();
  }

  #buffer(choice: Choice, request: CallRequest, bodyStart: number, bodyEnd: number): void {
    const { mirror, fallback, ensemble } = choice;
    // Only inference is copied and combined: what is asked of the server itself has no answer to compare.
    const { head } = this.#surroundings;
    const isInference = head.method === 'POST';
    if (isInference && ensemble !== undefined) {
      if (!asksToInfer(head.path)) throw notCombined(head.path);
      this.#exchange = new EnsembleExchange(this.#surroundings, this, choice, ensemble, request);
    } else if (fallback !== undefined || (isInference && mirror !== undefined)) {
      const asked = isInference ? choice : { ...choice, mirror: undefined };
      this.#exchange = new BufferedExchange(this.#surroundings, this, asked, request);
    } else {
      this.#exchange = this.#call;
      this.#call.start(request, bodyStart, bodyEnd, this.#phase === 'answer');
      return;
    }
    this.#exchange.body(request.bytes, bodyStart, bodyEnd);
    if (this.#phase === 'answer') this.#exchange.complete();
  }

  #readBody(input: Buffer): void {
    this.#use(this.#body.read(input, this.#at, this.#exchange));
    if (this.#body.isOver) {
      this.#phase = 'answer';
      this.#exchange.complete();
    }
    this.#flushRequest();
  }

  /** The input has been used up to `at`. */
  #use(at: number): void {
    if (this.#input !== undefined && at >= this.#input.length) this.#input = undefined;
    this.#at = at;
  }

  #flushRequest(): void {
    const isTaken = this.#exchange.flushRequest();
    if (this.#phase !== 'body') return;
    if (isTaken) this.#continue();
    else this.#pause();
  }

  #continue(): void {
    if (this.#owesContinue) this.#socket.write(CONTINUE, 'latin1');
    this.#owesContinue = false;
  }

  drained(): void {
    if (this.#phase !== 'body') return;
    this.#continue();
    this.#resume();
  }

  #pause(): void {
    if (this.#isReadPaused) return;
    this.#isReadPaused = true;
    this.#socket.pause();
  }

  #resume(): void {
    if (!this.#isReadPaused) return;
    this.#isReadPaused = false;
    this.#socket.resume();
  }

  interim(head: ResponseHead): void {
    // Expectations are ours to answer, and HTTP/1.0 knows no interim answers.
    if (this.#isHttp10 || head.status === 100) return;
    const { out } = this.#surroundings;
    head.write(out);
    out.appendText('\r\n');
    out.flush(this.#socket);
  }

  answered(head: ResponseHead | undefined, bytes: Buffer, start: number, end: number, isLast: boolean): void {
    const { out } = this.#surroundings;
    if (head !== undefined) this.#answerHead(head);
    if (this.#isAnswerChunked) {
      out.appendChunk(bytes, start, end);
      if (isLast) out.appendText(END_OF_CHUNKS);
    } else {
      out.append(bytes, start, end);
    }
    if (isLast) out.flush(this.#socket);
  }

  #answerHead(head: ResponseHead): void {
    const { out } = this.#surroundings;
    this.#hasAnswerBegun = true;
    const isChunked = head.bodyBytes === BODY_BY_CHUNKS;
    this.#isAnswerChunked = isChunked && !this.#isHttp10;
    if (isChunked && this.#isHttp10) head.writeWithoutCoding(out);
    else head.write(out);
    // An answer to a request that has not come to its end: what still comes of it cannot be told from the next one.
    if (head.bodyBytes === BODY_BY_CLOSE || this.#phase === 'body') this.#closes = true;
    out.appendText(this.#closes ? 'connection: close\r\n\r\n' : '\r\n');
  }

  flush(): boolean {
    const { out, clock, times } = this.#surroundings;
    // Until then the deadline counts, whatever a pod sends ahead of its answer.
    if (this.#hasAnswerBegun) this.#alarm.set(clock.nowMs() + times.silenceMs);
    const takesMore = out.flush(this.#socket);
    if (!takesMore) this.#isAnswerPaused = true;
    return takesMore;
  }

  over(): void {
    this.#hasAnswerBegun = false;
    if (this.#closes || this.#phase === 'body') this.#close();
    else this.#next();
  }

  failed(error: HttpError): void {
    if (this.#phase === 'body') this.#closes = true;
    this.#refuse(error);
  }

  brokenOff(): void {
    // Not a plain end, which a client could take for the end of the answer.
    this.#socket.resetAndDestroy();
  }

  chooseAgain(lost: Target): Choice | Unroutable {
    const { router, head } = this.#surroundings;
    return router.choose(head, lost);
  }

  ended(target: Target, outcome: RequestOutcome, seconds: number): void {
    target.observer.ended(outcome, seconds);
  }

  combined(json: string): void {
    this.#answer(200, '', json);
  }

  #refuse({ status, message, retryAfterSeconds }: HttpError): void {
    if (this.#hasAnswerBegun) {
      this.brokenOff();
      return;
    }
    const retryAfter = retryAfterSeconds === undefined ? '' : `retry-after: ${retryAfterSeconds}\r\n`;
    this.#answer(status, retryAfter, JSON.stringify({ error: message }));
  }

  /** Answers itself. */
  #answer(status: number, lines: string, json: string): void {
    const close = this.#closes ? 'connection: close\r\n' : '';
    this.#socket.write(
      `HTTP/1.1 ${status} ${REASON_PHRASES[status] ?? ''}\r\n${close}${lines}content-type: application/json\r\n` +
        `content-length: ${Buffer.byteLength(json)}\r\n\r\n${this.#isHeadRequest ? '' : json}`,
    );
    if (this.#closes) this.#close();
    else this.#next();
  }

  #next(): void {
    this.#phase = 'head';
    this.#rest();
    this.#resume();
    // Not at once: a client that sends many requests ahead must not make the stack grow.
    if (this.#input !== undefined) queueMicrotask(() => this.#advance());
  }

  #rest(): void {
    this.#alarm.set(this.#surroundings.clock.nowMs() + this.#surroundings.times.idleMs);
  }

  #close(): void {
    this.#phase = 'closing';
    this.#input = undefined;
    this.#alarm.set(this.#surroundings.clock.nowMs() + this.#surroundings.times.lingerMs);
    this.#socket.end();
    this.#resume();
  }

  /** The client has read what was written. */
  #drain(): void {
    if (this.#isAnswerPaused) {
      this.#isAnswerPaused = false;
      this.#exchange.resume();
    } else if (this.#phase === 'head') {
      this.#resume();
      this.#advance();
    }
  }

  #late(): void {
    if (this.#phase === 'closing' || this.isIdle) {
      this.#socket.destroy();
    } else if (this.#phase === 'head') {
      this.#closes = true;
      this.#refuse(new HttpError(408, `the head did not come within ${this.#surroundings.times.headMs} ms`));
    } else if (this.#hasAnswerBegun) {
      this.#exchange.cancel(this.#isAnswerPaused ? 'cancelled' : 'late');
      this.brokenOff();
    } else if (this.#phase === 'body') {
      this.#closes = true;
      this.#exchange.cancel('cancelled');
      this.#refuse(new HttpError(408, `the request did not come within ${this.#timeoutMs} ms`));
    } else {
      const error = lateAnswer(this.#exchange, this.#timeoutMs);
      this.#exchange.cancel(this.#isHurried ? 'hurried' : 'late');
      this.#refuse(error);
    }
  }
}
