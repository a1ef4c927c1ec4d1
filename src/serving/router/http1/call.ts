import type { Endpoint, EndpointPoolLike, EndpointResult, EndpointWaiter, RequestOutcome, Target } from '../types.ts';
import type { CallOwner, CallRequest, CallSurroundings, Exchange, Hold } from './exchange.ts';
import { HttpError } from './http-error.ts';
import { tooManyWait } from './refusals.ts';
import type { ResponseHead } from './response-head.ts';
import type { AnswerReceiver, UpstreamConnection } from './upstream-connection.ts';

/** Request bodies of up to so much are kept until the answer begins, to be sent again. */
const REPLAY_BYTES = 65_536;
/** Endpoints that may refuse the connection, one after the other, before the request fails: nothing was sent to them. */
const MAX_UNREACHABLE = 3;
/**
 * A connection that was idle and breaks so soon after a request was written to it was closed by its server before the
 * request came. Later than that a model may have seen the request, and it is not sent again.
 */
const STALE_WITHIN_MS = 100;

const END_OF_CHUNKS = '0\r\n\r\n';

type State = 'idle' | 'waiting' | 'connecting' | 'sent' | 'answering';

/**
 * One request on its way to one revision: takes an endpoint and a connection, sends the request, and hands on the answer.
 * What never reached a model is sent once more, to another pod: a connection that could not be made, an idle connection
 * that had been closed, an answer that says so. Nothing else is ever sent twice. One instance makes one call after the other.
 */
export class Call implements Exchange, AnswerReceiver, EndpointWaiter {
  readonly #surroundings: CallSurroundings;
  readonly #owner: CallOwner;
  #state: State = 'idle';
  #request: CallRequest | undefined;
  #target: Target | undefined;
  #endpoint: Endpoint | undefined;
  /** The pool that the endpoint is of. */
  #pool: EndpointPoolLike | undefined;
  #connection: UpstreamConnection | undefined;
  #isChunked = false;
  #isHeadRequest = false;
  #isComplete = false;
  /** Pieces of the body, until they are sent and too many to be sent again. */
  #pieces: Buffer[] = [];
  #firstStart = 0;
  #firstEnd = 0;
  #keptBytes = 0;
  #isReplayable = true;
  #unreachable = 0;
  #repeats = 0;
  #isReused = false;
  #sentAtMs = 0;
  #answeredAtMs = 0;
  #status = 0;

  constructor(surroundings: CallSurroundings, owner: CallOwner) {
    this.#surroundings = surroundings;
    this.#owner = owner;
  }

  get isIdle(): boolean {
    return this.#state === 'idle';
  }

  get target(): Target | undefined {
    return this.#target;
  }

