import { type Place, Placement } from '../balancing/placement.ts';
import { BufferBudget, CollectedBytes } from '../buffered/collected-bytes.ts';
import type {
  Choice,
  Endpoint,
  EndpointPoolLike,
  EndpointResult,
  EndpointWaiter,
  RequestOutcome,
  Target,
} from '../types.ts';
import type { CallOwner, CallRequest, CallSurroundings, CancelReason, Exchange, Hold } from './exchange.ts';
import { HttpError } from './http-error.ts';
import { noPod, tooManyWait } from './refusals.ts';
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

/** What is kept has its own limit: `REPLAY_BYTES`, or one read of the client that is not read from meanwhile. */
const UNLIMITED = new BufferBudget(Number.POSITIVE_INFINITY);

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
  readonly #placement = new Placement(this, (target) => this.#count(target, 'error', this.#surroundings.clock.nowMs()));
  #endpoint: Endpoint | undefined;
  /** The pool that the endpoint is of. */
  #pool: EndpointPoolLike | undefined;
  #connection: UpstreamConnection | undefined;
  #isChunked = false;
  #isHeadRequest = false;
  #isComplete = false;
  /** What follows of the body, until it is sent and too much to be sent again: its first piece, which often is all of it. */
  #piece: Buffer | undefined;
  /** The pieces after that one, copied: a small piece takes far less memory than the object that it would be. */
  readonly #pieces = new CollectedBytes(UNLIMITED, Number.POSITIVE_INFINITY);
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
    return this.#placement.target;
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
    this.#readHead(request);
    this.#request = request;
    this.#isChunked = head.bodyBytes < 0;
    this.#isHeadRequest = head.isHead;
    this.#isComplete = isComplete;
    this.#firstStart = bodyStart;
    this.#firstEnd = bodyEnd;
    this.#keptBytes = bodyEnd - bodyStart;
    if (more !== undefined && more.length > 0) {
      this.#piece = more;
      this.#keptBytes += more.length;
    }
    this.#isReplayable = true;
    this.#unreachable = 0;
    this.#repeats = 0;
    this.#ask(request, request.startedAtMs);
  }

  body(bytes: Buffer, start: number, end: number): void {
    if (this.#state === 'idle' || start === end) return;
    const isSent = this.#state === 'sent' || this.#state === 'answering';
    if (isSent) this.#appendBody(bytes, start, end);
    if (!this.#isReplayable) return;
    this.#keptBytes += end - start;
    if (isSent && this.#keptBytes > REPLAY_BYTES) this.#keepNoMore();
    else if (this.#piece === undefined) this.#piece = bytes.subarray(start, end);
    else this.#pieces.append(bytes, start, end);
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

  cancel(why: CancelReason): void {
    if (this.#state === 'idle') return;
    const hasWaited = this.#isComplete && this.#state !== 'answering';
    this.#placement.leave();
    this.#connection?.destroy();
    this.#release(why === 'late' ? 'failed' : 'neutral');
    const isLate = why === 'late' || why === 'hurried';
    const outcome = isLate ? 'error' : why === 'cancelled' && hasWaited ? 'cancelled' : 'withdrawn';
    this.#end(outcome, this.#surroundings.clock.nowMs());
  }

  granted(endpoint: Endpoint): void {
    this.#placement.leave();
    this.#use(endpoint, false);
    this.#proceed();
  }

  stranded(): void {
    this.#placement.leave();
    this.#chooseAgain();
    this.#proceed();
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
      const place = this.#placement.again(endpoint, isUnreachable, this.#unreachable === MAX_UNREACHABLE - 1);
      if (this.#go(place, true)) return;
    }
    const revision = this.target?.revision ?? '';
    this.#fail(
      isUnreachable
        ? new HttpError(503, `no connection to ${address} of ${revision}: ${reason}`, 1)
        : new HttpError(502, `no answer from ${address} of ${revision}: ${reason}`),
    );
  }

  /** Asks a target's endpoint, now or as soon as one has room. */
  #ask(choice: Pick<Choice, 'target' | 'elsewhere'>, nowMs?: number): void {
    const place = this.#placement.at(choice);
    if (!this.#go(place, false, nowMs)) this.#fail(tooManyWait(choice.target));
  }

  /** False where the place is nowhere. `isRepeat`: the request has failed once. */
  #go(place: Place, isRepeat: boolean, nowMs?: number): boolean {
    if (place === 'full') return false;
    if (place === 'waiting') this.#state = 'waiting';
    else if (place === 'lost') this.#chooseAgain();
    else this.#use(place, isRepeat, nowMs);
    if (isRepeat) this.#proceed();
    return true;
  }

  /** The target has lost its last endpoint: asks whom the route names now. */
  #chooseAgain(): void {
    const lost = this.target;
    const request = this.#request;
    if (lost === undefined || request === undefined) return;
    this.#readHead(request);
    const choice = this.#owner.chooseAgain(lost);
    if (choice !== undefined && 'reason' in choice) {
      // Whoever was not asked has no part in the request, as with those that come now.
      if (!this.#placement.hasFailed) this.#placement.clear();
      this.#fail(new HttpError(503, choice.reason, 1));
    } else if (choice === undefined || choice.target.pool.size === 0) {
      this.#fail(noPod(lost));
    } else {
      this.#ask(choice);
    }
  }

  /** Sends what waited until now. */
  #proceed(): void {
    this.flushRequest();
    if (this.#state === 'sent') this.#owner.drained();
  }

  #readHead({ bytes, start }: CallRequest): void {
    const { head } = this.#surroundings;
    if (!head.isOf(bytes, start)) head.read(bytes, start, bytes.length);
  }

  #use(endpoint: Endpoint, isFresh: boolean, nowMs = this.#surroundings.clock.nowMs()): void {
    const { upstreams } = this.#surroundings;
    this.#endpoint = endpoint;
    this.#pool = this.target?.pool;
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
    this.#readHead(request);
    this.#sentAtMs = nowMs;
    head.write(out, request.modelName);
    out.appendText(request.lines);
    out.appendNumber(Math.max(1, Math.ceil(request.deadlineMs - nowMs)));
    out.appendText('\r\n\r\n');
    this.#appendBody(request.bytes, this.#firstStart, this.#firstEnd);
    if (this.#piece !== undefined) {
      const { bytes } = this.#pieces;
      this.#appendBody(this.#piece, 0, this.#piece.length);
      this.#appendBody(bytes, 0, bytes.length);
    }
    if (this.#isChunked && this.#isComplete) out.appendText(END_OF_CHUNKS);
    this.#state = 'sent';
    if (this.#keptBytes > REPLAY_BYTES) this.#keepNoMore();
  }

  #appendBody(bytes: Buffer, start: number, end: number): void {
    if (this.#isChunked) this.#surroundings.out.appendChunk(bytes, start, end);
    else this.#surroundings.out.append(bytes, start, end);
  }

  #keepNoMore(): void {
    this.#isReplayable = false;
    if (this.#piece === undefined) return;
    this.#piece = undefined;
    this.#pieces.release();
  }

  /** An answer of a server that did not do anything with the request: asks another endpoint, where there is one. */
  #askAnother(status: number, isLast: boolean): boolean {
    const connection = this.#connection;
    if ((status !== 429 && status !== 503) || !this.#isReplayable || this.#repeats > 0 || connection === undefined) {
      return false;
    }
    const another = this.#placement.another(this.#endpoint);
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
    const { target } = this;
    if (target !== undefined) this.#count(target, outcome, atMs);
    this.#state = 'idle';
    this.#placement.clear();
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
