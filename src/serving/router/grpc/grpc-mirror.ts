import type { IncomingHttpHeaders } from 'node:http2';
import { PoolWithoutRoom } from '../balancing/pool-without-room.ts';
import { MAX_KEPT_BYTES } from '../buffered/answer.ts';
import { MAX_COPIES } from '../buffered/buffered-exchange.ts';
import { type BufferBudget, CollectedBytes } from '../buffered/collected-bytes.ts';
import type { Choice, RequestOutcome, RevisionObserver, RouterClock } from '../types.ts';
import type { CallListener } from './call-surroundings.ts';
import { type GrpcAnswer, grpcAnswersAgree } from './compare-grpc-answers.ts';
import { CopyStream } from './copy-stream.ts';
import { GrpcCall } from './grpc-call.ts';
import { deadlineOf, withTimeLeft } from './grpc-timeout.ts';
import type { GrpcUpstreams } from './grpc-upstreams.ts';
import { firstFrameBytes, PREFIX_BYTES } from './message-frames.ts';

/** What the mirrored calls of a relay share. */
export interface MirrorSurroundings {
  readonly clock: RouterClock;
  readonly upstreams: GrpcUpstreams;
  readonly budget: BufferBudget;
  /** Copies that are under way. */
  copies: number;
}

/**
 * Listens to a call and sends a copy of its request, once that is whole, to the mirror; compares the two answers. Requests
 * of more than one message are streams, which are not copied, and no copy waits for a pod. Nothing of it reaches the
 * client, and the copy outlives the call, until the time in which its answer has to begin is over.
 */
export class GrpcMirror implements CallListener {
  readonly #surroundings: MirrorSurroundings;
  readonly #mirror: NonNullable<Choice['mirror']>;
  readonly #pool: PoolWithoutRoom;
  readonly #headers: IncomingHttpHeaders;
  readonly #maxBodyBytes: number;
  readonly #startedMs: number;
  /** When the client wants to hear no more; infinite where it did not say. */
  readonly #clientsDeadlineMs: number;
  readonly #deadlineMs: number;
  /** Undefined when no copy is sent. */
  #request: CollectedBytes | undefined;
  readonly #primary: KeptAnswer;
  readonly #copy: KeptAnswer;
  #isSent = false;
  #outcome: RequestOutcome = 'error';
  #seconds = 0;
  #cancelCut: () => void = () => undefined;

  constructor(
    surroundings: MirrorSurroundings,
    mirror: NonNullable<Choice['mirror']>,
    { maxBodyBytes, timeoutMs }: Choice,
    headers: IncomingHttpHeaders,
  ) {
    const { clock, budget, copies } = surroundings;
    this.#surroundings = surroundings;
    this.#mirror = mirror;
    this.#pool = new PoolWithoutRoom(mirror.target.pool);
    this.#headers = headers;
    this.#maxBodyBytes = maxBodyBytes;
    this.#startedMs = clock.nowMs();
    this.#clientsDeadlineMs = deadlineOf(headers, this.#startedMs);
    this.#deadlineMs = Math.min(this.#startedMs + timeoutMs, this.#clientsDeadlineMs);
    this.#request = new CollectedBytes(budget, PREFIX_BYTES + maxBodyBytes);
    this.#primary = new KeptAnswer(budget);
    this.#copy = new KeptAnswer(budget);
    if (copies >= MAX_COPIES) this.#drop();
  }

  requestData(chunk: Buffer): void {
    const request = this.#request;
    if (request === undefined) return;
    try {
      const isKept = request.append(chunk, 0, chunk.length);
      const isOne = request.bytes.length <= (firstFrameBytes(request.bytes) ?? PREFIX_BYTES);
      if (!isKept || !isOne) this.#forget();
    } catch {
      // The budget is used up.
      this.#drop();
    }
  }

