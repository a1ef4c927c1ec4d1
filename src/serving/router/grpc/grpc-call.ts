import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from 'node:http2';
import { type Place, Placement } from '../balancing/placement.ts';
import { Alarm } from '../http1/alarm.ts';
import type { Choice, Endpoint, EndpointResult, EndpointWaiter, RequestOutcome, Target } from '../types.ts';
import { type Attempt, resultOf } from './attempt.ts';
import type { CallSurroundings, ClientStream } from './call-surroundings.ts';
import { GRPC_STATUS, isServerFailure, statusOf, statusTrailers, trailersOnly } from './grpc-status.ts';
import { deadlineOf, withTimeLeft } from './grpc-timeout.ts';
import { KeptRequest } from './kept-request.ts';
import { MessageMeter } from './message-meter.ts';
import { renaming } from './model-rename.ts';
import { passable } from './passable-headers.ts';

const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM, NGHTTP2_FLAG_END_STREAM } = constants;

/** Timers of Node cannot wait longer. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** From the head of the answer on: nothing moves, as the client does not read, or nobody writes. */
const SILENCE_MS = 300_000;
/** Pods that saw nothing of a call, one after the other, before it fails: not reached, or refusing it unread. */
const MAX_UNSEEN = 3;
/** A client that gives up so shortly before its deadline gave up because of it: its clock and ours are not one. */
const DEADLINE_TOLERANCE_MS = 10;

/**
 * One gRPC call on its way: its bytes pass in both directions as they come, each side held back when the other does not
 * read. What never reached a model is asked of another pod: where there is no connection, or a stream was refused unread.
 */
export class GrpcCall implements EndpointWaiter {
  readonly #client: ClientStream;
  readonly #headers: IncomingHttpHeaders;
  readonly #choice: Choice;
  readonly #surroundings: CallSurroundings;
  readonly #meter: MessageMeter;
  readonly #startedMs: number;
  /** When the client wants to hear no more; infinite where it did not say. */
  readonly #deadlineMs: number;
  /** When the answer has to begin. */
  readonly #headLimitMs: number;
  readonly #placement: Placement;
  #attempt: Attempt | undefined;
  /** The request's bytes so far; undefined once they are too many, or the answer has begun. */
  #replay: KeptRequest | undefined = new KeptRequest();
  #isReading = false;
  #isRequestWhole = false;
  #unseen = 0;
  #hasFallenBack = false;
  #trailers: IncomingHttpHeaders | undefined;
  #headSeconds: number | undefined;
  /** That of a pod's whole answer. */
  #status: number | undefined;
  #isDone = false;
  readonly #alarm: Alarm;

  constructor(client: ClientStream, headers: IncomingHttpHeaders, choice: Choice, surroundings: CallSurroundings) {
    const { clock } = surroundings;
    this.#client = client;
    this.#headers = passable(headers);
    this.#choice = choice;
    this.#surroundings = surroundings;
    this.#placement = new Placement(this, ({ observer }) => observer.ended('error', 0));
    this.#meter = new MessageMeter(choice.maxBodyBytes);
    this.#startedMs = clock.nowMs();
    this.#deadlineMs = deadlineOf(headers, this.#startedMs);
    this.#headLimitMs = Math.min(this.#startedMs + Math.min(choice.timeoutMs, MAX_TIMER_MS), this.#deadlineMs);
    this.#alarm = new Alarm(clock, () => this.#late());
    this.#alarm.set(this.#headLimitMs);
    client.on('error', () => undefined);
    client.once('close', () => {
      this.#gone();
      this.#alarm.clear();
    });
    // A stream that is reset while we do not read it closes only when we do.
    client.once('aborted', () => this.#gone());
    // Read also while the call waits for a pod: from its last byte on the wait is the revision's.
    if (choice.fallback?.afterMs !== undefined) this.#read();
    this.#ask(choice);
  }

  get #target(): Target {
    return this.#placement.target ?? this.#choice.target;
  }

  granted(endpoint: Endpoint): void {
    this.#placement.leave();
    this.#send(endpoint);
  }

  stranded(): void {
    this.#placement.leave();
    this.#chooseAgain();
  }

  /** Asks a target's pod, now or as soon as one has room. */
  #ask(choice: Pick<Choice, 'target' | 'elsewhere'>): void {
    if (this.#go(this.#placement.at(choice))) return;
    this.#fail(GRPC_STATUS.resourceExhausted, `too many requests wait for ${choice.target.revision}`);
  }

