import { Call } from '../http1/call.ts';
import type {
  AskedTarget,
  CallOwner,
  CallRequest,
  CallSurroundings,
  CancelReason,
  Exchange,
  Hold,
} from '../http1/exchange.ts';
import type { HttpError } from '../http1/http-error.ts';
import type { ResponseHead } from '../http1/response-head.ts';
import type { Choice, RequestOutcome, Target, Unroutable } from '../types.ts';
import { AnswerRecorder } from './answer.ts';
import { type BufferBudget, CollectedBytes } from './collected-bytes.ts';
import { MirrorCopy } from './mirror-copy.ts';

/** Copies of requests that one relay has under way at most; beyond them none is sent. */
export const MAX_COPIES = 100;

/** What the exchanges of a relay that buffer share. */
export interface BufferedSurroundings extends CallSurroundings {
  readonly budget: BufferBudget;
  /** Copies that are under way. */
  copies: number;
}

/**
 * A request that may be sent more than once because its route asks for it: kept whole, then sent to its target; copied to
 * the mirror; and sent to the fallback when the target errs or takes too long, as long as the client has seen nothing.
 * A copy that there is no memory for is not sent; then the request goes on as if there were no mirror.
 */
export class BufferedExchange implements Exchange, CallOwner {
  readonly #surroundings: BufferedSurroundings;
  readonly #owner: CallOwner;
  readonly #choice: Choice;
  readonly #request: CallRequest;
  readonly #call: Call;
  readonly #body: CollectedBytes;
  /** Who still needs the body: this exchange, and the copy. */
  #readers = 1;
  #copy: MirrorCopy | undefined;
  #recorder: AnswerRecorder | undefined;
  #mayCopy: boolean;
  #mayFallBack: boolean;
  #hasFallenBack = false;
  #cancelPatience: () => void = () => undefined;
  #isStreaming = false;
  #isDone = false;

  constructor(surroundings: BufferedSurroundings, owner: CallOwner, choice: Choice, request: CallRequest) {
    this.#surroundings = surroundings;
    this.#owner = owner;
    this.#choice = choice;
    this.#request = request;
    this.#call = new Call(surroundings, this);
    this.#body = new CollectedBytes(surroundings.budget, choice.maxBodyBytes);
    this.#mayFallBack = choice.fallback !== undefined;
    this.#mayCopy = choice.mirror !== undefined;
    if (surroundings.copies >= MAX_COPIES) this.#dropCopy();
  }

  get target(): Target | undefined {
    return this.#call.target;
  }

  get hold(): Hold {
    return this.#call.hold;
  }

  /** @throws HttpError 503 when there is no memory to keep the body for the fallback. */
  body(bytes: Buffer, start: number, end: number): void {
    if (this.#isStreaming) {
      this.#call.body(bytes, start, end);
      return;
    }
    try {
      this.#body.append(bytes, start, end);
    } catch (error) {
      if (this.#mayFallBack) throw error;
      this.#dropCopy();
      this.#isStreaming = true;
      // The call has a copy of its own until it is sent: the memory is free for others, however long the rest takes.
      const collected = Buffer.from(this.#body.bytes);
      this.#body.release();
      this.#ask(this.#choice, collected, false);
      this.#call.body(bytes, start, end);
    }
  }

  complete(): void {
    if (this.#isStreaming) {
      this.#call.complete();
      return;
    }
    this.#startCopy();
    const { fallback } = this.#choice;
    if (fallback?.afterMs !== undefined) {
      this.#cancelPatience = this.#surroundings.clock.afterDelay(fallback.afterMs, () => this.#losePatience());
    }
    this.#ask(this.#choice, this.#body.bytes, true);
  }

  flushRequest(): boolean {
    return this.#isStreaming ? this.#call.flushRequest() : true;
  }

  resume(): void {
    this.#call.resume();
  }

  cancel(why: CancelReason): void {
    this.#call.cancel(why);
    this.#finish(false);
  }

  interim(head: ResponseHead): void {
    this.#owner.interim(head);
  }

  answered(head: ResponseHead | undefined, bytes: Buffer, start: number, end: number, isLast: boolean): void {
    if (head !== undefined) {
      if (head.status >= 500 && this.#mayFallBack) {
        this.#call.abandon();
        this.#fallBack();
        return;
      }
      this.#cancelPatience();
      this.#mayFallBack = false;
    }
    this.#recorder?.record(head, bytes, start, end, isLast);
    this.#owner.answered(head, bytes, start, end, isLast);
  }

  flush(): boolean {
    return this.#owner.flush();
  }

  over(): void {
    this.#finish(true);
    this.#owner.over();
  }

  failed(error: HttpError): void {
    if (this.#mayFallBack) {
      this.#fallBack();
      return;
    }
    this.#finish(false);
    this.#owner.failed(error);
  }

  brokenOff(reason: string): void {
    this.#finish(false);
    this.#owner.brokenOff(reason);
  }

  drained(): void {
    this.#owner.drained();
  }

  chooseAgain(lost: Target): Choice | Unroutable | undefined {
    return this.#hasFallenBack ? undefined : this.#owner.chooseAgain(lost);
  }

  ended(target: Target, outcome: RequestOutcome, seconds: number): void {
    this.#owner.ended(target, outcome, seconds);
  }

  #ask({ target, modelName, elsewhere }: AskedTarget, body: Buffer, isComplete: boolean): void {
    this.#call.start({ ...this.#request, target, modelName, elsewhere }, 0, 0, isComplete, body);
    this.#call.flushRequest();
  }

  #fallBack(): void {
    this.#cancelPatience();
    this.#mayFallBack = false;
    this.#hasFallenBack = true;
    const { fallback } = this.#choice;
    if (fallback !== undefined) this.#ask({ ...fallback, elsewhere: [] }, this.#body.bytes, true);
  }

  #losePatience(): void {
    if (!this.#mayFallBack) return;
    this.#call.cancel('late');
    this.#fallBack();
  }

  #startCopy(): void {
    const { mirror, timeoutMs } = this.#choice;
    if (!this.#mayCopy || mirror === undefined) return;
    // Many may have begun while there was room for one more.
    if (this.#surroundings.copies >= MAX_COPIES) {
      this.#dropCopy();
      return;
    }
    const { budget } = this.#surroundings;
    this.#surroundings.copies++;
    this.#readers++;
    this.#recorder = new AnswerRecorder(budget);
    this.#copy = new MirrorCopy(this.#surroundings, {
      ...mirror,
      budget,
      isHurried: this.#request.deadlineMs < this.#request.startedAtMs + timeoutMs,
      onSent: () => {
        this.#surroundings.copies--;
        this.#letGo();
      },
    });
    this.#copy.start(this.#request, this.#body.bytes);
  }

  #dropCopy(): void {
    if (this.#mayCopy) this.#choice.mirror?.target.observer.mirrorDropped();
    this.#mayCopy = false;
  }

  #finish(isAnswered: boolean): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#cancelPatience();
    if (!isAnswered) this.#recorder?.release();
    this.#copy?.primaryOver(isAnswered ? this.#recorder : undefined);
    this.#letGo();
  }

  #letGo(): void {
    this.#readers--;
    if (this.#readers === 0) this.#body.release();
  }
}