  requestWhole(): void {
    const request = this.#request;
    if (request === undefined) return;
    if (request.bytes.length !== firstFrameBytes(request.bytes)) this.#forget();
    else if (this.#surroundings.copies < MAX_COPIES) this.#send(request.bytes);
    // Others were sent since this call began.
    else this.#drop();
  }

  answerData(chunk: Buffer): void {
    if (this.#request !== undefined) this.#primary.append(chunk);
  }

  over(status: number | undefined): void {
    this.#primary.end(status);
    if (this.#isSent) this.#compare();
    else this.#forget();
  }

  #send(request: Buffer): void {
    const { clock, upstreams } = this.#surroundings;
    const { target } = this.#mirror;
    const nowMs = clock.nowMs();
    this.#isSent = true;
    this.#surroundings.copies++;
    const stream = new CopyStream(request, () => {
      // An answer that goes on for longer is no error, and is not waited for.
      this.#cancelCut = clock.afterDelay(Math.max(0, this.#deadlineMs - clock.nowMs()), () => stream.destroy());
    });
    const observer: RevisionObserver = {
      ended: (outcome, seconds) => {
        this.#outcome = outcome;
        this.#seconds = (nowMs - this.#startedMs) / 1000 + seconds;
      },
      mirrored: () => undefined,
      mirrorDropped: () => undefined,
    };
    const choice: Choice = {
      target: { ...target, pool: this.#pool, observer },
      elsewhere: [],
      maxBodyBytes: this.#maxBodyBytes,
      timeoutMs: Math.max(0, this.#deadlineMs - nowMs),
    };
    const listener: CallListener = {
      requestData: () => undefined,
      requestWhole: () => undefined,
      answerData: (chunk) => this.#copy.append(chunk),
      over: (status) => this.#copy.end(status),
    };
    new GrpcCall(stream, withTimeLeft(this.#headers, this.#clientsDeadlineMs, nowMs), choice, {
      clock,
      upstreams,
      listener,
      onEnd: () => this.#copyOver(),
    });
  }

  #copyOver(): void {
    this.#cancelCut();
    this.#surroundings.copies--;
    this.#request?.release();
    this.#compare();
  }

  #compare(): void {
    if (!this.#primary.isOver || !this.#copy.isOver) return;
    const { target, tolerance } = this.#mirror;
    const [mine, theirs] = [this.#primary.answer, this.#copy.answer];
    const path = this.#headers[':path'];
    const agreed = mine && theirs && grpcAnswersAgree(path, mine, theirs, tolerance);
    this.#primary.release();
    this.#copy.release();
    if (this.#pool.wasDropped) target.observer.mirrorDropped();
    else target.observer.mirrored(this.#outcome === 'error' ? 'error' : 'success', this.#seconds, agreed);
  }

  #drop(): void {
    this.#mirror.target.observer.mirrorDropped();
    this.#forget();
  }

  #forget(): void {
    this.#request?.release();
    this.#request = undefined;
    this.#primary.release();
  }
}

/** An answer as it passes by, as long as there is memory for it. */
class KeptAnswer {
  readonly #body: CollectedBytes;
  #isKept = true;
  #status: number | undefined;
  isOver = false;

  constructor(budget: BufferBudget) {
    this.#body = new CollectedBytes(budget, MAX_KEPT_BYTES);
  }

  /** Undefined where it is not whole or was too large to keep. */
  get answer(): GrpcAnswer | undefined {
    if (!this.#isKept || this.#status === undefined) return undefined;
    return { status: this.#status, body: this.#body.bytes };
  }

  append(chunk: Buffer): void {
    if (!this.#isKept) return;
    try {
      this.#isKept = this.#body.append(chunk, 0, chunk.length);
    } catch {
      // The budget is used up: the answer goes on to the client, and is not kept.
      this.#isKept = false;
    }
  }

  end(status: number | undefined): void {
    this.#status = status;
    this.isOver = true;
  }

  release(): void {
    this.#isKept = false;
    this.#body.release();
  }
}