  /** False where the place is nowhere. */
  #go(place: Place): boolean {
    if (place === 'full') return false;
    if (place === 'lost') this.#chooseAgain();
    else if (place !== 'waiting') this.#send(place);
    return true;
  }

  /** The target has lost its last pod: asks whom the route names now. */
  #chooseAgain(): void {
    const choice = this.#hasFallenBack ? undefined : this.#surroundings.chooseAgain?.(this.#target);
    if (choice !== undefined && 'reason' in choice && !this.#placement.hasFailed && !this.#canFallBack) {
      this.#answer(GRPC_STATUS.unavailable, choice.reason);
      this.#end(undefined);
    } else if (choice === undefined || 'reason' in choice || choice.target.pool.size === 0) {
      this.#fail(GRPC_STATUS.unavailable, `revision ${this.#target.revision} has no ready pod`);
    } else {
      this.#ask(choice);
    }
  }

  #send(endpoint: Endpoint): void {
    const upstream = this.#surroundings.upstreams.to(endpoint);
    let stream: ClientHttp2Stream | undefined;
    try {
      const headers = withTimeLeft(this.#headers, this.#deadlineMs, this.#surroundings.clock.nowMs());
      stream = upstream?.session.request(headers, { endStream: false });
    } catch (error) {
      // The connection ended between two turns of the event loop, and the next try makes another; or Node cannot send this.
      if (upstream !== undefined && !upstream.session.closed && !upstream.session.destroyed) {
        this.#target.pool.release(endpoint, 'neutral');
        this.#fail(GRPC_STATUS.internal, `the metadata cannot be passed on: ${String(error)}`);
        return;
      }
    }
    if (upstream === undefined || stream === undefined) {
      this.#target.pool.release(endpoint, 'unreachable');
      this.#askAnother(endpoint, 'cannot be asked', true);
      return;
    }
    const other = this.#hasFallenBack ? this.#choice.fallback : undefined;
    const worded = renaming(this.#headers[':path'], other?.modelName);
    const attempt: Attempt = { target: this.#target, endpoint, upstream, stream, worded };
    this.#attempt = attempt;
    stream.on('error', () => undefined);
    stream.once('response', (headers, flags) => this.#onHead(attempt, headers, flags));
    stream.once('close', () => this.#onBroken(attempt));
    for (const chunk of this.#replay?.pieces ?? []) stream.write(worded(chunk));
    if (this.#isRequestWhole) stream.end();
    else this.#read();
  }

  #read(): void {
    if (!this.#isReading) {
      this.#isReading = true;
      this.#client.on('data', (chunk: Buffer) => this.#onRequestData(chunk));
      this.#client.once('end', () => this.#onRequestWhole());
    }
    this.#client.resume();
  }

  #onRequestWhole(): void {
    // A stream that the client resets ends as well, and what came of it is not the whole.
    if (this.#client.closed) return;
    this.#isRequestWhole = true;
    this.#surroundings.listener?.requestWhole();
    this.#attempt?.stream.end();
    const afterMs = this.#choice.fallback?.afterMs;
    if (afterMs === undefined || this.#isDone || this.#headSeconds !== undefined || !this.#canFallBack) return;
    this.#alarm.set(Math.min(this.#headLimitMs, this.#surroundings.clock.nowMs() + afterMs));
  }

  #onRequestData(chunk: Buffer): void {
    if (this.#isDone) return;
    const tooLong = this.#meter.tooLong(chunk);
    if (tooLong !== undefined) {
      this.#leave('neutral', NGHTTP2_CANCEL);
      const message = `a message of ${tooLong} bytes; the largest that is taken has ${this.#choice.maxBodyBytes}`;
      this.#answer(GRPC_STATUS.resourceExhausted, message);
      this.#end('withdrawn');
      return;
    }
    this.#surroundings.listener?.requestData(chunk);
    this.#replay?.append(chunk);
    if (this.#replay?.isFull && this.#attempt !== undefined) this.#replay = undefined;
    this.#moved();
    const attempt = this.#attempt;
    if (attempt === undefined) {
      if (this.#replay?.isFull) this.#client.pause();
    } else if (!attempt.stream.write(attempt.worded(chunk))) {
      this.#client.pause();
      attempt.stream.once('drain', () => this.#client.resume());
    }
  }

  #onHead(attempt: Attempt, headers: IncomingHttpHeaders, flags: number): void {
    if (this.#client.destroyed || this.#client.closed) this.#gone();
    if (attempt !== this.#attempt || this.#isDone) return;
    const isWhole = (flags & NGHTTP2_FLAG_END_STREAM) !== 0;
    attempt.stream.resume();
    if (isWhole && isServerFailure(statusOf(headers)) && this.#canFallBack) {
      this.#leave(resultOf(statusOf(headers)), NGHTTP2_NO_ERROR);
      this.#fallBack();
      return;
    }
    this.#replay = undefined;
    this.#headSeconds = (this.#surroundings.clock.nowMs() - this.#startedMs) / 1000;
    this.#moved();
    if (isWhole) {
      this.#client.respond(passable(headers), { endStream: true });
      this.#stopClient();
      this.#over(statusOf(headers));
      return;
    }
    this.#client.respond(passable(headers), { waitForTrailers: true });
    this.#client.once('wantTrailers', () => {
      if (this.#client.destroyed || this.#client.closed) return;
      this.#client.sendTrailers(passable(this.#trailers ?? {}));
      // Not before the trailers are on their way: a stream that is reset loses them.
      setImmediate(() => this.#stopClient());
    });
    this.#passAnswer(attempt.stream);
  }

  #passAnswer(stream: ClientHttp2Stream): void {
    const client = this.#client;
    const { listener } = this.#surroundings;
    stream.once('trailers', (trailers) => {
      this.#trailers = trailers;
    });
    stream.on('data', (chunk: Buffer) => {
      if (this.#isDone) return;
      listener?.answerData(chunk);
      this.#moved();
      if (!client.write(chunk)) stream.pause();
    });
    client.on('drain', () => {
      this.#moved();
      stream.resume();
    });
    stream.once('end', () => {
      if (this.#isDone || this.#trailers === undefined) return;
      client.end();
      this.#over(statusOf(this.#trailers));
    });
  }

  /** The pod's answer is complete. */
  #over(status: number): void {
    this.#status = status;
    this.#leave(resultOf(status), NGHTTP2_NO_ERROR);
    this.#end(isServerFailure(status) ? 'error' : 'success');
  }

  /** The stream to the pod ended; unless the answer was complete, it broke. */
  #onBroken(attempt: Attempt): void {
    if (attempt !== this.#attempt || this.#isDone) return;
    const { upstream, stream, endpoint, target } = attempt;
    const isUnreachable = !upstream.wasConnected;
    const isRefused = stream.rstCode === NGHTTP2_REFUSED_STREAM;
    this.#attempt = undefined;
    target.pool.release(endpoint, isUnreachable ? 'unreachable' : isRefused ? 'neutral' : 'failed');
    if (this.#headSeconds !== undefined) {
      this.#fail(GRPC_STATUS.unavailable, `the connection to ${endpoint.address} broke in the middle of the answer`);
    } else if (isUnreachable || isRefused) {
      this.#askAnother(endpoint, isUnreachable ? 'cannot be reached' : 'refused the call', isUnreachable);
    } else {
      this.#fail(GRPC_STATUS.unavailable, `the connection to ${endpoint.address} broke before an answer`);
    }
  }

  #askAnother(endpoint: Endpoint, reason: string, isUnreachable: boolean): void {
    if (++this.#unseen === MAX_UNSEEN || this.#replay === undefined) {
      this.#fail(GRPC_STATUS.unavailable, `${endpoint.address} ${reason}`);
      return;
    }
    this.#client.pause();
    const { revision } = this.#target;
    const place = this.#placement.again(endpoint, isUnreachable, this.#unseen === MAX_UNSEEN - 1);
    if (this.#go(place)) return;
    this.#fail(GRPC_STATUS.unavailable, `${endpoint.address} ${reason}, and ${revision} has no other pod with room`);
  }

  get #canFallBack(): boolean {
    return this.#choice.fallback !== undefined && !this.#hasFallenBack && this.#replay !== undefined;
  }

  /** Another target answers in place of the one that erred, which is counted as the error that it is. */
  #fallBack(): void {
    const { fallback } = this.#choice;
    if (fallback === undefined) return;
    this.#hasFallenBack = true;
    this.#client.pause();
    this.#placement.failed();
    this.#ask({ target: fallback.target, elsewhere: [] });
  }

  #late(): void {
    if (this.#isDone) {
      // The client does not read what is left of the answer.
      this.#client.close(NGHTTP2_CANCEL);
      return;
    }
    const { clock, upstreams } = this.#surroundings;
    if (this.#headSeconds === undefined && this.#canFallBack && this.#headLimitMs - clock.nowMs() >= 1) {
      this.#leave('neutral', NGHTTP2_CANCEL);
      this.#alarm.set(this.#headLimitMs);
      this.#fallBack();
      return;
    }
    // Who the lateness counts for is another matter: a ping harms nobody.
    if (this.#attempt !== undefined) upstreams.suspect(this.#attempt.endpoint);
    if (this.#headSeconds !== undefined && this.#deadlineMs - clock.nowMs() >= 1) {
      this.#silent();
      return;
    }
    const afterMs = Math.round(clock.nowMs() - this.#startedMs);
    const isClients = this.#deadlineMs - this.#startedMs <= this.#choice.timeoutMs || this.#headSeconds !== undefined;
    this.#leave(isClients ? 'neutral' : 'failed', NGHTTP2_CANCEL);
    this.#answer(GRPC_STATUS.deadlineExceeded, `no answer from ${this.#target.revision} within ${afterMs} ms`);
    this.#end('error');
  }

  /** Nothing has moved for too long. As with HTTP the pod is to blame where it was its turn. */
  #silent(): void {
    const isUnread = this.#client.writableNeedDrain;
    const isClients = isUnread || !this.#isRequestWhole;
    this.#leave(isClients ? 'neutral' : 'failed', NGHTTP2_CANCEL);
    this.#end(isClients ? 'withdrawn' : 'error');
    if (isUnread) this.#client.close(NGHTTP2_CANCEL);
    else this.#answer(GRPC_STATUS.deadlineExceeded, `nothing moved on the call for ${SILENCE_MS} ms`);
  }

  /** From the head of the answer on the client's own deadline counts, and that something moves. */
  #moved(): void {
    if (this.#isDone || this.#headSeconds === undefined) return;
    this.#alarm.set(Math.min(this.#deadlineMs, this.#surroundings.clock.nowMs() + SILENCE_MS));
  }

  /** The client's stream ended before the call did. */
  #gone(): void {
    if (this.#isDone) return;
    const isLate = this.#surroundings.clock.nowMs() >= this.#deadlineMs - DEADLINE_TOLERANCE_MS;
    this.#leave('neutral', NGHTTP2_CANCEL);
    const hasWaited = this.#isRequestWhole && this.#headSeconds === undefined;
    this.#end(isLate ? 'error' : hasWaited ? 'cancelled' : 'withdrawn');
  }

  #fail(status: number, message: string): void {
    if (this.#canFallBack && this.#headSeconds === undefined) {
      this.#fallBack();
      return;
    }
    this.#answer(status, message);
    this.#end('error');
  }

  /** Gives back what the call holds: its pod, or its place in the queue. */
  #leave(result: EndpointResult, code: number): void {
    this.#placement.leave();
    const attempt = this.#attempt;
    this.#attempt = undefined;
    if (attempt === undefined) return;
    attempt.target.pool.release(attempt.endpoint, result);
    if (code !== NGHTTP2_NO_ERROR || !this.#isRequestWhole) attempt.stream.close(code);
  }

  /** Ends the call with a status of the router's own. */
  #answer(status: number, message: string): void {
    const client = this.#client;
    if (client.destroyed || client.closed) return;
    if (client.headersSent) {
      this.#trailers = statusTrailers(status, message) as IncomingHttpHeaders;
      client.end();
    } else {
      client.respond(trailersOnly(status, message), { endStream: true });
      this.#stopClient();
    }
  }

  /** A client that still sends is told that nobody listens any more; its answer is complete. */
  #stopClient(): void {
    if (!this.#isRequestWhole) this.#client.close(NGHTTP2_NO_ERROR);
  }

  /** @param outcome of the target; undefined where it had no part in the call */
  #end(outcome: RequestOutcome | undefined): void {
    this.#isDone = true;
    this.#replay = undefined;
    const nowMs = this.#surroundings.clock.nowMs();
    // What is left of the answer has to leave, and what still comes is thrown away: a stream with something unread does not end.
    this.#alarm.set(nowMs + SILENCE_MS);
    this.#client.resume();
    const seconds = this.#headSeconds ?? (nowMs - this.#startedMs) / 1000;
    if (outcome !== undefined) this.#target.observer.ended(outcome, seconds);
    this.#surroundings.listener?.over(this.#status);
    this.#surroundings.onEnd?.();
  }
}