  get hold(): Hold {
    if (this.#state === 'waiting') return 'endpoint';
    return this.#state === 'connecting' ? 'connection' : 'answer';
  }

  /**
   * Starts a call. The request's bytes from `bodyStart` to `bodyEnd` are the beginning of its body, and `more` goes on with
   * it. `flushRequest` follows. `failed` may be called before this returns.
   */
  start(request: CallRequest, bodyStart: number, bodyEnd: number, isComplete: boolean, more?: Buffer): void {
    const { head } = this.#surroundings;
    if (!head.isOf(request.bytes, request.start)) head.read(request.bytes, request.start, request.bytes.length);
    this.#request = request;
    this.#target = request.target;
    this.#isChunked = head.bodyBytes < 0;
    this.#isHeadRequest = head.isHead;
    this.#isComplete = isComplete;
    this.#firstStart = bodyStart;
    this.#firstEnd = bodyEnd;
    this.#keptBytes = bodyEnd - bodyStart;
    if (more !== undefined && more.length > 0) {
      this.#pieces.push(more);
      this.#keptBytes += more.length;
    }
    this.#isReplayable = true;
    this.#unreachable = 0;
    this.#repeats = 0;
    let endpoint = request.target.pool.take();
    if (endpoint === undefined && request.target.pool.size === 0) endpoint = this.#takeElsewhere();
    if (endpoint !== undefined) {
      this.#use(endpoint, false, request.startedAtMs);
    } else if (request.target.pool.wait(this)) {
      this.#state = 'waiting';
    } else {
      this.#fail(tooManyWait(request.target));
    }
  }

  body(bytes: Buffer, start: number, end: number): void {
    if (this.#state === 'idle' || start === end) return;
    const isSent = this.#state === 'sent' || this.#state === 'answering';
    if (isSent) {
      if (this.#isChunked) this.#surroundings.out.appendChunk(bytes, start, end);
      else this.#surroundings.out.append(bytes, start, end);
    }
    if (!this.#isReplayable) return;
    this.#keptBytes += end - start;
    if (isSent && this.#keptBytes > REPLAY_BYTES) this.#keepNoMore();
    else this.#pieces.push(bytes.subarray(start, end));
  }

  complete(): void {
    this.#isComplete = true;
    const isSent = this.#state === 'sent' || this.#state === 'answering';
    if (isSent && this.#isChunked) this.#surroundings.out.appendText(END_OF_CHUNKS);
  }

  flushRequest(): boolean {
    if (this.#state === 'idle') return true;
    const connection = this.#connection;
    if (connection === undefined || (this.#state !== 'sent' && this.#state !== 'answering')) return false;
    return this.#surroundings.out.flush(connection.socket);
  }

  resume(): void {
    this.#connection?.resume();
  }

  /** The answer, whose head the owner was just given, is not wanted; it is thrown away, and counts as what it is. */
  abandon(): void {
    const connection = this.#connection;
    if (connection !== undefined) {
      if (!this.#isComplete) connection.destroy();
      else if (connection.isReusable) this.#surroundings.upstreams.giveBack(connection);
      else this.#surroundings.upstreams.discard(connection);
    }
    this.#release(resultOf(this.#status));
    this.#end(outcomeOf(this.#status), this.#answeredAtMs);
  }

  cancel(why: 'cancelled' | 'late'): void {
    if (this.#state === 'idle') return;
    if (this.#state === 'waiting') this.#target?.pool.leave(this);
    this.#connection?.destroy();
    this.#release(why === 'late' ? 'failed' : 'neutral');
    this.#end(why === 'late' ? 'error' : 'cancelled', this.#surroundings.clock.nowMs());
  }

  granted(endpoint: Endpoint): void {
    this.#use(endpoint, false);
    this.flushRequest();
    if (this.#state === 'sent') this.#owner.drained();
  }

  connected(): void {
    this.#send(this.#surroundings.clock.nowMs());
    this.flushRequest();
    this.#owner.drained();
  }

  drained(): void {
    if (!this.#isComplete) this.#owner.drained();
  }

  interim(head: ResponseHead): void {
    this.#owner.interim(head);
  }

  answered(head: ResponseHead | undefined, bytes: Buffer, start: number, end: number, isLast: boolean): void {
    if (head !== undefined) {
      if (head.isUnprocessed && this.#askAnother(head.status, isLast)) return;
      this.#state = 'answering';
      this.#status = head.status;
      this.#answeredAtMs = this.#surroundings.clock.nowMs();
      this.#keepNoMore();
    }
    const connection = this.#connection;
    this.#owner.answered(head, bytes, start, end, isLast);
    // The owner may have given the call up meanwhile, and even started the next one.
    if (!isLast || this.#connection !== connection || this.#state !== 'answering') return;
    if (connection !== undefined) {
      if (this.#isComplete) this.#surroundings.upstreams.giveBack(connection);
      else connection.destroy();
    }
    this.#release(resultOf(this.#status));
    this.#end(outcomeOf(this.#status), this.#answeredAtMs);
    this.#owner.over();
  }

  flush(): boolean {
    return this.#owner.flush();
  }

  broken(reason: string, isSilent: boolean): void {
    // Whoever is served next, when the endpoint is free again, begins with nothing gathered.
    this.#surroundings.out.clear();
    const nowMs = this.#surroundings.clock.nowMs();
    const address = this.#endpoint?.address ?? '';
    if (this.#state === 'answering') {
      this.#release('failed');
      this.#end('error', nowMs);
      this.#owner.brokenOff(`the answer of ${address} broke off: ${reason}`);
      return;
    }
    const endpoint = this.#endpoint;
    const isUnreachable = this.#state === 'connecting';
    const isStale = !isUnreachable && isSilent && this.#isReused && nowMs - this.#sentAtMs <= STALE_WITHIN_MS;
    this.#release(isUnreachable ? 'unreachable' : isStale ? 'neutral' : 'failed');
    const mayRepeat = isUnreachable ? ++this.#unreachable < MAX_UNREACHABLE : isStale && this.#repeats++ === 0;
    if (mayRepeat && this.#isReplayable) {
      // Where there is nobody else, a bad chance is better than none.
      const another = this.#takeAnother(endpoint) ?? this.#target?.pool.take();
      if (another !== undefined) {
        this.#use(another, true);
        return;
      }
    }
    const revision = this.#target?.revision ?? '';
    this.#fail(
      isUnreachable
        ? new HttpError(503, `no connection to ${address} of ${revision}: ${reason}`, 1)
        : new HttpError(502, `no answer from ${address} of ${revision}: ${reason}`),
    );
  }

  #use(endpoint: Endpoint, isFresh: boolean, nowMs = this.#surroundings.clock.nowMs()): void {
    const { upstreams } = this.#surroundings;
    this.#endpoint = endpoint;
    this.#pool = this.#target?.pool;
    const idle = isFresh ? undefined : upstreams.take(endpoint);
    const connection = idle ?? upstreams.open(endpoint);
    this.#connection = connection;
    this.#isReused = idle !== undefined;
    connection.begin(this, this.#isHeadRequest);
    if (idle === undefined) this.#state = 'connecting';
    else this.#send(nowMs);
  }

  /** Appends the head, and what there is of the body. */
  #send(nowMs: number): void {
    const { head, out } = this.#surroundings;
    const request = this.#request;
    if (request === undefined) return;
    if (!head.isOf(request.bytes, request.start)) head.read(request.bytes, request.start, request.bytes.length);
    this.#sentAtMs = nowMs;
    head.write(out);
    out.appendText(request.lines);
    out.appendNumber(Math.max(1, Math.ceil(request.deadlineMs - nowMs)));
    out.appendText('\r\n\r\n');
    if (this.#isChunked) {
      out.appendChunk(request.bytes, this.#firstStart, this.#firstEnd);
      for (const piece of this.#pieces) out.appendChunk(piece, 0, piece.length);
      if (this.#isComplete) out.appendText(END_OF_CHUNKS);
    } else {
      out.append(request.bytes, this.#firstStart, this.#firstEnd);
      for (const piece of this.#pieces) out.append(piece, 0, piece.length);
    }
    this.#state = 'sent';
    if (this.#keptBytes > REPLAY_BYTES) this.#keepNoMore();
  }

  #keepNoMore(): void {
    this.#isReplayable = false;
    if (this.#pieces.length > 0) this.#pieces = [];
  }

  /** An answer of a server that did not do anything with the request: asks another endpoint, where there is one. */
  #askAnother(status: number, isLast: boolean): boolean {
    const connection = this.#connection;
    if ((status !== 429 && status !== 503) || !this.#isReplayable || this.#repeats > 0 || connection === undefined) {
      return false;
    }
    const another = this.#takeAnother(this.#endpoint);
    if (another === undefined) return false;
    this.#repeats++;
    if (!this.#isComplete) connection.destroy();
    else if (isLast) this.#surroundings.upstreams.giveBack(connection);
    else this.#surroundings.upstreams.discard(connection);
    this.#release(status === 503 ? 'failed' : 'neutral');
    this.#use(another, false);
    this.flushRequest();
    return true;
  }

  /** An endpoint other than `except`: of the target, or of another revision, which is the target from then on. */
  #takeAnother(except: Endpoint | undefined): Endpoint | undefined {
    const before = this.#target;
    const endpoint = before?.pool.take(except) ?? this.#takeElsewhere();
    if (before !== undefined && before !== this.#target) this.#count(before, 'error', this.#surroundings.clock.nowMs());
    return endpoint;
  }

  #takeElsewhere(): Endpoint | undefined {
    for (const target of this.#request?.elsewhere ?? []) {
      const endpoint = target === this.#target ? undefined : target.pool.take();
      if (endpoint === undefined) continue;
      this.#target = target;
      return endpoint;
    }
    return undefined;
  }

  #release(result: EndpointResult): void {
    const endpoint = this.#endpoint;
    this.#endpoint = undefined;
    this.#connection = undefined;
    if (endpoint !== undefined) this.#pool?.release(endpoint, result);
  }

  #fail(error: HttpError): void {
    this.#end('error', this.#surroundings.clock.nowMs());
    this.#owner.failed(error);
  }

  #end(outcome: RequestOutcome, atMs: number): void {
    const target = this.#target;
    if (target !== undefined) this.#count(target, outcome, atMs);
    this.#state = 'idle';
    this.#target = undefined;
    this.#request = undefined;
    this.#keepNoMore();
  }

  #count(target: Target, outcome: RequestOutcome, atMs: number): void {
    this.#owner.ended(target, outcome, (atMs - (this.#request?.startedAtMs ?? atMs)) / 1000);
  }
}

/** 500 is the model's answer; these are of a server that could not ask it. */
function resultOf(status: number): EndpointResult {
  return status >= 502 && status <= 504 ? 'failed' : 'ok';
}

/** What a revision sheds it did not answer, as with RESOURCE_EXHAUSTED. */
function outcomeOf(status: number): RequestOutcome {
  return status >= 500 || status === 429 ? 'error' : 'success';
}
