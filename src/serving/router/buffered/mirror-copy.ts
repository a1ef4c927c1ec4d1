import { PoolWithoutRoom } from '../balancing/pool-without-room.ts';
import { Call } from '../http1/call.ts';
import type { CallOwner, CallRequest, CallSurroundings } from '../http1/exchange.ts';
import type { ResponseHead } from '../http1/response-head.ts';
import type { RequestOutcome, Target } from '../types.ts';
import { type Answer, AnswerRecorder } from './answer.ts';
import type { BufferBudget } from './collected-bytes.ts';
import { answersAgree } from './compare-answers.ts';

export interface MirrorOptions {
  readonly target: Target;
  readonly tolerance: number;
  readonly budget: BufferBudget;
  /** The client gives it less time than the route. */
  readonly isHurried: boolean;
  /** The copy needs nothing of the request any more. */
  readonly onSent: () => void;
}

/**
 * A copy of a request, whose answer is compared with the one that the client gets and thrown away. It outlives the
 * request; nothing of it reaches the client. Where it would have to wait for a pod, it is not sent.
 */
export class MirrorCopy implements CallOwner {
  readonly #options: MirrorOptions;
  readonly #surroundings: CallSurroundings;
  readonly #call: Call;
  readonly #recorder: AnswerRecorder;
  readonly #pool: PoolWithoutRoom;
  #cancelDeadline: () => void = () => undefined;
  #isOver = false;
  #isPrimaryOver = false;
  #primary: { readonly answer: Answer | undefined; release(): void } | undefined;
  #outcome: RequestOutcome = 'error';
  #seconds = 0;

  constructor(surroundings: CallSurroundings, options: MirrorOptions) {
    this.#options = options;
    this.#surroundings = surroundings;
    this.#call = new Call(surroundings, this);
    this.#recorder = new AnswerRecorder(options.budget);
    this.#pool = new PoolWithoutRoom(options.target.pool);
  }

  start(request: CallRequest, body: Buffer): void {
    const { clock } = this.#surroundings;
    this.#cancelDeadline = clock.afterDelay(Math.max(0, request.deadlineMs - clock.nowMs()), () => {
      this.#call.cancel(this.#options.isHurried ? 'hurried' : 'late');
      this.#finish();
    });
    const target = { ...this.#options.target, pool: this.#pool };
    this.#call.start({ ...request, target, elsewhere: [] }, 0, 0, true, body);
    this.#call.flushRequest();
  }

  /** What the client got: `recorder` keeps it until it is compared. Undefined where the client got nothing to compare. */
  primaryOver(recorder: AnswerRecorder | undefined): void {
    this.#isPrimaryOver = true;
    this.#primary = recorder;
    this.#compare();
  }

  answered(head: ResponseHead | undefined, bytes: Buffer, start: number, end: number, isLast: boolean): void {
    this.#recorder.record(head, bytes, start, end, isLast);
  }

  ended(_target: Target, outcome: RequestOutcome, seconds: number): void {
    this.#outcome = outcome;
    this.#seconds = seconds;
  }

  over(): void {
    this.#finish();
  }

  failed(): void {
    this.#finish();
  }

  brokenOff(): void {
    this.#finish();
  }

  interim(): void {}
  drained(): void {}
  chooseAgain(): undefined {}

  flush(): boolean {
    return true;
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelDeadline();
    this.#options.onSent();
    this.#compare();
  }

  #compare(): void {
    if (!this.#isOver || !this.#isPrimaryOver) return;
    const { target, tolerance } = this.#options;
    const [mine, theirs] = [this.#recorder.answer, this.#primary?.answer];
    const agreed = mine === undefined || theirs === undefined ? undefined : answersAgree(theirs, mine, tolerance);
    this.#recorder.release();
    this.#primary?.release();
    if (this.#pool.wasDropped) target.observer.mirrorDropped();
    else target.observer.mirrored(this.#outcome === 'success' ? 'success' : 'error', this.#seconds, agreed);
  }
}
